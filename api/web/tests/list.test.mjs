// What the list shows of a chat, kept true by frames; its pages; one name and one face for a person.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hueOf, nameOf } from '../names.js';
import { shortTime } from '../text.js';
import { READY_CHATS, initial, reduce, resumePoint, totalUnread } from '../store.js';

const me = { id: 1, username: 'ann', name: 'Ann', role: 'user' };
const bob = { id: 2, username: 'bob', name: 'Bob B.' };
const at = '2026-01-01T10:00:00.000Z';
const view = (id, seq, more = {}) => ({ id, name: `chat ${id}`, chat_type: 'group', seq, last_read: seq, unread: 0, member_count: 3, ...more });
const lastOf = (id, more = {}) => ({ id, sender: bob, text: `m${id}`, timestamp: at, ...more });
const ready = (chats, epoch = 'e1') => ({ type: 'ready', user: me, epoch, heartbeat_ms: 1, chats });
const said = (seq, sender = bob, more = {}) => ({ type: 'message', chat_id: 5, seq, id: seq, sender, text: `m${seq}`, timestamp: at, ...more });
const frames = (state, ...list) => list.reduce((now, frame) => reduce(now, { type: 'frame', frame, now: 0 }), state);
const start = (...chats) => frames(reduce(initial, { type: 'signed_in', user: me }), ready(chats));
const chat = (state, id = 5) => state.chats.get(id);

test('the newest message follows its events, deleted ones included', () => {
  let state = start(view(5, 3, { last_message: lastOf(2) }));
  assert.equal(chat(state).lastMessage.text, 'm2');
  state = frames(state, { ...said(2), type: 'edited', seq: 4, text: 'new' });
  assert.equal(chat(state).lastMessage.text, 'new');
  state = frames(state, said(5));
  assert.deepEqual(chat(state).lastMessage, { id: 5, sender: bob, text: 'm5', timestamp: at });
  state = frames(state, { ...said(2), type: 'edited', seq: 6, text: 'older' }, { type: 'deleted', chat_id: 5, seq: 7, id: 5, by: 2, timestamp: at });
  assert.deepEqual([chat(state).lastMessage.text, chat(state).lastMessage.deleted], ['', true]);
});

test('a view that is older than the events takes nothing back, and what it counted is not counted again', () => {
  let state = frames(start(view(5, 3, { last_message: lastOf(3) })), said(4));
  state = frames(state, ready([view(5, 6, { last_read: 3, unread: 3, last_message: lastOf(6) })]));
  state = frames(state, said(5), said(6));
  assert.equal(chat(state).lastMessage.id, 6);
  state = frames(state, said(7), ready([view(5, 6, { last_message: lastOf(6) })]));
  assert.equal(chat(state).lastMessage.id, 7);
  // A chat that woke goes on before the message that woke it, which its view counts.
  state = frames(state, { type: 'chat', chat: view(7, 3, { last_read: 3, unread: 1, last_message: lastOf(4) }) });
  state = frames(state, { ...said(4), chat_id: 7 });
  assert.equal(chat(state, 7).unread, 1);
  assert.equal(frames(state, { ...said(5), chat_id: 7 }).chats.get(7).unread, 2);
});

test('who comes and goes is counted once', () => {
  const member = (seq, change) => ({ type: 'member', chat_id: 5, seq, user: bob, change, by: 2, timestamp: at });
  let state = frames(start(view(5, 3)), member(4, 'joined'));
  assert.equal(chat(state).memberCount, 4);
  state = frames(state, ready([view(5, 6, { member_count: 2 })]), member(5, 'left'), member(6, 'removed'), member(7, 'joined'));
  assert.equal(chat(state).memberCount, 3);
});

test('a peer is online as the list or a signal says, and after a reconnect only as the list says', () => {
  const peer = (status) => ({ chat_type: 'private', peer: { ...bob, status } });
  let state = start(view(5, 3, peer('online')));
  assert.equal(state.online.has(2), true);
  state = frames(state, { type: 'presence', user_id: 2, status: 'offline' });
  assert.equal(state.online.has(2), false);
  state = frames(state, { type: 'presence', user_id: 2, status: 'online' }, ready([view(5, 3, peer('offline'))]));
  assert.equal(state.online.has(2), false);
  assert.equal(chat(frames(state, said(4, { ...bob, name: 'Robert' }))).peer.name, 'Robert');
});

test('the list shows a time, a day, or a day of another year', () => {
  const now = Date.parse('2026-03-10T12:00:00Z');
  assert.match(shortTime('2026-03-10T11:00:00Z', now), /\d:\d\d/);
  assert.match(shortTime('2026-01-05T11:00:00Z', now), /^\D*5\D*$/);
  assert.match(shortTime('2025-03-10T11:00:00Z', now), /10.*2025/);
});

test('a signal is newer than an answer that was asked for before it', () => {
  const members = (status) => [{ id: 1, status: 'offline', last_read: 0 }, { id: 2, status, last_read: 0 }];
  const before = reduce(start(view(5, 3)), { type: 'open', chatId: 5 });
  const { signals: asked } = before;
  let state = frames(before, { type: 'presence', user_id: 2, status: 'online' }, { type: 'chat_settings', chat_id: 5, settings: { muted: true } });
  state = reduce(state, { type: 'members', chatId: 5, members: members('offline'), next: null, asked });
  assert.deepEqual([...state.online], [1, 2], 'oneself is online, too');
  state = reduce(state, { type: 'found', view: view(5, 3, { settings: { pinned: true } }), asked });
  assert.deepEqual(chat(state).settings, { muted: true });

  // Asked for afterwards, it is newer.
  state = reduce(state, { type: 'found', view: view(5, 3, { settings: { pinned: true } }), asked: state.signals });
  state = reduce(state, { type: 'members', chatId: 5, members: members('offline'), next: null, asked: state.signals });
  assert.deepEqual([[...state.online], chat(state).settings], [[1], { pinned: true }]);

  // The next page of members says nothing of the first one's, and comes once.
  state = reduce(state, { type: 'members', chatId: 5, members: members('offline'), next: 2, asked: state.signals });
  state = frames(state, { type: 'presence', user_id: 2, status: 'online' });
  const more = { type: 'members', chatId: 5, members: [{ id: 3, status: 'online', last_read: 0 }], next: 3, asked: state.signals, after: 2 };
  state = reduce(reduce(state, more), more);
  assert.deepEqual([[...state.online], chat(state).members.map(({ id }) => id)], [[1, 2, 3], [1, 2, 3]]);
});

test('who was online in the open chat still is, until the members are told again', () => {
  let state = reduce(start(view(5, 3)), { type: 'open', chatId: 5 });
  state = reduce(state, { type: 'members', chatId: 5, members: [{ id: 2, status: 'online', last_read: 0 }], next: null, asked: state.signals });
  assert.deepEqual([...frames(state, ready([view(5, 3)])).online], [1, 2]);
  assert.deepEqual([...frames(state, ready([view(5, 3)], 'e2')).online], [1]);
});

test('a muted chat calls for nothing, an archived one comes back with a message unless it is muted', () => {
  let state = start(view(5, 3, { unread: 2, last_read: 1, settings: { muted: true, archived: true } }), view(6, 1, { unread: 1 }));
  assert.equal(totalUnread(state), 1);
  assert.equal(totalUnread(frames(state, { type: 'chat_settings', chat_id: 5, settings: { muted: true } })), 1);
  state = frames(state, said(4));
  assert.deepEqual([chat(state).settings.archived, totalUnread(state)], [true, 1]);
  state = frames(state, { type: 'chat_settings', chat_id: 5, settings: { archived: true } }, said(5));
  assert.equal(Boolean(chat(state).settings.archived), false);
  // A view that was made before the message, and comes after it.
  state = frames(state, { type: 'chat', chat: view(5, 4, { unread: 3, last_read: 1, settings: { archived: true } }) });
  assert.equal(Boolean(chat(state).settings.archived), false);
  assert.equal(totalUnread(state), 5);
});

test('reading and writing end that a chat is marked as unread', () => {
  const marked = start(view(5, 3, { settings: { marked_unread: true, pinned: true } }));
  for (const next of [
    frames(marked, { type: 'read', chat_id: 5, user_id: 1, message_id: 3 }),
    reduce(marked, { type: 'read', chatId: 5, messageId: 3 }),
    frames(marked, said(4, me)),
  ]) {
    assert.deepEqual([Boolean(chat(next).settings.marked_unread), chat(next).settings.pinned], [false, true]);
  }
  assert.equal(chat(frames(marked, said(4))).settings.marked_unread, true);
  assert.equal(chat(frames(marked, { type: 'read', chat_id: 5, user_id: 2, message_id: 3 })).settings.marked_unread, true);
});

test('further pages of the list are listed, and live only once the server says so', () => {
  const many = Array.from({ length: READY_CHATS }, (_, place) => view(1_000 - place, 1));
  let state = start(...many);
  assert.equal(state.nextChats, 1_000 - READY_CHATS + 1);
  assert.equal(start(view(5, 3)).nextChats, null);
  state = reduce(state, { type: 'chats', views: [view(1_000, 9), view(5, 3), view(6, 3)], next: null });
  assert.deepEqual([chat(state, 1_000).cursor, state.order.slice(-2), state.nextChats], [1, [5, 6], null]);
  assert.equal(5 in resumePoint(state).cursors, false);
  state = frames(state, { type: 'subscribed', id: null, chat: view(5, 4) });
  assert.equal(resumePoint(state).cursors[5], 4);
  assert.equal(state.order.includes(6), true);
  // Of those that are live the cursors were sent; the others are asked for again.
  state = frames(state, ready(many));
  assert.deepEqual([state.chats.has(5), state.chats.has(6), state.order.at(-1)], [true, false, 5]);
  assert.equal(frames(state, ready(many, 'e2')).chats.has(5), false);
  assert.equal(reduce(state, { type: 'found', view: view(7, 1) }).order.at(-1), 7);
});

test('one person has one name and one face', () => {
  assert.equal(nameOf({ username: 'bob' }), 'bob');
  assert.equal(nameOf(bob), 'Bob B.');
  const names = Array.from({ length: 400 }, (_, number) => `person ${number}`);
  const faces = new Set(names.map(hueOf));
  assert.equal(faces.size, 16, 'no colour is left out');
  assert.equal(hueOf('Боб'), hueOf('Боб'));
});
