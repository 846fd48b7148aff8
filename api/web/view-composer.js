// The field for the next message: sending, replying, editing, drafts, telling that one types.

import { byId, el, icon, iconButton } from './dom.js';
import { t } from './strings.js';

const form = byId('composer');
const field = byId('composer-text');
const context = byId('context');

/** `submit({chatId, text, replyTo?, editing?})`; `onEditLast()` when up is pressed in an empty field. */
export function setUpComposer({ submit, onTyping, onEditLast }) {
  /** Text and reply of each chat that was left without sending. */
  const drafts = new Map();
  let chatId = null;
  let replyTo = null;
  let editing = null;

  byId('composer-send').append(icon('send'));

  function show(chat) {
    if (chat?.id === chatId) return;
    if (chatId !== null && !editing) drafts.set(chatId, { text: field.value, replyTo });
    chatId = chat?.id ?? null;
    const draft = drafts.get(chatId);
    drafts.delete(chatId);
    editing = null;
    replyTo = draft?.replyTo ?? null;
    setText(draft?.text ?? '');
    if (chat) field.placeholder = t.messageHint(chat.name);
    drawContext();
  }

  function setText(text) {
    field.value = text;
    fit();
  }

  function fit() {
    field.style.height = 'auto';
    field.style.height = `${field.scrollHeight}px`;
    byId('composer-send').disabled = field.value.trim() === '';
  }

  function drawContext() {
    const about = editing ?? replyTo;
    context.hidden = !about;
    form.classList.toggle('editing', Boolean(editing));
    if (!about) return;
    const title = editing ? t.editing : t.replyingTo(about.sender.username);
    context.replaceChildren(
      el('div', {}, el('b', { dir: 'auto' }, title), el('span', { dir: 'auto' }, about.text)),
      iconButton('close', t.cancel, cancel),
    );
  }

  function cancel() {
    if (editing) setText('');
    editing = null;
    replyTo = null;
    drawContext();
    field.focus();
  }

  function reply(message) {
    if (editing) setText('');
    editing = null;
    replyTo = message;
    drawContext();
    field.focus();
  }

  function edit(message) {
    editing = message;
    replyTo = null;
    setText(message.text);
    drawContext();
    field.focus();
  }

  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const text = field.value.trim();
    if (!text || chatId === null) return;
    submit({ chatId, text, replyTo: replyTo?.id, editing });
    setText('');
    editing = null;
    replyTo = null;
    drawContext();
    field.focus();
  });
  field.addEventListener('input', () => {
    fit();
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

  return { show, reply, edit, focus: () => field.focus() };
}
