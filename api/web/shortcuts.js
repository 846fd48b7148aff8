// The page's keyboard shortcuts, and the dialog that lists them. Keys that belong to one part, such as the arrows in
// the messages, are that part's own.

import { byId, el, iconButton } from './dom.js';
import { t } from './strings.js';

const isMac = () => /Mac|iPhone|iPad/.test(globalThis.navigator?.platform ?? '');

/**
 * What a key asks for, or null: 'goTo', 'help', 'write', or `{step, unread}` to another chat of the list. `inField`
 * says that the person is typing.
 */
export function wish(event, inField) {
  const { key, altKey, shiftKey, ctrlKey, metaKey } = event;
  if ((ctrlKey || metaKey) && !altKey && !shiftKey && key.toLowerCase() === 'k') return 'goTo';
  if (altKey && !ctrlKey && !metaKey && (key === 'ArrowUp' || key === 'ArrowDown')) return { step: key === 'ArrowUp' ? -1 : 1, unread: shiftKey };
  if (altKey || ctrlKey || metaKey || inField) return null;
  if (key === '?') return 'help';
  return key === 'Escape' ? 'write' : null;
}

/** The chat that is one step from `open` in `chats`, as listed; with `unread`, the next one with unread messages. */
export function neighbor(chats, open, { step, unread }) {
  const from = chats.findIndex((chat) => chat.id === open);
  const around = chats.length;
  for (let away = 1; away <= around; away += 1) {
    // Without an open chat, the first step is to the first or the last one.
    const start = from < 0 && step < 0 ? 0 : from;
    const chat = chats[(((start + step * away) % around) + around) % around];
    if (chat.id !== open && (!unread || chat.unread > 0)) return chat.id;
  }
  return null;
}

/** Listens to the keys. `chats()` is the list as it stands, `open()` the open chat's id. */
export function setUpShortcuts({ chats, open, go, goTo, write }) {
  document.addEventListener('keydown', (event) => {
    // A dialog has the keys while it is open, and so has who composes a character.
    if (event.defaultPrevented || event.isComposing || document.querySelector('dialog:modal')) return;
    const wanted = wish(event, event.target.matches?.('input, textarea, select, [contenteditable]'));
    if (!wanted) return;
    event.preventDefault();
    if (wanted === 'goTo') goTo();
    else if (wanted === 'help') showShortcuts();
    else if (wanted === 'write') write();
    else {
      const target = neighbor(chats(), open(), wanted);
      if (target !== null) go(target);
    }
  });
}

/** Opens the list of the shortcuts. */
export function showShortcuts() {
  const dialog = byId('shortcuts-dialog');
  const control = isMac() ? '⌘' : t.keyControl;
  const alt = isMac() ? '⌥' : 'Alt';
  const rows = [
    [[control, 'K'], t.goTo],
    [[alt, '↑'], t.keyPrevious],
    [[alt, '↓'], t.keyNext],
    [[alt, t.keyShift, '↓'], t.keyNextUnread],
    [['Esc'], t.keyWrite],
    [['↑'], t.keyEditLast],
    [['Enter'], t.keySend],
    [[t.keyShift, 'Enter'], t.keyNewLine],
    [['?'], t.shortcuts],
  ];
  const row = ([keys, text]) => el('div', {}, el('dt', {}, ...keys.map((key) => el('kbd', {}, key))), el('dd', {}, text));
  dialog.replaceChildren(
    el('header', {}, el('h2', { id: 'shortcuts-title' }, t.shortcuts), iconButton('close', t.close, () => dialog.close())),
    el('dl', { class: 'content shortcuts' }, ...rows.map(row)),
  );
  dialog.showModal();
}
