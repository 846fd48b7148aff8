// What was typed and is not on the server yet: drafts and unsent messages, kept by the browser so that a reload or a
// crash loses nothing. For each account by itself, bounded, and gone when one signs out. Where the browser keeps nothing
// (a private window), it lasts as long as the page. It sends nothing.

/** Drafts of one account: of as many chats as one has begun to write in. */
const MAX_DRAFTS = 100;
/** As many as may wait to be sent at once. */
const MAX_UNSENT = 200;
/** Longer texts are not kept whole: several messages. */
const MAX_TEXT = 20_000;

const KINDS = ['drafts', 'unsent'];
const BOUNDS = { drafts: MAX_DRAFTS, unsent: MAX_UNSENT };

/** The database, or null where there is none. */
function openDatabase(factory) {
  return new Promise((resolve) => {
    let request;
    try {
      request = factory.open('switchboard', 1);
    } catch {
      resolve(null);
      return;
    }
    request.onupgradeneeded = () => {
      for (const kind of KINDS) request.result.createObjectStore(kind, { keyPath: ['user', 'id'] });
    };
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => resolve(null);
    request.onblocked = () => resolve(null);
  });
}

/** No text in it is longer than is kept; a draft may change another message, too. */
function bounded({ text, edit, ...entry }) {
  const cut = edit && { ...edit, text: edit.text.slice(0, MAX_TEXT) };
  return { ...entry, text: text.slice(0, MAX_TEXT), ...(cut && { edit: cut }) };
}

function settled(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/** What is kept for one account. Entries are `{id, text, …}`; writing never fails, it may only not last. */
export class Kept {
  #user;
  #database;
  /** Writes come one after the other, so that the last one counts. */
  #last;
  /** Whether it outlasts the page. */
  lasts = false;

  constructor(user, factory = globalThis.indexedDB) {
    this.#user = user;
    this.#database = openDatabase(factory);
    this.#last = this.#database.then((database) => {
      this.lasts = database !== null;
    });
  }

  /** All entries of a kind, the oldest first. */
  all(kind) {
    return this.#do(kind, 'readonly', (store) => settled(store.getAll(this.#range()))).then((found) => (found ?? []).sort((one, other) => one.at - other.at));
  }

  /** Keeps an entry in the place of the one with its `id`; the oldest make room. */
  put(kind, entry) {
    return this.#do(kind, 'readwrite', async (store) => {
      store.put({ at: Date.now(), ...bounded(entry), user: this.#user });
      const count = await settled(store.count(this.#range()));
      if (count <= BOUNDS[kind]) return;
      const all = await settled(store.getAll(this.#range()));
      const oldest = all.sort((one, other) => one.at - other.at).slice(0, count - BOUNDS[kind]);
      for (const entry of oldest) store.delete([this.#user, entry.id]);
    });
  }

  remove(kind, id) {
    return this.#do(kind, 'readwrite', (store) => settled(store.delete([this.#user, id])));
  }

  /** Takes the unsent messages of a window that is gone over into this one: all at once, so that only one window does. */
  adopt(from, to) {
    return this.#do('unsent', 'readwrite', async (store) => {
      const found = (await settled(store.getAll(this.#range()))).filter((entry) => entry.window === from);
      for (const entry of found) store.put({ ...entry, window: to });
      return found.sort((one, other) => one.at - other.at);
    }).then((found) => found ?? []);
  }

  /** Forgets everything of this account. */
  async clear() {
    for (const kind of KINDS) await this.#do(kind, 'readwrite', (store) => settled(store.delete(this.#range())));
  }

  #range() {
    return IDBKeyRange.bound([this.#user], [this.#user, []]);
  }

  /** Does something in a transaction; what fails leaves everything as it was, and nobody waits for it. */
  #do(kind, mode, work) {
    const done = this.#last.then(async () => {
      const database = await this.#database;
      if (!database) return null;
      try {
        return await work(database.transaction(kind, mode).objectStore(kind));
      } catch {
        return null;
      }
    });
    this.#last = done;
    return done;
  }
}
