// Rows of the log as elements, without a browser: as much of a document as drawing needs.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { draw } from '../message-row.js';
import { initial, reduce } from '../store.js';
import { rows } from '../timeline.js';

class Element {
  children = [];
  attributes = {};
  classList = { add: () => {} };
  style = { setProperty: () => {} };
  dataset = {};

  setAttribute(name, value) {
    this.attributes[name] = value;
  }

  append(...children) {
    this.children.push(...children);
  }

  addEventListener() {}

  get textContent() {
    return this.children.map((child) => child.textContent ?? child).join('');
  }

  /** The first element of this class, in it. */
  find(name) {
    const own = String(this.attributes.class ?? '').split(' ').includes(name);
    return own ? this : this.children.map((child) => child.find?.(name)).find(Boolean);
  }
}

globalThis.document = { createElement: () => new Element(), createElementNS: () => new Element() };

const me = { id: 1, username: 'ann', name: 'Ann', role: 'user' };
const lobby = { id: 1, name: 'lobby', chat_type: 'room', seq: 0, last_read: 0, unread: 0 };
const said = (seq, sender) => ({
  type: 'message', chat_id: 1, seq, id: seq, sender, text: 'hi', timestamp: '2026-01-01T10:00:00.000Z',
});

/** The messages of the lobby, drawn. */
function drawn(...frames) {
  const ready = { type: 'ready', user: me, epoch: 'e', heartbeat_ms: 1, chats: [lobby] };
  const start = reduce(initial, { type: 'signed_in', user: me });
  const page = { type: 'history', chatId: 1, edge: 'page', generation: 0, messages: [], older: false, newer: false, coversTo: 0 };
  const hear = (now, frame) => reduce(now, { type: 'frame', frame, now: 0 });
  const state = frames.reduce(hear, reduce(hear(start, ready), page));
  return rows({ ...state, open: 1 }).filter((row) => row.kind === 'message').map((row) => draw(row, {}));
}

test('a guest is shown as one in every message, an account is not', () => {
  const guest = { id: 9, username: 'bob', guest: true };
  const [first, second, other] = drawn(said(1, guest), said(2, guest), said(3, { id: 2, username: 'bob' }));
  assert.equal(first.find('sender').textContent, 'bob guest');
  // Grouped below the first one: only read out.
  assert.equal(second.find('visually-hidden').textContent, 'bob guest');
  assert.equal(other.find('sender').textContent, 'bob');
  assert.equal(other.find('guest'), undefined);
});
