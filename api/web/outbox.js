// Commands that the server has not answered yet, in order. Each carries its id from the first try
// to the last, so sending one again after a reconnect is harmless.

/** More than this unanswered is no conversation: further commands are refused at once. */
export const MAX_WAITING = 200;

/** A refused command: `code` is the server's, `message` may be shown. */
export class Refused extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

export class Outbox {
  #waiting = new Map();

  get size() {
    return this.#waiting.size;
  }

  /** Takes a command with an `id`; resolves with its `ack`, rejects with `Refused`. */
  add(frame) {
    if (this.#waiting.size >= MAX_WAITING) {
      return Promise.reject(new Refused('outbox_full', 'Too much is waiting to be sent'));
    }
    return new Promise((resolve, reject) => {
      this.#waiting.set(frame.id, { frame, resolve, reject, writtenAt: null });
    });
  }

  /** Every unanswered command, oldest first. */
  frames() {
    return [...this.#waiting.values()].map((entry) => entry.frame);
  }

  has(id) {
    return this.#waiting.has(id);
  }

  /** It was written to the connection now; with `null`, it is to be written again. */
  written(id, at) {
    const entry = this.#waiting.get(id);
    if (entry) entry.writtenAt = at;
  }

  /** Commands written before a time and not answered. */
  writtenBefore(at) {
    return [...this.#waiting.values()].filter(({ writtenAt }) => writtenAt !== null && writtenAt < at).map(({ frame }) => frame.id);
  }

  accept(id, ack) {
    this.#take(id)?.resolve(ack);
  }

  refuse(id, code, message) {
    this.#take(id)?.reject(new Refused(code, message));
  }

  /** Gives up on everything: the user signed out. */
  clear() {
    for (const id of [...this.#waiting.keys()]) this.refuse(id, 'stopped', 'Signed out');
  }

  #take(id) {
    const entry = this.#waiting.get(id);
    this.#waiting.delete(id);
    return entry;
  }
}
