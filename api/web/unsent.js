// What is typed and not on the server, over reloads, crashes and several windows: keeps drafts and unsent messages, and
// brings them back. An unsent message belongs to the window that it was written in: that one sends it. When the window
// is gone, another one takes it over. Its id is the same for ever, so even two that send it make one message of it.

import { Kept } from './storage.js';

/** A draft is kept when one pauses. */
const DRAFT_AFTER_MS = 300;

export class Unsent {
  #store;
  #window;
  #kept = null;
  #epoch = null;
  /** Drafts that are not written down yet. */
  #drafts = new Map();
  /** Other windows whose end is waited for. */
  #owners = new Set();
  #timer = null;

  /** `id` names this window among those of the browser. */
  constructor(store, id) {
    this.#store = store;
    this.#window = id;
    // Held as long as the window lives. A page that came over plain http has no locks.
    navigator.locks?.request(lockOf(id), () => new Promise(() => {}));
  }

  start(user) {
    this.#kept = new Kept(user.id);
    this.#epoch = null;
  }

  stop() {
    this.flush();
    this.#kept = null;
  }

  /** Whether what waits outlasts the page. */
  get lasts() {
    return Boolean(this.#kept?.lasts);
  }

  /** Writes nothing more of what is typed. */
  drop() {
    clearTimeout(this.#timer);
    this.#drafts.clear();
  }

  /** Forgets everything of an account that has signed out. */
  async clear(user) {
    await (this.#kept ?? new Kept(user.id)).clear();
    this.#kept = null;
  }

  /** After `ready`: brings back what belongs to this database; `send(message)` gets what is to be sent. */
  async restore(epoch, send) {
    const kept = this.#kept;
    const isOther = this.#epoch !== epoch;
    this.#epoch = epoch;
    // Asked for at once: what is written from now on is not left from before.
    const [drafts, unsent] = await Promise.all([isOther ? kept.all('drafts') : [], kept.all('unsent')]);
    if (this.#kept !== kept) return;
    this.#showDrafts(drafts);
    for (const message of unsent) {
      if (message.epoch !== epoch) kept.remove('unsent', message.id);
      else if (message.window !== this.#window) this.#takeOver(kept, message.window, send);
      // Written before the session ended, and one has signed in again.
      else if (isOther) send(message);
    }
  }

  #showDrafts(drafts) {
    for (const { id, epoch, text, replyTo, edit } of drafts) {
      if (epoch !== this.#epoch) this.#kept?.remove('drafts', id);
      else if (!this.#drafts.has(id)) this.#store.dispatch({ type: 'draft', chatId: id, draft: { text, replyTo, edit } });
    }
  }

  /** Sends what another window has left, once it is gone. */
  #takeOver(kept, owner, send) {
    if (this.#owners.has(owner)) return;
    this.#owners.add(owner);
    const adopt = async () => {
      this.#owners.delete(owner);
      if (this.#kept !== kept) return;
      for (const message of await kept.adopt(owner, this.#window)) send(message);
    };
    if (navigator.locks) navigator.locks.request(lockOf(owner), adopt);
    else adopt();
  }

  /** What stands unsent in the field of a chat, `{text, replyTo, edit}` or null. It is shown in the list when one leaves the chat. */
  draft(chatId, draft) {
    if (!draft && this.#store.state.chats.get(chatId)?.draft) this.#store.dispatch({ type: 'draft', chatId, draft });
    this.#drafts.set(chatId, draft);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.flush(), DRAFT_AFTER_MS);
  }

  leave(chatId, draft) {
    // One may have been removed from it.
    const isThere = this.#store.state.chats.has(chatId);
    this.draft(chatId, isThere ? draft : null);
    this.flush();
    this.#store.dispatch({ type: 'draft', chatId, draft });
  }

  /** Writes at once what waits to be written: the window may be closed. */
  flush() {
    clearTimeout(this.#timer);
    for (const [id, draft] of this.#drafts) {
      if (draft) this.#kept?.put('drafts', { id, epoch: this.#epoch, ...draft });
      else this.#kept?.remove('drafts', id);
    }
    this.#drafts.clear();
  }

  /** A message that is on its way, or was refused with an `error`. */
  message(message) {
    this.#kept?.put('unsent', { ...message, window: this.#window, epoch: this.#epoch });
  }

  /** It has arrived, or is thrown away. */
  done(clientId) {
    this.#kept?.remove('unsent', clientId);
  }
}

function lockOf(id) {
  return `switchboard window ${id}`;
}
