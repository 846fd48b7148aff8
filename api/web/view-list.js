// The list of one's chats and of the public rooms.

import { explain } from './actions.js';
import { isInvitation, lastMessage } from './chat.js';
import { avatar, byId, el, icon, reconcile, toast } from './dom.js';
import { t } from './strings.js';
import { fullTime, shortTime } from './text.js';

export function setUpList(actions, enter, onNewChat) {
  byId('new-chat').append(icon('plus'));
  byId('new-chat').addEventListener('click', onNewChat);
  byId('more-rooms').addEventListener('click', () => actions.moreRooms().catch((error) => toast(explain(error))));
  byId('enter-lobby').addEventListener('click', () => enter(1));
  return (state) => render(state, enter);
}

function render(state, enter) {
  const all = state.order.map((id) => state.chats.get(id));
  const chats = all.filter((chat) => !isInvitation(chat));
  const invitations = all.filter(isInvitation);
  drawChats('chat-list', chats, state);
  drawChats('invitation-list', invitations, state);
  byId('no-chats').hidden = !state.known || chats.length > 0;
  byId('invitations').hidden = invitations.length === 0;

  const others = state.rooms.filter((room) => !state.chats.has(room.id));
  reconcile(byId('room-list'), others, {
    key: (room) => room.id,
    version: (room) => `${room.member_count} ${room.name}`,
    make: (room) => roomEntry(room, enter),
  });
  byId('rooms').hidden = others.length === 0 && !state.nextRooms;
  byId('more-rooms').hidden = !state.nextRooms;
  byId('enter-lobby').hidden = state.chats.has(1);
}

function drawChats(list, chats, state) {
  reconcile(byId(list), chats.map((chat) => entryOf(chat, state)), {
    key: (entry) => entry.id,
    version: (entry) => JSON.stringify(entry),
    make: chatEntry,
  });
}

function entryOf(chat, state) {
  const last = lastMessage(chat);
  const failed = chat.pending.find((bubble) => bubble.error);
  const typing = chat.typing.map((user) => user.username);
  const peer = chat.type === 'private' && chat.members?.find((member) => member.id !== state.me.id);
  return {
    id: chat.id,
    face: peer ? peer.id : chat.id,
    name: chat.name,
    type: chat.type,
    unread: isInvitation(chat) ? 0 : chat.unread,
    current: state.open === chat.id,
    online: peer ? state.online.has(peer.id) : null,
    live: typing.length > 0,
    time: last?.timestamp,
    preview: preview(chat, { last, failed, typing }, state.me),
  };
}

function preview(chat, { last, failed, typing }, me) {
  if (typing.length) return t.typing(typing);
  if (failed) return `${t.draft} ${failed.text}`;
  if (!last) return t.kind[chat.type];
  if (last.sender.id === me.id) return t.said(t.you, last.text);
  return chat.type === 'private' ? last.text : t.said(last.sender.username, last.text);
}

function chatEntry(entry) {
  const badge = entry.unread > 0 && el('span', { class: 'badge', 'aria-label': t.unread(entry.unread) }, t.unreadCount(entry.unread));
  const link = el(
    'a',
    { class: `entry${entry.unread ? ' unread' : ''}`, href: `#/chat/${entry.id}`, 'aria-current': entry.current && 'page' },
    avatar(entry.name, entry.face, { room: entry.type === 'room', online: entry.online }),
    el(
      'span',
      { class: 'lines' },
      el(
        'span',
        { class: 'line' },
        el('span', { class: 'name', dir: 'auto' }, entry.name),
        entry.time && el('time', { datetime: entry.time, title: fullTime(entry.time) }, shortTime(entry.time)),
      ),
      el('span', { class: 'line' }, el('span', { class: entry.live ? 'preview live' : 'preview', dir: 'auto' }, entry.preview), badge),
    ),
  );
  return item(link);
}

function roomEntry(room, enter) {
  return item(
    el(
      'button',
      { type: 'button', class: 'entry', title: t.enter(room.name), onclick: () => enter(room.id) },
      avatar(room.name, room.id, { room: true }),
      el(
        'span',
        { class: 'lines' },
        el('span', { class: 'line' }, el('span', { class: 'name', dir: 'auto' }, room.name)),
        el('span', { class: 'line' }, el('span', { class: 'preview' }, t.members(room.member_count, false))),
      ),
    ),
  );
}

/** A row whose focus, when it is drawn again, goes on to what it holds. */
function item(control) {
  const row = el('li', {}, control);
  row.focus = (options) => control.focus(options);
  return row;
}
