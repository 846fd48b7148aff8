// The connection manager against a socket made of nothing, with the clock held still.

import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { CAP_MS, backoff, delayAfterClose } from '../backoff.js';
import { Connection } from '../connection.js';
import { MAX_WAITING, Outbox, Refused } from '../outbox.js';

// Time stands still until a test lets it pass. Not the test runner's own: Node.js 18, Debian's, has none for
// the date.
const clock = {
  now: 0,
  timers: new Map(),
  reset() {
    this.now = 0;
    this.timers.clear();
  },
  tick(ms) {
    const end = this.now + ms;
    for (;;) {
      const due = [...this.timers].filter(([, timer]) => timer.at <= end);
      if (due.length === 0) break;
      const [id, { at, run }] = due.reduce((first, one) => (one[1].at < first[1].at ? one : first));
      this.timers.delete(id);
      this.now = at;
      run();
    }
    this.now = end;
  },
};
let lastTimer = 0;
globalThis.setTimeout = (run, ms = 0) => {
  lastTimer += 1;
  clock.timers.set(lastTimer, { at: clock.now + ms, run });
  return lastTimer;
};
globalThis.clearTimeout = (id) => clock.timers.delete(id);
Date.now = () => clock.now;

class FakeSocket {
  readyState = 0;
  sent = [];
  close() {
    this.readyState = 3;
  }
  send(text) {
    this.sent.push(JSON.parse(text));
  }
  opened() {
    this.readyState = 1;
    this.onopen();
  }
  hears(frame) {
    this.onmessage({ data: JSON.stringify(frame) });
  }
  closed(reason) {
    this.readyState = 3;
    this.onclose({ reason });
  }
  types() {
    return this.sent.map((frame) => frame.type);
  }
}

let sockets;
let statuses;
let heard;
let connection;

beforeEach(() => {
  clock.reset();
  sockets = [];
  statuses = [];
  heard = [];
  connection = new Connection({
    url: 'ws://example/gateway',
    resume: () => (heard.length ? { epoch: 'e', cursors: { 1: 7 } } : null),
    onFrame: (frame) => heard.push(frame),
    onStatus: (status) => statuses.push(status),
    open: () => sockets[sockets.push(new FakeSocket()) - 1],
    random: () => 0.5,
  });
});

function ready() {
  const socket = sockets.at(-1);
  socket.opened();
  socket.hears({ type: 'ready', heartbeat_ms: 1_000 });
  return socket;
}

test('full jitter grows to its cap', () => {
  assert.equal(backoff(0, () => 0.5), 250);
  assert.equal(backoff(3, () => 0.5), 2_000);
  assert.equal(backoff(99, () => 1), CAP_MS);
  assert.equal(backoff(5, () => 0), 0);
});

test('closes are answered by their table, and "now" is meant once', () => {
  assert.equal(delayAfterClose('session_ended', 0, () => 1), null);
  assert.equal(delayAfterClose('restart', 0, () => 1), 0);
  assert.equal(delayAfterClose('restart', 1, () => 1), 1_000);
  assert.equal(delayAfterClose('', 0, () => 1), 500);
});

test('a lost connection comes back with what it knows, and sends again what has no answer', async () => {
  connection.start();
  const first = ready();
  assert.deepEqual(first.sent, [{ type: 'hello', version: 1 }]);
  const answer = connection.command({ type: 'send', id: 'a', text: 'x' });
  first.closed('');
  const waiting = connection.command({ type: 'send', id: 'b', text: 'y' });
  assert.equal(statuses.at(-1).state, 'waiting');
  clock.tick(250);
  const second = ready();
  assert.deepEqual(second.sent[0], { type: 'hello', version: 1, resume: { epoch: 'e', cursors: { 1: 7 } } });
  assert.deepEqual(second.sent.slice(1).map((frame) => frame.id), ['a', 'b']);
  second.hears({ type: 'ack', id: 'a', message_id: 8 });
  second.hears({ type: 'error', id: 'b', code: 'not_a_member', message: 'No.' });
  assert.equal((await answer).message_id, 8);
  await assert.rejects(waiting, Refused);
  assert.equal(connection.waiting, 0);
});

test('too fast: sent again when the server said, one at a time, in order', () => {
  connection.start();
  const socket = ready();
  connection.command({ type: 'send', id: 'a' });
  connection.command({ type: 'send', id: 'b' });
  socket.hears({ type: 'error', id: 'a', code: 'rate_limited', message: '', retry_after_ms: 400 });
  connection.command({ type: 'send', id: 'c' });
  clock.tick(399);
  assert.equal(socket.sent.length, 3);
  clock.tick(1);
  for (const id of ['a', 'b', 'c']) {
    assert.equal(socket.sent.at(-1).id, id);
    socket.hears({ type: 'ack', id });
  }
  assert.equal(socket.sent.length, 6);
  connection.command({ type: 'send', id: 'd' });
  assert.equal(socket.sent.at(-1).id, 'd');
});

test('silence is asked about once and then believed', () => {
  connection.start();
  const socket = ready();
  clock.tick(1_000);
  assert.deepEqual(socket.types(), ['hello', 'ping']);
  socket.hears({ type: 'pong' });
  clock.tick(1_000);
  assert.deepEqual(socket.types(), ['hello', 'ping', 'ping']);
  clock.tick(1_000);
  assert.equal(socket.readyState, 3);
  assert.equal(sockets.length, 2);
});

test('a node that leaves is left when it says so', () => {
  connection.start();
  ready().hears({ type: 'reconnect', after_ms: 3_000 });
  sockets[0].closed('restart');
  clock.tick(2_900);
  assert.equal(sockets.length, 1);
  clock.tick(100);
  assert.equal(sockets.length, 2);
});

test('an ended session is not tried again', () => {
  connection.start();
  ready().closed('session_ended');
  assert.deepEqual(statuses.at(-1), { state: 'stopped', reason: 'session_ended' });
  clock.tick(60_000);
  assert.equal(sockets.length, 1);
});

test('a socket that never becomes ready is given up', () => {
  connection.start();
  sockets[0].opened();
  clock.tick(15_000);
  assert.equal(statuses.at(-1).state, 'waiting');
});

test('an answer that names no command ends the one that it can mean', async () => {
  connection.start();
  const socket = ready();
  const alone = connection.command({ type: 'send', id: 'a' });
  socket.hears({ type: 'error', code: 'rate_limited', message: 'Of a read mark.' });
  assert.equal(connection.waiting, 1);
  socket.hears({ type: 'error', code: 'malformed', message: 'No.' });
  await assert.rejects(alone, { code: 'malformed' });

  const [b, c, d] = ['b', 'c', 'd'].map((id) => connection.command({ type: 'send', id }));
  // It is the one of c. Each is sent again alone, and their answers may come twice.
  socket.hears({ type: 'error', code: 'malformed', message: 'No.' });
  socket.hears({ type: 'ack', id: 'b' });
  socket.hears({ type: 'ack', id: 'd' });
  socket.hears({ type: 'ack', id: 'b' });
  assert.deepEqual(socket.sent.slice(-2).map((frame) => frame.id), ['b', 'c']);
  socket.hears({ type: 'error', code: 'malformed', message: 'No.' });
  await assert.rejects(c, { code: 'malformed' });
  await Promise.all([b, d]);
  assert.equal(connection.waiting, 0);
});

test('a command without an answer ends on a sound connection, and waits without one', async () => {
  connection.start();
  let socket = ready();
  const answer = connection.command({ type: 'send', id: 'a' });
  const beats = (count) => {
    for (let n = 0; n < count; n += 1) {
      clock.tick(1_000);
      socket.hears({ type: 'pong' });
    }
  };
  beats(30);
  socket.closed('');
  clock.tick(30_000);
  socket = ready();
  beats(59);
  assert.equal(connection.waiting, 1);
  beats(3);
  await assert.rejects(answer, { code: 'no_answer' });
});

test('a full outbox refuses at once', async () => {
  const outbox = new Outbox();
  for (let id = 0; id < MAX_WAITING; id += 1) outbox.add({ id }).catch(() => {});
  await assert.rejects(outbox.add({ id: 'more' }), { code: 'outbox_full' });
});
