// Which new messages somebody is told of who looks elsewhere, and in which words.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isOver, news, notices, together } from '../notifications.js';
import { initial, reduce } from '../store.js';

const me = { id: 1, username: 'ann', name: 'Ann', role: 'user' };
const bob = { id: 2, username: 'bob', name: 'Bob B.' };
const at = '2026-01-01T10:00:00.000Z';
const view = (id, seq, more = {}) => ({ id, name: `chat ${id}`, chat_type: 'group', seq, last_read: seq, unread: 0, member_count: 3, ...more });
const lastOf = (id, more = {}) => ({ id, sender: bob, text: `m${id}`, timestamp: at, ...more });
const ready = (chats, epoch = 'e1') => ({ type: 'ready', user: me, epoch, heartbeat_ms: 1, chats });
const said = (seq, more = {}) => ({ type: 'message', chat_id: 5, seq, id: seq, sender: bob, text: `m${seq}`, timestamp: at, ...more });
const frames = (state, ...list) => list.reduce((now, frame) => reduce(now, { type: 'frame', frame, now: 0 }), state);
const start = (...chats) => frames(reduce(initial, { type: 'signed_in', user: me }), ready(chats));
const after = (state, ...list) => news(frames(state, ...list), state);

test('a message of somebody else is news', () => {
  const state = start(view(5, 3));
  assert.deepEqual(after(state, said(4)), [{ chatId: 5, id: 4, count: 1 }]);
  assert.deepEqual(after(state, said(4), said(5)), [{ chatId: 5, id: 5, count: 2 }]);
  const first = { type: 'chat', chat: view(7, 1, { chat_type: 'private', last_read: 0, unread: 1, last_message: lastOf(1) }) };
  assert.deepEqual(after(state, first), [{ chatId: 7, id: 1, count: 1 }], 'the first one of a new chat');
});

test('what one wrote, has read, muted, archived or was put into by a stranger is none', () => {
  const state = start(view(5, 3));
  assert.deepEqual(after(state, said(4, { sender: me })), []);
  assert.deepEqual(after(state, said(4), { type: 'read', chat_id: 5, user_id: 1, message_id: 4 }), [], 'on another device');
  assert.deepEqual(after(state, said(4), { type: 'deleted', chat_id: 5, seq: 5, id: 4, by: 2, timestamp: at }), []);
  assert.deepEqual(after(state, { type: 'typing', chat_id: 5, user: bob }), []);
  assert.deepEqual(after(start(view(5, 3, { settings: { muted: true } })), said(4)), []);
  assert.deepEqual(after(start(view(5, 3, { settings: { archived: true, muted: true } })), said(4)), []);
  assert.equal(after(start(view(5, 3, { settings: { archived: true } })), said(4)).length, 1, 'it came back from the archive');
  assert.deepEqual(after(start(view(5, 3, { invited_by: bob })), said(4)), []);
});

test('nothing is new in the first list, in a page of the list, and in another database', () => {
  const unread = view(5, 9, { last_read: 3, unread: 6, last_message: lastOf(9) });
  const signedIn = reduce(initial, { type: 'signed_in', user: me });
  assert.deepEqual(after(signedIn, ready([unread])), []);
  const state = start(view(6, 1));
  assert.deepEqual(after(state, ready([unread], 'e2')), []);
  assert.deepEqual(news(reduce(state, { type: 'chats', views: [unread], next: null }), state), []);
});

test('what was missed without a connection is told once for each chat', () => {
  const state = start(view(5, 3, { last_message: lastOf(3) }), view(6, 3));
  const back = frames(state, ready([view(5, 9, { last_read: 3, unread: 6, last_message: lastOf(9) }), view(6, 3)]));
  assert.deepEqual(news(back, state), [{ chatId: 5, id: 9, count: 6 }]);
  assert.deepEqual(after(back, said(4), said(5), said(9)), [], 'and not again as the messages come');
  assert.equal(after(back, said(10)).length, 1);
});

test('a burst is one notification, and an absence of many chats, too', () => {
  const joined = together([{ chatId: 5, id: 4, count: 1 }], [{ chatId: 5, id: 6, count: 2 }, { chatId: 6, id: 1, count: 1 }]);
  assert.deepEqual(joined, [{ chatId: 5, id: 6, count: 3 }, { chatId: 6, id: 1, count: 1 }]);
  const state = start(...[5, 6, 7, 8].map((id) => view(id, 9, { last_message: lastOf(9) })));
  const found = [5, 6, 7, 8].map((chatId) => ({ chatId, id: 9, count: 300 }));
  const [all, ...others] = notices(found, state, { text: true });
  assert.deepEqual([all.chatId, all.body, others.length], [null, '1,200 new messages in 4 chats', 0]);
  assert.equal(notices(found.slice(1), state, { text: true }).length, 3);
});

test('it says who wrote and what, without its formatting, as far as that is wanted', () => {
  const shown = (more, { count = 1, text = true } = {}) => {
    const [{ title, body }] = notices([{ chatId: 5, id: 9, count }], start(view(5, 9, { last_message: lastOf(9), ...more })), { text });
    return [title, body];
  };
  assert.deepEqual(shown({}), ['chat 5', 'Bob B.: m9']);
  assert.deepEqual(shown({ chat_type: 'private', name: 'Bob B.', last_message: lastOf(9, { text: '**hi**\n\n`there`' }) }), ['Bob B.', 'hi there']);
  assert.deepEqual(shown({}, { count: 3 }), ['chat 5', '3 new messages\nBob B.: m9']);
  assert.deepEqual(shown({}, { text: false }), ['chat 5', '1 new message']);
  assert.deepEqual(shown({ chat_type: 'private', invited_by: bob }), ['Switchboard', '@bob wants to write to you.']);
  assert.equal([...shown({ chat_type: 'private', last_message: lastOf(9, { text: '🎉'.repeat(4_000) }) })[1]].length, 200);
});

test('it is over once the messages were read, or the chat is silent or gone', () => {
  const state = start(view(5, 3, { last_read: 2, unread: 1, last_message: lastOf(3) }));
  const [notice] = notices([{ chatId: 5, id: 3, count: 1 }], state, { text: true });
  assert.equal(isOver(notice, state), false);
  assert.equal(isOver(notice, frames(state, { type: 'read', chat_id: 5, user_id: 1, message_id: 3 })), true);
  assert.equal(isOver(notice, frames(state, { type: 'chat_settings', chat_id: 5, settings: { muted: true } })), true);
  assert.equal(isOver(notice, frames(state, { type: 'chat_removed', chat_id: 5 })), true);
});
