// The field for the next message: sending, replying, editing, how much still fits, telling that one types. What is
// typed and not sent is a draft of its chat: `{text, replyTo, edit}`, where `edit` is a change of a sent message,
// `{id, was, text}`, which is in the field before the text.

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
  /** The message that is edited, `{id, was}`. */
  let editing = null;
  // The draft that was put into the field, and the text that waits while a message is edited.
  let known = null;
  let aside = '';

  byId('composer-send').append(icon('send'));

  function draft() {
    const text = editing ? aside : written();
    const edit = editing && { ...editing, text: field.value };
    return text || replyTo || edit ? { text, replyTo, edit } : null;
  }

  const written = () => (field.value.trim() === '' ? '' : field.value);

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
    const { text = '', edit = null } = kept ?? {};
    replyTo = kept?.replyTo ?? null;
    editing = edit && { id: edit.id, was: edit.was };
    aside = edit ? text : '';
    setText(edit ? edit.text : text);
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
    context.hidden = !editing && !replyTo;
    form.classList.toggle('editing', Boolean(editing));
    if (context.hidden) return;
    const [title, about] = editing ? [t.editing, editing.was] : [t.replyingTo(nameOf(replyTo.sender)), replyTo.text];
    context.replaceChildren(
      el('div', {}, el('b', { dir: 'auto' }, title), el('span', { dir: 'auto' }, about)),
      iconButton('close', t.cancel, cancel),
    );
  }

  /** Goes on with a draft, where somebody reads the field. */
  function goOn(kept) {
    write(kept);
    field.focus();
    onDraft(chatId, draft());
  }

  const cancel = () => goOn(editing ? { text: aside, replyTo } : { text: field.value, replyTo: null });
  const reply = (message) => goOn({ text: draft()?.text ?? '', replyTo: message });
  const edit = ({ id, text }) => goOn({ text: draft()?.text ?? '', replyTo, edit: { id, was: text, text } });

  /** Proposes a text, unless there is one. */
  const begin = (text) => goOn({ ...draft(), text: draft()?.text || text });

  /** Puts a change of a message that was refused back, where it was written; whether this is there. */
  function changeAgain(id, change) {
    if (id !== chatId || editing) return false;
    goOn({ text: draft()?.text ?? '', replyTo, edit: change });
    return true;
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
    if (editing) submit({ chatId, text, editing });
    else submit({ chatId, text, replyTo: replyTo?.id });
    goOn(editing && { text: aside, replyTo });
  });
  field.addEventListener('input', () => {
    fit();
    onDraft(chatId, draft());
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

  return { show, reset, begin, reply, edit, changeAgain, takeBack, draft: () => ({ chatId, draft: draft() }), focus: () => field.focus() };
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
