// What is asked of the server while somebody reads, and when the read mark is told.

import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { Reading } from '../reading.js';
import { Store } from '../store.js';

const me = { id: 1, username: 'ann', name: 'Ann', role: 'user' };
const TIME = '2026-01-01T10:00:00.000Z';

let asked;
let timers;
let told;
let store;
let reading;
let answer;

/** A server with messages 1 to 5,000. */
function serve(path) {
  const url = new URL(path, 'http://example');
  asked.push(url.pathname + url.search);
  const number = (name) => (url.searchParams.has(name) ? Number(url.searchParams.get(name)) : undefined);
  const [limit, before, after, around] = ['limit', 'before', 'after', 'around'].map(number);
  let from = 5_000 - limit;
  if (before !== undefined) from = before - 1 - limit;
  if (after !== undefined) from = after;
  if (around !== undefined) from = around - limit / 2;
  const ids = Array.from({ length: limit }, (_, n) => from + n + 1).filter((id) => id > 0 && id <= 5_000);
  return ids.map((id) => ({ id, sender_id: 2, username: 'bob', text: `m${id}`, timestamp: TIME }));
}

beforeEach(() => {
  [asked, timers, told] = [[], [], []];
  answer = serve;
  globalThis.setTimeout = (run) => timers.push(run);
  globalThis.clearTimeout = (id) => {
    if (id) timers[id - 1] = null;
  };
  globalThis.fetch = async (path) => {
    const body = answer(path);
    return { ok: true, json: async () => body };
  };
  store = new Store();
  reading = new Reading(store, (frame) => told.push(frame), (error) => error.message || 'no', async () => {});
  const view = { id: 5, name: 'c', chat_type: 'group', seq: 5_000, last_read: 1_000, unread: 4_000 };
  store.dispatch({ type: 'signed_in', user: me });
  store.dispatch({ type: 'frame', frame: { type: 'ready', user: me, epoch: 'e', chats: [view] }, now: 0 });
});

const chat = () => store.state.chats.get(5);
const settle = async () => {
  for (let n = 0; n < 20; n += 1) await null;
};

async function open() {
  store.dispatch({ type: 'open', chatId: 5 });
  reading.enter();
  reading.fill(chat());
  reading.fill(chat());
  await settle();
}

test('a chat opens with one page around the first unread message, and a page is asked for once', async () => {
  await open();
  reading.fill(chat());
  assert.deepEqual(asked, ['/chats/5/messages?limit=100&around=1000']);
  assert.deepEqual([chat().items[0].id, chat().items.at(-1).id, chat().start.at], [951, 1_050, 'new']);
  reading.extend(5, 'newer');
  reading.extend(5, 'newer');
  reading.extend(5, 'older');
  await settle();
  assert.deepEqual(asked.slice(1), ['/chats/5/messages?limit=50&after=1050']);
  reading.extend(5, 'older');
  await settle();
  assert.deepEqual(asked.slice(2), ['/chats/5/messages?limit=50&before=951']);
});

test('a page beside the window is drawn over several frames, and no other is asked for meanwhile', async () => {
  await open();
  const frames = [];
  reading = new Reading(store, () => {}, () => 'no', () => new Promise((draw) => frames.push(draw)));
  reading.extend(5, 'older');
  await settle();
  const lengths = [];
  while (frames.length > 0) {
    lengths.push(chat().items.length);
    assert.deepEqual(chat().history, { edge: 'older', error: null });
    reading.extend(5, 'older');
    reading.extend(5, 'newer');
    frames.shift()();
    await settle();
  }
  assert.ok(lengths.length > 2 && lengths.every((length, n) => length > (lengths[n - 1] ?? 100)), String(lengths));
  assert.deepEqual([chat().items.length, chat().history, asked.length], [150, null, 2]);
});

test('the last wish counts: a page for an earlier one is thrown away', async () => {
  await open();
  const quote = reading.showMessage(5, 20);
  const newest = reading.showNewest(5);
  await Promise.all([quote, newest]);
  assert.equal(chat().items.at(-1).id, 5_000);
  assert.equal(chat().later, null);
});

test('a quote leads to its message, or it is said that there is none', async () => {
  await open();
  assert.equal(await reading.showMessage(5, 20), true);
  assert.deepEqual(chat().start, { at: 'message', id: 20, flash: true });
  const before = chat().items;
  answer = (path) => serve(path).filter((message) => message.id !== 3_000);
  assert.equal(await reading.showMessage(5, 3_000), false);
  assert.equal(chat().items, before, 'the reader stays where they are');
  assert.ok(chat().deleted.has(3_000));
});

test('what is quoted and not there is fetched once, several at once, the newest first', async () => {
  const replies = new Map([[1_010, 3], [1_011, 3], [1_012, 1_011], [1_013, 7]]);
  answer = (path) => {
    const list = serve(path.replace(/limit=1&around=(\d+)/, (_, id) => `limit=1&before=${Number(id) + 1}`));
    return list.map((message) => ({ ...message, reply_to: replies.get(message.id) })).map((message) => (message.id === 7 ? { ...message, id: 6 } : message));
  };
  await open();
  assert.deepEqual(asked.slice(1), ['/chats/5/messages?limit=1&before=4', '/chats/5/messages?limit=1&before=8']);
  assert.equal(chat().quotes.get(3).text, 'm3');
  assert.ok(chat().deleted.has(7), 'the one before it came instead');
  reading.extend(5, 'newer');
  await settle();
  assert.equal(asked.length, 4, 'and then only the page');
  const quoting = (id) => ({ kind: 'message', id, sender: { id: 2 }, text: '', replyTo: id - 900 });
  const messages = Array.from({ length: 15 }, (_, n) => quoting(1_101 + n));
  store.dispatch({ type: 'history', chatId: 5, edge: 'newer', generation: chat().generation, from: chat().items.at(-1).id, messages, newer: true });
  await reading.quote(5);
  assert.equal(asked.length, 4 + 10);
  assert.ok(asked.at(-1).endsWith('before=216'), 'of the newest quotes');
});

test('a server of the version before, which knows no page around a message, shows its newest', async () => {
  answer = (path) => serve(path.replace(/&around=\d+/, ''));
  await open();
  assert.equal(chat().items.at(-1).id, 5_000);
  assert.equal(chat().complete, false);
});

test('a failure is told once and asked again when somebody says so', async () => {
  answer = () => {
    throw new Error('down');
  };
  await open();
  assert.deepEqual(chat().history, { edge: 'page', error: 'no' });
  reading.fill(chat());
  assert.equal(asked.length, 0);
  answer = serve;
  reading.retry(5);
  await settle();
  assert.equal(chat().items.length, 100);
});

test('the read mark moves with the reader, not oftener than once a second', async () => {
  await open();
  for (let id = 1_001; id <= 1_040; id += 1) reading.read(5, id);
  assert.deepEqual(told.map((frame) => frame.message_id), [1_001]);
  assert.equal(chat().unread, 3_999);
  timers.at(-1)();
  assert.deepEqual(told.map((frame) => frame.message_id), [1_001, 1_040]);
  assert.equal(chat().unread, 3_960);
  reading.read(5, 1_010);
  timers.at(-1)();
  assert.equal(told.length, 2, 'it never goes back');
  reading.read(5, 1_045);
  reading.read(5, 1_046);
  reading.enter();
  assert.equal(told.at(-1).message_id, 1_046, 'leaving the chat tells it at once');
  reading.markAllRead(5);
  assert.equal(told.at(-1).message_id, 5_000);
});
