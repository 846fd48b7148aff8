// The state against the frames of a server, in and out of order.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { known } from '../message-window.js';
import { initial, reduce, resumePoint, totalUnread } from '../store.js';
import { charsIn, isEmoji, pieces } from '../text.js';
import { rows } from '../timeline.js';

const me = { id: 1, username: 'ann', name: 'Ann', role: 'user' };
const bob = { id: 2, username: 'bob' };
const view = (id, seq, more = {}) => ({ id, name: `chat ${id}`, chat_type: 'group', seq, last_read: seq, unread: 0, ...more });
const ready = (chats, epoch = 'e1') => ({ type: 'ready', user: me, epoch, heartbeat_ms: 1, chats });
const said = (seq, sender = bob, more = {}) => ({
  type: 'message', chat_id: 5, seq, id: seq, sender, text: `m${seq}`, timestamp: '2026-01-01T10:00:00.000Z', ...more,
});
const frames = (state, ...list) => list.reduce((now, frame) => reduce(now, { type: 'frame', frame, now: 0 }), state);
const start = (...chats) => frames(reduce(initial, { type: 'signed_in', user: me }), ready(chats));
const texts = (state) => known(state.chats.get(5)).map((item) => item.text);
/** Chat 5 with these messages before the ones that events tell of. */
const loaded = (state, messages = []) => reduce(state, { type: 'history', chatId: 5, edge: 'page', generation: 0, messages, older: false, newer: false, coversTo: 3 });

test('an event is applied once', () => {
  const state = frames(start(view(5, 3)), said(3), said(4), said(4), said(5));
  assert.deepEqual(texts(state), ['m4', 'm5']);
  assert.equal(state.chats.get(5).unread, 2);
  assert.deepEqual(resumePoint(state), { epoch: 'e1', cursors: { 5: 5 } });
});

test('what was missed is not counted twice', () => {
  let state = frames(start(view(5, 3)), said(4));
  state = frames(state, ready([view(5, 6, { last_read: 3, unread: 3 })]));
  assert.deepEqual(resumePoint(state).cursors, { 5: 4 });
  state = frames(state, said(5), said(6), { type: 'caught_up', chat_id: 5, seq: 6 }, said(7));
  assert.equal(totalUnread(state), 4);
  assert.deepEqual(texts(state), ['m4', 'm5', 'm6', 'm7']);
});

test('an own message is one bubble from sending to sent, whichever answer comes first', () => {
  const queue = { type: 'queue', chatId: 5, clientId: 'c', text: 'hi', at: '2026-01-01T10:00:00.000Z' };
  const ack = { type: 'ack', id: 'c', chat_id: 5, message_id: 4, seq: 4, timestamp: '2026-01-01T10:00:01.000Z' };
  const event = said(4, me, { client_message_id: 'c', text: 'hi' });
  for (const order of [[ack, event], [event, ack]]) {
    const state = frames(reduce(loaded(start(view(5, 3))), queue), ...order);
    assert.deepEqual(texts(state), ['hi']);
    assert.equal(state.chats.get(5).pending.length, 0);
    assert.equal(totalUnread(state), 0);
    assert.equal(rows({ ...state, open: 5 }).at(-1).key, 'cc');
  }
});

test('a refused message stays until it is tried again', () => {
  let state = reduce(start(view(5, 3)), { type: 'queue', chatId: 5, clientId: 'c', text: 'hi', at: 'x' });
  state = reduce(state, { type: 'failed', chatId: 5, clientId: 'c', error: 'No.' });
  assert.equal(state.chats.get(5).pending[0].error, 'No.');
  state = reduce(state, { type: 'queue', chatId: 5, clientId: 'c', text: 'hi', at: 'x' });
  assert.equal(state.chats.get(5).pending[0].error, null);
  assert.equal(state.chats.get(5).pending.length, 1);
});

test('history does not bring back what is gone, nor an older text, nor what was asked before a reset', () => {
  const row = (id, more = {}) => ({ kind: 'message', id, sender: bob, text: `m${id}`, timestamp: 't', ...more });
  let state = frames(
    start(view(5, 3)),
    said(4),
    { type: 'edited', chat_id: 5, seq: 5, ...said(4), ...{ type: 'edited', seq: 5, text: 'new', edited_at: '2' } },
    { type: 'deleted', chat_id: 5, seq: 6, id: 3, by: 2, timestamp: 't' },
  );
  const page = { type: 'history', chatId: 5, edge: 'page', generation: 0, messages: [row(2), row(3), row(4)], older: false, newer: false, coversTo: 6 };
  state = reduce(state, page);
  assert.deepEqual(texts(state), ['m2', 'new']);
  assert.equal(state.chats.get(5).complete, true);
  state = frames(state, { type: 'resync', chat_id: 5, seq: 9 });
  assert.deepEqual(reduce(state, page).chats.get(5).items, []);
  assert.equal(state.chats.get(5).loaded, false);
  assert.equal(resumePoint(state).cursors[5], 9);
});

test('another epoch forgets everything', () => {
  const state = frames(start(view(5, 3)), said(4), ready([view(5, 1)], 'e2'));
  assert.deepEqual(texts(state), []);
  assert.deepEqual(resumePoint(state), { epoch: 'e2', cursors: { 5: 1 } });
});

test('a woken chat is fetched again, a renamed one is not', () => {
  const state = frames(loaded(start(view(5, 3))), said(4));
  const renamed = frames(state, { type: 'renamed', chat_id: 5, seq: 5, name: 'new', by: 2, timestamp: '2026-01-01T10:00:00.000Z' });
  assert.equal(renamed.chats.get(5).name, 'new');
  const note = rows({ ...renamed, open: 5 }).find((row) => row.kind === 'note');
  assert.deepEqual([note.change, note.what], ['renamed', 'new']);
  assert.deepEqual(texts(frames(renamed, said(5))), texts(renamed), 'it has a place like any other event');
  assert.deepEqual(texts(frames(state, { type: 'chat', chat: view(5, 9) })), []);
});

test('reading here or elsewhere clears the badge', () => {
  const state = frames(start(view(5, 3)), said(4), said(5));
  assert.equal(totalUnread(frames(state, { type: 'read', chat_id: 5, user_id: 1, message_id: 4 })), 1);
  assert.equal(totalUnread(reduce(state, { type: 'read', chatId: 5, messageId: 5 })), 0);
  assert.equal(totalUnread(frames(state, { type: 'deleted', chat_id: 5, seq: 6, id: 5, by: 2, timestamp: 't' })), 1);
});

test('typing ends by itself or with the message', () => {
  const typing = { type: 'typing', chat_id: 5, user: bob };
  const state = frames(start(view(5, 3)), typing);
  assert.equal(state.chats.get(5).typing.length, 1);
  assert.equal(frames(state, said(4)).chats.get(5).typing.length, 0);
  assert.equal(reduce(state, { type: 'tick', now: 10_000 }).chats.get(5).typing.length, 0);
  assert.equal(reduce(state, { type: 'tick', now: 10 }), state);
});

test('being removed closes the chat', () => {
  const state = reduce(start(view(5, 3), view(6, 1)), { type: 'open', chatId: 5 });
  const after = frames(state, { type: 'chat_removed', chat_id: 5 });
  assert.equal(after.open, null);
  assert.deepEqual(after.order, [6]);
});

test('rows: one day, one "new" line, groups of one sender', () => {
  let state = start(view(5, 3, { last_read: 4, unread: 1 }));
  state = reduce(state, { type: 'open', chatId: 5 });
  const { generation } = state.chats.get(5);
  state = frames(reduce(state, { type: 'history', chatId: 5, edge: 'page', generation, messages: [], older: false, newer: false, coversTo: 3 }), said(4), said(5), said(6));
  const drawn = rows(state);
  assert.deepEqual(drawn.map((row) => row.kind), ['day', 'message', 'new', 'message', 'message']);
  assert.deepEqual(drawn.filter((row) => row.kind === 'message').map((row) => row.first), [true, true, false]);
  assert.ok(rows(frames(state, said(7)), drawn).slice(0, 4).every((row, at) => row === drawn[at]), 'what looks the same is the same');
  const wrote = rows(frames(state, said(7, me)));
  assert.ok(!wrote.some((row) => row.kind === 'new'), 'who writes has read it');
  assert.equal(totalUnread(frames(state, said(7, me))), 0);
});

test('the "new" line stands where it is seen what comes before it', () => {
  const row = (id) => ({ kind: 'message', id, sender: bob, text: `m${id}`, timestamp: '2026-01-01T10:00:00.000Z' });
  const open = reduce(start(view(5, 900, { last_read: 4, unread: 890 })), { type: 'open', chatId: 5 });
  const { generation } = open.chats.get(5);
  const showing = (first, older) => {
    const messages = Array.from({ length: 10 }, (_, n) => row(first + n));
    return rows(reduce(open, { type: 'history', chatId: 5, edge: 'page', generation, messages, older, newer: true, coversTo: 900 })).findIndex(({ kind }) => kind === 'new');
  };
  assert.equal(showing(3, true), 3);
  assert.equal(showing(500, true), -1, 'the first that is loaded is not the first unread one');
  assert.equal(showing(5, false), 1, 'before the first message of all there is nothing');
});

test('addresses become links, a sentence around them does not', () => {
  const links = (text) => pieces(text).filter((piece) => piece.url).map((piece) => piece.text);
  for (const [text, ...expected] of [
    ['see https://a.example/x?y=1. ok', 'https://a.example/x?y=1'],
    ['https://en.wikipedia.org/wiki/Rust_(programming_language)', 'https://en.wikipedia.org/wiki/Rust_(programming_language)'],
    ['(https://de.wikipedia.org/wiki/Bundeshaus_(Bern))', 'https://de.wikipedia.org/wiki/Bundeshaus_(Bern)'],
    ['https://a.example/?q=[x], https://a.example/y]', 'https://a.example/?q=[x]', 'https://a.example/y'],
    ['https://example.com/a。次の文', 'https://example.com/a'],
    ['„https://example.com/a“', 'https://example.com/a'],
    ['https://example.com/a؟ https://example.com/b…', 'https://example.com/a', 'https://example.com/b'],
    ['Https://example.com', 'Https://example.com'],
    ['www.example.com/x.', 'www.example.com/x'],
    ['http://localhost:8000/x', 'http://localhost:8000/x'],
    ['javascript:alert(1) xhttps://a.example www.x https://'],
  ]) {
    assert.deepEqual(links(text), expected, text);
    assert.equal(pieces(text).map((piece) => piece.text).join(''), text, 'nothing is left out');
  }
  assert.equal(pieces('www.example.com')[0].url, 'http://www.example.com');
  assert.equal(isEmoji('🎉'), true);
  assert.equal(isEmoji('ok 🎉'), false);
  assert.equal(charsIn('🎉ok'), 3);
});

test('an invitation calls for no attention until it is accepted, and writing accepts it', () => {
  const invited = view(5, 3, { unread: 2, last_read: 1, invited_by: bob });
  let state = start(view(6, 1, { unread: 1 }), invited);
  assert.deepEqual(state.chats.get(5).invitedBy, bob);
  assert.equal(totalUnread(state), 1);
  state = frames(state, said(4));
  assert.equal(totalUnread(state), 1);
  assert.equal(totalUnread(reduce(state, { type: 'accepted', chatId: 5 })), 4);
  assert.equal(frames(state, said(5, me)).chats.get(5).invitedBy, null);
  const writes = { type: 'chat', chat: view(8, 1, { chat_type: 'private', unread: 1, invited_by: bob }) };
  assert.equal(totalUnread(frames(state, writes)), 2, 'a person who writes is heard');
  assert.deepEqual(frames(state, { type: 'chat', chat: view(7, 0, { invited_by: bob }) }).chats.get(7).invitedBy, bob);
});
