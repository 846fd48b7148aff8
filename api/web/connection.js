// Keeps one WebSocket to `/gateway` alive: hello, resume, heartbeat, reconnecting, and sending what
// was not acknowledged again. It does not know what the frames mean to the page; the store does.

import { delayAfterClose } from './backoff.js';
import { Outbox } from './outbox.js';

/** The version of the protocol that this page speaks. */
const VERSION = 1;
/** A socket that is not `ready` by then is given up: the server allows 10 s for the hello alone. */
const READY_TIMEOUT_MS = 15_000;
/** A connection that stood this long was a good one: the next loss starts with a short wait. */
const STEADY_MS = 5_000;
/** A command without an answer for so long on a sound connection gets none: the server itself gives up within 15 s. */
const ANSWER_TIMEOUT_MS = 60_000;
/** Refusals of a frame that the server could not read: where they name no frame, one of the commands is meant. */
const UNREADABLE = new Set(['malformed', 'invalid_frame', 'unknown_type', 'text_only', 'invalid_id']);
/** Until `ready` says otherwise. */
const HEARTBEAT_MS = 25_000;

export class Connection {
  #options;
  #outbox = new Outbox();
  #socket = null;
  #status = 'stopped';
  #attempt = 0;
  #timers = {};
  #notBefore = 0;
  #unanswered = false;
  #paced = false;
  /** The command that is sent alone. */
  #alone = null;

  /**
   * `resume()` gives `{epoch, cursors}` or null. `onFrame(frame)` gets every frame of the server in
   * order. `onStatus({state, retryAt?, reason?})`: `connecting`, `online`, `waiting`, or `stopped`
   * with the reason when coming back by itself is of no use.
   */
  constructor({ url, resume, onFrame, onStatus, open = (to) => new WebSocket(to), random = Math.random }) {
    this.#options = { url, resume, onFrame, onStatus, open, random };
  }

  get online() {
    return this.#status === 'online';
  }

  /** Commands without an answer. */
  get waiting() {
    return this.#outbox.size;
  }

  start() {
    if (this.#status === 'stopped') this.#connect();
  }

  /** Ends it for good: nothing waiting is sent any more. */
  stop() {
    this.#halt();
    this.#outbox.clear();
  }

  /** Gives up on every unanswered command: the server has become another one. */
  forget() {
    this.#outbox.clear();
  }

  /** Tries again at once if it is waiting: the network is back, or somebody looks at the page. */
  retryNow() {
    if (this.#status === 'waiting') this.#connect();
  }

  /** Sends a frame that needs no answer, or drops it while there is no connection. */
  tell(frame) {
    if (this.online) this.#write(frame);
  }

  /** Sends a frame with an `id` until it is answered. Resolves with the ack, rejects with `Refused`. */
  command(frame) {
    const answer = this.#outbox.add(frame);
    if (this.online && !this.#paced && this.#outbox.has(frame.id)) this.#send(frame);
    return answer;
  }

  #connect() {
    this.#drop();
    this.#setStatus({ state: 'connecting' });
    const socket = this.#options.open(this.#options.url);
    this.#socket = socket;
    // A socket that was given up may still speak: it is not heard any more.
    const ifCurrent = (handler) => (event) => {
      if (this.#socket === socket) handler(event);
    };
    socket.onopen = ifCurrent(() => this.#hello());
    socket.onmessage = ifCurrent((event) => this.#hear(event.data));
    socket.onclose = ifCurrent((event) => this.#lost(event.reason));
    this.#after('ready', READY_TIMEOUT_MS, () => this.#lost('ready_timeout'));
  }

  #hello() {
    const resume = this.#options.resume();
    const hello = { type: 'hello', version: VERSION };
    this.#write(resume ? { ...hello, resume } : hello);
  }

  #hear(data) {
    this.#unanswered = false;
    let frame;
    try {
      frame = JSON.parse(data);
    } catch {
      return;
    }
    switch (frame.type) {
      case 'ready':
        this.#ready(frame);
        return;
      case 'reconnect':
        this.#moveAway(frame.after_ms);
        return;
      case 'error':
        if (this.#mayRepeat(frame)) return;
        break;
    }
    this.#options.onFrame(frame);
    this.#answer(frame);
    this.#goOn();
  }

  /** Ends the command that is answered. */
  #answer(frame) {
    if (frame.type === 'ack') this.#outbox.accept(frame.id, frame);
    else if (frame.type !== 'error') return;
    else if (frame.id) this.#outbox.refuse(frame.id, frame.code, frame.message);
    else if (UNREADABLE.has(frame.code)) this.#suspect(frame);
  }

  /** Once what was sent alone has ended, the next one is. */
  #goOn() {
    if (this.#paced && !this.#timers.next && !this.#outbox.has(this.#alone)) this.#next();
  }

  /** An answer that names no command: with one alone it is that one's. Of several, each is sent again alone. */
  #suspect({ code, message }) {
    const [first, second] = this.#outbox.frames();
    if (second && !this.#paced) {
      this.#paced = true;
      this.#next();
    } else if (first) {
      this.#outbox.refuse(first.id, code, message);
    }
  }

  #ready(frame) {
    this.#clear('ready');
    this.#after('steady', STEADY_MS, () => {
      this.#attempt = 0;
    });
    this.#beat(frame.heartbeat_ms || HEARTBEAT_MS);
    this.#setStatus({ state: 'online' });
    this.#options.onFrame(frame);
    this.#paced = false;
    for (const waiting of this.#outbox.frames()) this.#send(waiting);
  }

  /** "Too fast, come back later": later, and one at a time, so that the order stays. */
  #mayRepeat({ id, retry_after_ms: wait }) {
    if (!id || !this.#outbox.has(id) || !(wait > 0)) return false;
    this.#paced = true;
    this.#outbox.written(id, null);
    this.#after('next', wait, () => this.#next());
    return true;
  }

  #next() {
    const [frame] = this.#outbox.frames();
    this.#alone = frame?.id;
    if (frame) this.#send(frame);
    else this.#paced = false;
  }

  /** Browsers hide the server's pings: after a silent interval it pings itself, after two it gives up. */
  #beat(interval) {
    this.#unanswered = false;
    const tick = () => {
      if (this.#unanswered) return this.#lost('silent');
      this.#unanswered = true;
      for (const id of this.#outbox.writtenBefore(Date.now() - ANSWER_TIMEOUT_MS)) this.#outbox.refuse(id, 'no_answer', '');
      this.#goOn();
      this.#write({ type: 'ping' });
      this.#after('beat', interval, tick);
    };
    this.#after('beat', interval, tick);
  }

  /** The node leaves soon: go to another one when it says so, not earlier. */
  #moveAway(afterMs) {
    this.#notBefore = Date.now() + afterMs;
    this.#after('move', afterMs, () => this.#connect());
  }

  #lost(reason) {
    this.#drop();
    const delay = delayAfterClose(reason, this.#attempt, this.#options.random);
    if (delay === null) {
      this.#halt(reason);
      return;
    }
    this.#attempt += 1;
    const wait = Math.max(delay, this.#notBefore - Date.now());
    this.#setStatus({ state: 'waiting', retryAt: Date.now() + wait });
    this.#after('retry', wait, () => this.#connect());
  }

  #halt(reason) {
    this.#drop();
    this.#attempt = 0;
    this.#notBefore = 0;
    this.#setStatus({ state: 'stopped', reason });
  }

  #drop() {
    for (const name of Object.keys(this.#timers)) this.#clear(name);
    const socket = this.#socket;
    this.#socket = null;
    socket?.close(1000);
  }

  #send(command) {
    this.#outbox.written(command.id, Date.now());
    this.#write(command);
  }

  #write(frame) {
    // 1 is OPEN. What does not go out now goes out after the next `ready`.
    if (this.#socket?.readyState === 1) this.#socket.send(JSON.stringify(frame));
  }

  #setStatus(status) {
    this.#status = status.state;
    this.#options.onStatus(status);
  }

  #after(name, ms, action) {
    this.#clear(name);
    this.#timers[name] = setTimeout(() => {
      delete this.#timers[name];
      action();
    }, ms);
  }

  #clear(name) {
    clearTimeout(this.#timers[name]);
    delete this.#timers[name];
  }
}
