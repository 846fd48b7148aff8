// What a person can do on the page: each action talks to the server and tells the store. It knows no
// elements; the views call it.

import { ApiError, CHATS_PAGE, api } from './api.js';
import { Connection } from './connection.js';
import { nextFrame } from './frame.js';
import { Refused } from './outbox.js';
import { inWords } from './problems.js';
import { Reading } from './reading.js';
import { resumePoint } from './store.js';
import { t } from './strings.js';
import { Unsent } from './unsent.js';

/** Sign of typing at most this often: the server shows it for longer. */
const TYPING_EVERY_MS = 3_000;

/** A sentence about what went wrong, for a person. */
export function explain(error) {
  if (error instanceof ApiError) return inWords(error);
  if (error instanceof Refused) return t.problem[error.code] ?? (error.message || t.failed);
  throw error;
}

/** A random id. `crypto.randomUUID` is missing on pages that came over plain http. */
function randomId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

export class Actions {
  #store;
  #connection;
  #loading = new Set();
  #typedAt = 0;
  #onRemoved;
  #unsent;
  /** Edits and deletions without an answer. */
  #changes = 0;
  /** What is done while one reads a chat. */
  reading;

  /**
   * `onStopped(reason)`: the server does not want this session back. `onRemoved(chat)`: one is not in this chat any
   * more.
   */
  constructor(store, onStopped, onRemoved) {
    this.#store = store;
    this.#onRemoved = onRemoved;
    this.#unsent = new Unsent(store, randomId());
    this.#connection = new Connection({
      url: `${location.origin.replace(/^http/, 'ws')}/gateway`,
      resume: () => resumePoint(store.state),
      onFrame: (frame) => this.#onFrame(frame),
      onStatus: (status) => {
        store.dispatch({ type: 'connection', status });
        if (status.state === 'stopped' && status.reason) onStopped(status.reason);
      },
    });
    this.reading = new Reading(store, (frame) => this.#connection.tell(frame), explain, nextFrame);
  }

  /** Goes live as this user. */
  start(user) {
    this.#store.dispatch({ type: 'signed_in', user });
    this.#unsent.start(user);
    this.#connection.start();
  }

  async signOut() {
    const { me } = this.#store.state;
    this.#unsent.drop();
    await api.logout();
    // By now the server may have ended the connection, and everything was stopped.
    await this.#unsent.clear(me);
    this.stop();
  }

  stop() {
    this.#unsent.stop();
    this.#connection.stop();
    this.reading.stop();
    this.#loading.clear();
    this.#store.dispatch({ type: 'signed_out' });
  }

  retryNow() {
    this.#connection.retryNow();
  }

  /** Whether something has not reached the server yet: signing out drops it. */
  get unsent() {
    return this.#connection.waiting > 0;
  }

  /** Whether something is lost with the window: changes of sent messages are not kept. */
  get wouldLose() {
    return this.#changes > 0 || (this.#connection.waiting > 0 && !this.#unsent.lasts);
  }

  /** Writes down what is typed: the window may be closed. */
  pause() {
    this.#unsent.flush();
  }

  #onFrame(frame) {
    const { epoch, chats } = this.#store.state;
    if (frame.type === 'ready' && epoch && frame.epoch !== epoch) this.#connection.forget();
    this.#store.dispatch({ type: 'frame', frame, now: Date.now() });
    if (frame.type === 'ready' || frame.type === 'chat_removed') this.#refreshRooms();
    if (frame.type === 'ready') this.#unsent.restore(frame.epoch, (message) => this.#resend(message));
    if (frame.type === 'chat_removed' && chats.has(frame.chat_id)) this.#onRemoved(chats.get(frame.chat_id));
    if (frame.type === 'read') this.reading.recount(frame.chat_id);
    const open = this.#openChat();
    if (frame.type === 'ready' && open?.members) this.#loadMembers(open.id);
    if (frame.type === 'ready' && open) this.#watch(open);
    if (open && frame.type === 'message' && frame.chat_id === open.id && frame.reply_to) this.reading.quote(open.id);
    this.#fill();
  }

  /** Puts a chat on the screen; `null` none. */
  open(chatId) {
    this.reading.enter();
    this.#store.dispatch({ type: 'open', chatId });
    this.#typedAt = 0;
    const chat = this.#openChat();
    if (chat) this.#watch(chat);
    // Seen now.
    if (chat?.settings.marked_unread) this.read(chatId, chat.lastRead);
    this.#fill();
  }

  /** Fetches what the open chat lacks. */
  #fill() {
    const chat = this.#openChat();
    if (!chat) return;
    this.reading.fill(chat);
    if (!chat.members) this.#loadMembers(chat.id);
  }

  /** Has the events of a chat come that the connection does not hold: `subscribed` makes it live. */
  #watch({ id, live }) {
    if (!live) this.#connection.tell({ type: 'subscribe', chat_id: id });
  }

  /** Looks a chat up that is not in the list so far. A room that one is not in stays outside. */
  async find(chatId) {
    const { signals: asked } = this.#store.state;
    const view = await api.chat(chatId);
    if (view.role !== null) this.#store.dispatch({ type: 'found', view, asked });
    return view;
  }

  /** Fetches the next page of the list; nothing while one is on its way. */
  async moreChats() {
    await this.#once('chats', async () => {
      const { nextChats, signals: asked } = this.#store.state;
      if (nextChats === null) return;
      const views = await api.chats(nextChats);
      const next = views.length === CHATS_PAGE ? views.at(-1).id : null;
      if (this.#store.state.nextChats === nextChats) this.#store.dispatch({ type: 'chats', views, next, asked });
    });
  }

  /** Sets something for a chat: `{muted, pinned, archived, marked_unread}`, as far as it changes. */
  async set(chatId, change) {
    const { settings } = await api.setChat(chatId, change);
    this.#store.dispatch({ type: 'settings', chatId, settings: settings ?? {} });
  }

  #openChat() {
    return this.#store.state.chats.get(this.#store.state.open);
  }

  async #loadMembers(chatId) {
    await this.#once(`members ${chatId}`, async () => {
      const { signals: asked } = this.#store.state;
      try {
        const { items, next } = await api.members(chatId);
        this.#store.dispatch({ type: 'members', chatId, members: items, next, asked });
      } catch (error) {
        // Without members the page only shows less; asked again when the chat is opened again.
        explain(error);
        this.#store.dispatch({ type: 'members', chatId, members: [], next: null });
      }
    });
  }

  async #once(name, work) {
    if (this.#loading.has(name)) return;
    this.#loading.add(name);
    try {
      await work();
    } finally {
      this.#loading.delete(name);
    }
  }

  /** Fetches the next page of members. */
  async moreMembers(chatId, limit) {
    const { chats, signals: asked } = this.#store.state;
    const { nextMembers: after } = chats.get(chatId);
    const { items, next } = await api.members(chatId, after, limit);
    this.#store.dispatch({ type: 'members', chatId, members: items, next, asked, after });
  }

  /** Public rooms come without events: they are asked for when something may have changed. */
  async #refreshRooms() {
    try {
      const { items, next } = await api.rooms();
      this.#store.dispatch({ type: 'rooms', rooms: items, next });
    } catch (error) {
      explain(error); // The list of rooms stays as it was.
    }
  }

  async moreRooms() {
    const { rooms, nextRooms } = this.#store.state;
    const { items, next } = await api.rooms(nextRooms);
    this.#store.dispatch({ type: 'rooms', rooms: [...rooms, ...items], next });
  }

  /** Sends a message; without a connection as soon as there is one. What is written stands behind the newest. */
  send(chatId, text, replyTo) {
    this.#typedAt = 0;
    this.#post(chatId, { clientId: randomId(), text: text.toWellFormed?.() ?? text, replyTo });
    return this.reading.showNewest(chatId);
  }

  /** Sends a refused message again, under the same id: it can never be there twice. */
  retry(chatId, bubble) {
    this.#post(chatId, bubble);
  }

  discard(chatId, clientId) {
    this.#unsent.done(clientId);
    this.#store.dispatch({ type: 'discard', chatId, clientId });
  }

  /** One that waits from an earlier visit. */
  #resend({ id: clientId, chatId, text, replyTo, error, at }) {
    const bubble = { clientId, text, replyTo };
    if (!error) this.#post(chatId, bubble);
    else this.#store.dispatch({ type: 'queue', chatId, ...bubble, error, at: new Date(at).toISOString() });
  }

  async #post(chatId, { clientId, text, replyTo }) {
    const now = Date.now();
    const kept = { id: clientId, chatId, text, replyTo, at: now };
    this.#store.dispatch({ type: 'queue', chatId, clientId, text, replyTo, at: new Date(now).toISOString() });
    this.#unsent.message(kept);
    try {
      await this.#connection.command({ type: 'send', id: clientId, chat_id: chatId, text, reply_to: replyTo });
      this.#unsent.done(clientId);
    } catch (error) {
      const reason = explain(error);
      // Signed out, or in a chat that is gone: there is nothing to try again with.
      if (error.code === 'stopped') return;
      if (this.#store.state.chats.has(chatId)) this.#unsent.message({ ...kept, error: reason });
      else this.#unsent.done(clientId);
      this.#store.dispatch({ type: 'failed', chatId, clientId, error: reason });
    }
  }

  /** What stands in the field of a chat while one writes, `{text, replyTo, edit}` or null. */
  draft(chatId, draft) {
    this.#unsent.draft(chatId, draft);
  }

  /** The same when one leaves the chat. */
  leaveDraft(chatId, draft) {
    this.#unsent.leave(chatId, draft);
  }

  edit(chatId, messageId, text) {
    return this.#change({ type: 'edit', id: randomId(), chat_id: chatId, message_id: messageId, text });
  }

  deleteMessage(chatId, messageId) {
    return this.#change({ type: 'delete', id: randomId(), chat_id: chatId, message_id: messageId });
  }

  async #change(command) {
    this.#changes += 1;
    try {
      return await this.#connection.command(command);
    } finally {
      this.#changes -= 1;
    }
  }

  /** The user typed something. */
  typing(chatId) {
    const now = Date.now();
    if (now - this.#typedAt < TYPING_EVERY_MS) return;
    this.#typedAt = now;
    this.#connection.tell({ type: 'typing', chat_id: chatId });
  }

  /** Becomes a member of a public room, or of a chat by one's own will. */
  async join(chatId) {
    await api.join(chatId);
    this.#store.dispatch({ type: 'accepted', chatId });
    return chatId;
  }

  /** Declines an invitation. */
  decline(chatId) {
    return api.leave(chatId);
  }

  /** Hears nothing of a person any more. */
  block(userId) {
    return api.block(userId);
  }

  /** Starts a chat of any kind and answers its id; of a private one that exists already, that one's. */
  async create(chatType, name, memberIds) {
    try {
      const chat = await api.createChat({ chat_type: chatType, name, member_ids: memberIds });
      return chat.id;
    } catch (error) {
      if (error.code !== 'private_chat_exists') throw error;
      return error.chatId;
    }
  }
}
