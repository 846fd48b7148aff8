// The field for the next message: sending, replying, editing, how much still fits, telling that one types. What is
// typed and not sent is a draft of its chat.

import { byId, el, icon, iconButton, toast } from './dom.js';
import { nameOf } from './names.js';
import { t } from './strings.js';
import { MAX_TEXT_CHARS, charsIn } from './text.js';

/** How much still fits is said from here on. */
const NEARLY_FULL = MAX_TEXT_CHARS - 400;

const form = byId('composer');
const field = byId('composer-text');
const context = byId('context');
const counter = byId('composer-count');

/**
 * `submit({chatId, text, replyTo?, editing?})`; `onDraft(chatId, draft)` while one writes, `onLeave(chatId, draft)` when
 * another chat is opened; `onEditLast()` when up is pressed in an empty field.
 */
export function setUpComposer({ submit, onDraft, onLeave, onTyping, onEditLast }) {
  let chatId = null;
  let replyTo = null;
  let editing = null;
  // The draft that was put into the field, and the one that waits while a message is edited.
  let known = null;
  let aside = null;

  byId('composer-send').append(icon('send'));

  function draft() {
    if (editing) return aside;
    const text = field.value.trim() === '' ? '' : field.value;
    return text || replyTo ? { text, replyTo } : null;
  }

  function show(chat) {
    if (chat?.id !== chatId) {
      if (chatId !== null) onLeave(chatId, draft());
      chatId = chat?.id ?? null;
      take(chat?.draft ?? null);
      if (chat) field.placeholder = t.messageHint(chat.name);
    } else if (chat && chat.draft !== known && !draft() && !editing) {
      // Kept from an earlier visit, and found only now.
      take(chat.draft);
    }
  }

  /** Somebody else may sign in here: nothing of this one's stays. */
  function reset() {
    chatId = null;
    take(null);
  }

  function take(kept) {
    known = kept;
    write(kept);
  }

  /** Puts a draft into the field, or nothing. */
  function write(kept) {
    editing = null;
    aside = null;
    replyTo = kept?.replyTo ?? null;
    setText(kept?.text ?? '');
    drawContext();
  }

  function setText(text) {
    field.value = text;
    fit();
  }

  function fit() {
    // The form has a copy of the text and so the field's height, without being measured.
    form.dataset.text = field.value;
    const left = field.value.length > NEARLY_FULL ? MAX_TEXT_CHARS - charsIn(field.value.trim()) : MAX_TEXT_CHARS;
    counter.hidden = left > MAX_TEXT_CHARS - NEARLY_FULL;
    counter.classList.toggle('error', left < 0);
    counter.textContent = counter.hidden ? '' : t.charactersLeft(left);
    field.setAttribute('aria-invalid', String(left < 0));
    byId('composer-send').disabled = field.value.trim() === '' || left < 0;
  }

  function drawContext() {
    const about = editing ?? replyTo;
    context.hidden = !about;
    form.classList.toggle('editing', Boolean(editing));
    if (!about) return;
    const title = editing ? t.editing : t.replyingTo(nameOf(about.sender));
    context.replaceChildren(
      el('div', {}, el('b', { dir: 'auto' }, title), el('span', { dir: 'auto' }, about.text)),
      iconButton('close', t.cancel, cancel),
    );
  }

  /** Goes on with a draft, where somebody reads the field. */
  function goOn(kept) {
    write(kept);
    field.focus();
    onDraft(chatId, draft());
  }

  const cancel = () => goOn(editing ? aside : { text: field.value, replyTo: null });
  const reply = (message) => goOn({ text: draft()?.text ?? '', replyTo: message });

  function edit(message) {
    aside = draft();
    editing = message;
    replyTo = null;
    setText(message.text);
    drawContext();
    field.focus();
  }

  /** Puts a text that was not sent back, before what is written meanwhile. */
  const takeBack = (text, about) => goOn({ text: [text, draft()?.text].filter(Boolean).join('\n'), replyTo: about });

  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const text = field.value.trim();
    if (!text || chatId === null) return;
    if (charsIn(text) > MAX_TEXT_CHARS) {
      toast(t.tooLong(charsIn(text) - MAX_TEXT_CHARS));
      return;
    }
    submit({ chatId, text, replyTo: replyTo?.id, editing });
    goOn(aside);
  });
  field.addEventListener('input', () => {
    fit();
    if (!editing) onDraft(chatId, draft());
    if (field.value.trim() && !editing) onTyping(chatId);
  });
  field.addEventListener('keydown', (event) => {
    // Where there is only a touch keyboard, Enter makes a new line: it has no Shift+Enter.
    const sends = event.key === 'Enter' && !event.shiftKey && !event.isComposing && !matchMedia('(pointer: coarse)').matches;
    if (sends) {
      event.preventDefault();
      form.requestSubmit();
    } else if (event.key === 'Escape' && (editing || replyTo)) {
      cancel();
    } else if (event.key === 'ArrowUp' && field.value === '') {
      event.preventDefault();
      onEditLast();
    }
  });
  refuseFiles();

  return { show, reset, reply, edit, takeBack, draft: () => ({ chatId, text: draft()?.text ?? '' }), focus: () => field.focus() };
}

/** Files cannot be sent: that is said where somebody tries, and a dropped one does not replace the page. */
function refuseFiles() {
  const hasFiles = (data) => [...(data?.types ?? [])].includes('Files');
  field.addEventListener('paste', (event) => {
    // What programs copy beside a picture is its text.
    if (!hasFiles(event.clipboardData) || event.clipboardData.getData('text/plain')) return;
    event.preventDefault();
    toast(t.noFiles);
  });
  for (const type of ['dragover', 'drop']) {
    document.addEventListener(type, (event) => {
      if (!hasFiles(event.dataTransfer)) return;
      event.preventDefault();
      event.dataTransfer.dropEffect = 'none';
      if (type === 'drop') toast(t.noFiles);
    });
  }
}
