// The window with two edges against a chat that others write to: no message is lost or doubled, and whoever reads
// keeps the place.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MAX_ITEMS } from '../message-window.js';
import { slices } from '../page-slices.js';
import { initial, reduce } from '../store.js';

const me = { id: 1, username: 'ann', name: 'Ann', role: 'user' };
const bob = { id: 2, username: 'bob' };
const TIME = '2026-01-01T10:00:00.000Z';
const PAGE = 10;
const SLICE = 4;

/** Numbers by chance that are the same at each run (mulberry32). */
function chance(seed) {
  let at = seed;
  return (below) => {
    at = (at + 0x6d2b79f5) | 0;
    let t = Math.imul(at ^ (at >>> 15), 1 | at);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 4294967296) * below);
  };
}

/** A server with one chat: what it holds, and the events that were not heard yet. */
class Server {
  seq = 0;
  messages = new Map();
  unheard = [];

  post(sender = bob) {
    this.seq += 1;
    const message = { id: this.seq, sender, text: `m${this.seq}`, editedAt: undefined };
    this.messages.set(message.id, message);
    this.unheard.push({ type: 'message', chat_id: 5, seq: this.seq, id: message.id, sender, text: message.text, timestamp: TIME });
  }

  edit(id) {
    const old = this.messages.get(id);
    if (!old) return;
    this.seq += 1;
    const message = { ...old, text: `m${id} of ${this.seq}`, editedAt: String(this.seq).padStart(9, '0') };
    this.messages.set(id, message);
    this.unheard.push({ type: 'edited', chat_id: 5, seq: this.seq, id, sender: old.sender, text: message.text, edited_at: message.editedAt, timestamp: TIME });
  }

  remove(id) {
    if (!this.messages.delete(id)) return;
    this.seq += 1;
    this.unheard.push({ type: 'deleted', chat_id: 5, seq: this.seq, id, by: 2, timestamp: TIME });
  }

  /** As the api answers: `before`, `after`, `around` or the newest. */
  page({ before, after, around }) {
    const all = [...this.messages.values()].sort((one, other) => one.id - other.id);
    const [upTo, behind] = [Math.ceil(PAGE / 2), Math.floor(PAGE / 2)];
    let messages = all.slice(-PAGE);
    if (before !== undefined) messages = all.filter((row) => row.id < before).slice(-PAGE);
    if (after !== undefined) messages = all.filter((row) => row.id > after).slice(0, PAGE);
    let [older, newer] = [messages.length === PAGE, messages.length === PAGE];
    if (around !== undefined) {
      const [past, next] = [all.filter((row) => row.id <= around).slice(-upTo), all.filter((row) => row.id > around).slice(0, behind)];
      messages = [...past, ...next];
      [older, newer] = [past.length === upTo, next.length === behind];
    } else if (before === undefined && after === undefined) newer = false;
    return { messages: messages.map((row) => ({ kind: 'message', timestamp: TIME, ...row })), older, newer };
  }
}

class Page {
  asked = [];

  constructor(server, view) {
    this.server = server;
    const ready = { type: 'ready', user: me, epoch: 'e', heartbeat_ms: 1, chats: [view] };
    this.state = [{ type: 'signed_in', user: me }, { type: 'frame', frame: ready, now: 0 }, { type: 'open', chatId: 5 }].reduce(reduce, initial);
  }

  get chat() {
    return this.state.chats.get(5);
  }

  do(action) {
    this.state = reduce(this.state, action);
  }

  hear() {
    const frame = this.server.unheard.shift();
    if (frame) this.do({ type: 'frame', frame, now: 0 });
  }

  /** The server reads the page now; it comes with `answer`. */
  ask(edge, where) {
    const { cursor, generation } = this.chat;
    this.asked.push({ type: 'history', chatId: 5, edge, generation, coversTo: cursor, from: where.before ?? where.after, ...this.server.page(where) });
  }

  /** A page comes, or of one beside the window the next slice. */
  answer() {
    let page = this.asked.shift();
    if (!page) return;
    if (page.isLast === undefined) page.coversTo = Math.max(page.coversTo, page.messages.at(-1)?.id ?? 0);
    if (page.edge !== 'page' && page.isLast === undefined) {
      const [first, ...others] = slices(page, SLICE);
      this.asked.unshift(...others);
      page = first;
    }
    this.do(page);
  }
}

const view = (seq, more = {}) => ({ id: 5, name: 'c', chat_type: 'group', seq, last_read: seq, unread: 0, ...more });

/** What the window must hold once everything has been heard. */
function assertTrue({ chat, server }) {
  const { items, complete, later } = chat;
  const ids = items.map((item) => item.id);
  assert.deepEqual(ids, [...new Set(ids)].sort((one, other) => one - other), 'in order, each once');
  if (server.unheard.length > 0 || !chat.loaded) return;
  const all = [...server.messages.values()].sort((one, other) => one.id - other.id);
  const from = complete ? 0 : (ids[0] ?? Infinity);
  const to = later === null ? Infinity : (ids.at(-1) ?? 0);
  const expected = all.filter((row) => row.id >= from && row.id <= to);
  assert.deepEqual(items.map((item) => item.text), expected.map((row) => row.text));
  if (later) assert.deepEqual(later.items.map((item) => item.text), all.filter((row) => row.id > later.after).map((row) => row.text));
  assert.ok(ids.length <= MAX_ITEMS);
}

test('whatever comes in whatever order, nothing is lost or doubled', () => {
  for (let seed = 1; seed <= 60; seed += 1) {
    const random = chance(seed);
    const server = new Server();
    for (let n = random(500); n > 0; n -= 1) server.post();
    server.unheard = [];
    const page = new Page(server, view(server.seq));
    page.ask('page', {});
    page.answer();
    for (let step = 0; step < 1_500; step += 1) {
      const { chat } = page;
      const [first, last] = [chat.items[0]?.id, chat.items.at(-1)?.id];
      const anchor = chat.items[random(chat.items.length)];
      const before = { generation: chat.generation, loaded: chat.loaded };
      let kept = anchor;
      switch (random(12)) {
        case 0: case 1: case 2:
          server.post(random(5) ? bob : me);
          break;
        case 3:
          server.edit(1 + random(server.seq));
          break;
        case 4:
          server.remove(random(3) ? 1 + random(server.seq) : (first ?? 1));
          break;
        case 5: case 6: case 7:
          page.hear();
          kept = chat.follows ? undefined : anchor;
          break;
        case 8:
          if (page.asked.length === 0 && chat.loaded && !chat.complete && first) page.ask('older', { before: first });
          break;
        case 9:
          if (page.asked.length === 0 && chat.loaded && chat.later && last) page.ask('newer', { after: last });
          break;
        case 10: {
          // Who asked for more on a side reads there.
          const edge = page.asked[0]?.edge;
          kept = edge === 'older' ? chat.items[0] : chat.items.at(-1);
          page.answer();
          break;
        }
        default:
          page.do({ type: 'follows', chatId: 5, follows: random(2) === 0 });
          if (page.asked.length === 0 && (random(20) === 0 || !chat.loaded)) page.ask('page', random(2) ? {} : { around: random(server.seq + 1) });
      }
      assertTrue(page);
      const isSame = before.loaded && page.chat.loaded && page.chat.generation === before.generation;
      if (kept && isSame && !page.chat.deleted.has(kept.id)) {
        assert.ok(page.chat.items.some((item) => item.id === kept.id), `seed ${seed}, step ${step}: the place of ${kept.id} was lost`);
      }
    }
    while (page.asked.length > 0) page.answer();
    while (server.unheard.length > 0) page.hear();
    assertTrue(page);
  }
});

test('whoever reads far back keeps the place whatever is written, and whoever is at the newest sees it', () => {
  for (const follows of [false, true]) {
    const server = new Server();
    for (let n = 0; n < 1_000; n += 1) server.post();
    server.unheard = [];
    const page = new Page(server, view(server.seq));
    page.ask('page', { around: 500 });
    page.answer();
    if (follows) {
      page.ask('page', {});
      page.answer();
    }
    page.do({ type: 'follows', chatId: 5, follows });
    const before = page.chat.items[0].id;
    for (let n = 0; n < 600; n += 1) {
      server.post();
      page.hear();
    }
    assert.equal(page.chat.items[0].id === before, !follows);
    assert.equal(page.chat.later === null, follows);
    assertTrue(page);
  }
});

test('reading on from far back arrives at the newest', () => {
  const server = new Server();
  for (let n = 0; n < 2_000; n += 1) server.post();
  server.unheard = [];
  const page = new Page(server, view(server.seq, { last_read: 3, unread: 1_997 }));
  page.ask('page', { around: 3 });
  page.answer();
  assert.equal(page.chat.start.at, 'new');
  assert.equal(page.chat.complete, true);
  let pages = 0;
  while (page.chat.later) {
    server.post();
    page.ask('newer', { after: page.chat.items.at(-1).id });
    page.hear();
    while (page.asked.length > 0) page.answer();
    pages += 1;
    assertTrue(page);
    assert.ok(pages < 300);
  }
  assert.equal(page.chat.items.at(-1).id, server.seq);
  assert.equal(page.chat.complete, false);
});

test('a page in slices ends as the page would, and one fetches until its last slice', () => {
  for (const edge of ['older', 'newer']) {
    for (const [count, isMore] of [[0, false], [1, false], [7, false], [8, false], [10, true]]) {
      const ids = Array.from({ length: count }, (_, n) => (edge === 'older' ? 100 - count + n : 101 + n));
      const messages = ids.map((id) => ({ kind: 'message', id, sender: bob, text: `m${id}`, timestamp: TIME }));
      const whole = { type: 'history', chatId: 5, edge, messages, older: edge === 'newer' || isMore, newer: edge === 'older' || isMore, from: 100, coversTo: 900 };
      const page = new Page(new Server(), view(900));
      page.do({ ...whole, edge: 'page', generation: page.chat.generation, messages: [{ kind: 'message', id: 100, sender: bob, text: 'm100', timestamp: TIME }], older: true, newer: true });
      page.do({ type: 'fetching', chatId: 5, edge });
      const { generation } = page.chat;
      const after = reduce(page.state, { ...whole, generation }).chats.get(5);
      assert.equal(after.items.length, count + 1);
      for (const slice of slices(whole, 4)) {
        assert.deepEqual(page.chat.history, { edge, error: null });
        page.do({ ...slice, generation });
      }
      assert.deepEqual(page.chat, after);
    }
  }
});

test('what is unread is counted by what is in memory, or the server is asked', () => {
  const server = new Server();
  for (let n = 0; n < 2_000; n += 1) server.post(n % 2 ? bob : me);
  server.unheard = [];
  const page = new Page(server, view(server.seq, { last_read: 100, unread: 1_900 }));
  page.ask('page', { around: 100 });
  page.answer();
  page.do({ type: 'read', chatId: 5, messageId: 104 });
  assert.deepEqual([page.chat.unread, page.chat.unsure], [1_898, false]);
  // On another device, further than this one knows.
  page.do({ type: 'frame', frame: { type: 'read', chat_id: 5, user_id: 1, message_id: 1_500 }, now: 0 });
  assert.deepEqual([page.chat.unread, page.chat.unsure], [1_898, true]);
  server.post();
  page.hear();
  page.do({ type: 'recount', view: view(2_000, { last_read: 1_500, unread: 500 }) });
  assert.deepEqual([page.chat.unread, page.chat.unsure], [501, false]);
  page.do({ type: 'frame', frame: { type: 'read', chat_id: 5, user_id: 1, message_id: 2_001 }, now: 0 });
  assert.equal(page.chat.unread, 0);
});
