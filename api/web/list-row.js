// One row of the list of chats: what it says of a chat, and its element. Two lines of one height, whatever stands in
// them.

import { isInvitation } from './chat.js';
import { avatar, el, icon, iconButton } from './dom.js';
import { fullTime } from './formats.js';
import { plainText } from './markup.js';
import { nameOf } from './names.js';
import { onPress } from './press.js';
import { t } from './strings.js';
import { shortTime } from './text.js';

/** What a row says; two equal ones look the same. */
export function entryOf(chat, state) {
  const { muted, pinned, marked_unread: markedUnread } = chat.settings;
  return {
    id: chat.id,
    name: chat.name,
    type: chat.type,
    unread: isInvitation(chat) ? 0 : chat.unread,
    markedUnread: Boolean(markedUnread),
    muted: Boolean(muted),
    pinned: Boolean(pinned),
    current: state.open === chat.id,
    online: chat.peer ? state.online.has(chat.peer.id) : null,
    picture: chat.peer?.avatar,
    time: chat.pending.at(-1)?.at ?? chat.lastMessage?.timestamp,
    ...lineOf(chat, state.me),
  };
}

/** The second line: what is going on, else what was said last. `tone` is how it stands out. */
function lineOf(chat, me) {
  if (chat.typing.length > 0) return { tone: 'live', text: typing(chat) };
  const failed = chat.pending.find((bubble) => bubble.error);
  if (failed) return { tone: 'failed', text: t.said(t.notSentShort, failed.text) };
  const draft = chat.draft?.edit?.text || chat.draft?.text;
  if (draft) return { tone: 'draft', text: t.said(t.draft, draft) };
  const waiting = chat.pending.at(-1);
  if (waiting) return { text: t.said(t.you, waiting.text) };
  const last = chat.lastMessage;
  if (!last) return { text: t.kind[chat.type] };
  if (last.deleted) return { tone: 'gone', text: t.deletedMessage };
  if (last.sender.id === me.id) return { text: t.said(t.you, plain(last)) };
  return { text: chat.type === 'private' ? plain(last) : t.said(nameOf(last.sender), plain(last)) };
}

const plainTexts = new WeakMap();

/** The text without its formatting, which each frame would work out again. */
function plain(message) {
  if (!plainTexts.has(message)) plainTexts.set(message, plainText(message.text));
  return plainTexts.get(message);
}

function typing(chat) {
  const many = chat.typing.find((user) => user.count);
  if (many) return t.typingCount(many.count);
  return chat.type === 'private' ? t.typingHere : t.typing(chat.typing.map(nameOf));
}

/** The element of an entry; `onMenu(entry, place, opener)` opens its menu. */
export function chatRow(entry, onMenu) {
  const link = el(
    'a',
    { class: entry.unread || entry.markedUnread ? 'entry unread' : 'entry', href: `#/chat/${entry.id}`, 'aria-current': entry.current && 'page' },
    avatar(entry.name, { type: entry.type, online: entry.online, picture: entry.picture }),
    el(
      'span',
      { class: 'lines' },
      el(
        'span',
        { class: 'line' },
        el('span', { class: 'name', dir: 'auto' }, entry.name),
        entry.muted && sign('mute', t.muted),
        entry.pinned && sign('pin', t.pinned),
        entry.time && el('time', { datetime: entry.time, title: fullTime(entry.time) }, shortTime(entry.time)),
      ),
      el('span', { class: 'line' }, el('span', { class: `preview ${entry.tone ?? ''}`, dir: 'auto' }, entry.text), badge(entry)),
    ),
  );
  const more = iconButton('more', t.chatMenu(entry.name), () => onMenu(entry, more.getBoundingClientRect(), more), 'entry-more');
  more.setAttribute('aria-haspopup', 'menu');
  link.addEventListener('contextmenu', (event) => {
    event.preventDefault();
    onMenu(entry, placeOf(event, link), link);
  });
  onPress(link, () => link, (_, place) => onMenu(entry, place, link));
  return item(link, more);
}

/** A row whose focus, when it is drawn again, goes on to what it holds. */
export function item(control, ...others) {
  const row = el('li', {}, control, ...others);
  row.focus = (options) => control.focus(options);
  return row;
}

function sign(name, label) {
  return el('span', { class: 'sign', role: 'img', 'aria-label': label, title: label }, icon(name));
}

function badge({ unread, markedUnread, muted }) {
  if (unread > 0) return el('span', { class: muted ? 'badge quiet' : 'badge', role: 'img', 'aria-label': t.unread(unread) }, t.unreadCount(unread));
  return markedUnread && el('span', { class: muted ? 'badge empty quiet' : 'badge empty', role: 'img', 'aria-label': t.markedUnread });
}

/** Where the pointer is; the key for menus names no place. */
function placeOf(event, element) {
  const isByKey = event.clientX === 0 && event.clientY === 0;
  return isByKey ? element.getBoundingClientRect() : new DOMRect(event.clientX, event.clientY, 0, 0);
}
