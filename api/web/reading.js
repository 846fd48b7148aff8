// What the page fetches and tells while somebody reads a chat: pages of its history, each only when somebody asks for
// it, and how far has been read. It knows no elements.

import { ApiError, api } from './api.js';
import { slices } from './page-slices.js';
import { missingQuotes } from './quotes.js';

/** The page that a chat opens with: what was read last above the first unread message, and a screen of unread ones. */
const FIRST_PAGE = 100;
/** The read mark is told at most this often. */
const MARK_EVERY_MS = 1_000;
/** As many quoted messages that are not there are fetched at once. Of more it is said that they are earlier ones. */
const MAX_QUOTES = 10;
/** Marks of another device come as fast as somebody scrolls there; then the server is asked how many are unread. */
const RECOUNT_AFTER_MS = 1_500;

export class Reading {
  #store;
  #tell;
  #explain;
  #nextFrame;
  /** Chats of which a page beside the window is on its way. */
  #busy = new Set();
  /** Quoted messages that are being fetched, by chat and number. */
  #quotes = new Set();
  /** How often another page was asked for in the place of a chat's window: the last one counts. */
  #turns = new Map();
  /** The message at the top of the screen. */
  #place = null;
  /** The read mark that is to be told. */
  #mark = null;
  #timers = {};

  /** `tell(frame)` sends what needs no answer; `explain(error)` says an error in words; `nextFrame()` waits for one. */
  constructor(store, tell, explain, nextFrame) {
    this.#store = store;
    this.#tell = tell;
    this.#explain = explain;
    this.#nextFrame = nextFrame;
  }

  /** Another chat, or none, is on the screen. */
  enter() {
    this.#tellMark();
    this.#place = null;
  }

  stop() {
    for (const timer of Object.values(this.#timers)) clearTimeout(timer);
    this.#timers = {};
    this.#mark = null;
    this.#busy.clear();
    this.#quotes.clear();
  }

  /** The open chat is at this message, and its newest is in sight or not. */
  at(chatId, messageId, follows) {
    this.#place = messageId;
    if (this.#chat(chatId)?.follows !== follows) this.#store.dispatch({ type: 'follows', chatId, follows });
  }

  /** Fetches the page that the open chat begins with, if it has none: around what one was at, or where one stopped reading. */
  fill(chat) {
    if (chat.loaded || chat.history) return;
    if (this.#place && !chat.follows) this.#fetchAround(chat, this.#place);
    // It was on the screen up to there.
    else if (chat.unread > 0 && chat.follows) this.#fetchAround(chat, chat.lastRead);
    else this.#fetch(chat, 'page', chat.unread > 0 ? { around: chat.lastRead } : {});
  }

  #fetchAround(chat, id) {
    this.#fetch(chat, 'page', { around: id }, { at: 'message', id });
  }

  /** Fetches the page before or behind what is there; nothing while one is on its way, or after a failure. */
  extend(chatId, edge) {
    const chat = this.#chat(chatId);
    if (chat?.loaded && chat.history === null) this.#extend(chat, edge);
  }

  /** After a failure, when asked to. */
  retry(chatId) {
    const chat = this.#chat(chatId);
    if (!chat?.history?.error) return;
    if (chat.history.edge === 'page') this.fill({ ...chat, history: null });
    else this.#extend(chat, chat.history.edge);
  }

  #extend(chat, edge) {
    if (edge === 'older' && !chat.complete) this.#fetch(chat, edge, { before: chat.items[0].id });
    if (edge === 'newer' && chat.later) this.#fetch(chat, edge, { after: chat.items.at(-1).id });
  }

  /** Shows the newest messages, whatever is shown now. */
  async showNewest(chatId) {
    const chat = this.#chat(chatId);
    if (chat?.loaded && chat.later) await this.#fetch(chat, 'page', {}, { at: 'end' });
  }

  /** Shows a message that is not there; whether there is one. */
  async showMessage(chatId, id) {
    const chat = this.#chat(chatId);
    if (!chat?.loaded) return true;
    const page = await this.#fetch(chat, 'page', { around: id }, { at: 'message', id, flash: true });
    const isGone = page && !page.messages.some((message) => message.id === id);
    return !isGone;
  }

  /** Answers the page, or null if it is not wanted any more. A failure is told in the chat, unless a page is shown there. */
  async #fetch({ id: chatId, generation, cursor, loaded }, edge, where, start) {
    const inPlace = edge === 'page';
    if (!inPlace && this.#busy.has(chatId)) return null;
    const turn = (this.#turns.get(chatId) ?? 0) + (inPlace ? 1 : 0);
    this.#turns.set(chatId, turn);
    if (!inPlace) this.#busy.add(chatId);
    if (!inPlace || !loaded) this.#store.dispatch({ type: 'fetching', chatId, edge });
    try {
      const page = await api.history(chatId, where, inPlace ? FIRST_PAGE : undefined);
      if (inPlace && turn !== this.#turns.get(chatId)) return null;
      await this.#show(chatId, { edge, generation, start, from: where.before ?? where.after, ...page, coversTo: Math.max(cursor, page.messages.at(-1)?.id ?? 0) });
      return page;
    } catch (error) {
      if (inPlace && loaded) throw error;
      const isCurrent = this.#chat(chatId)?.generation === generation;
      if (isCurrent) this.#store.dispatch({ type: 'fetching', chatId, edge, error: this.#explain(error) });
      return null;
    } finally {
      if (!inPlace) this.#busy.delete(chatId);
    }
  }

  /** A page beside the window is drawn in slices, so that no frame is late. */
  async #show(chatId, page) {
    const { edge, start } = page;
    const isGone = start?.flash && !page.messages.some((message) => message.id === start.id);
    if (isGone) this.#store.dispatch({ type: 'message_gone', chatId, id: start.id });
    else if (edge === 'page') this.#store.dispatch({ type: 'history', chatId, ...page });
    else {
      for (const slice of slices(page)) {
        this.#store.dispatch({ type: 'history', chatId, ...slice });
        if (!slice.isLast) await this.#nextFrame();
      }
    }
    this.quote(chatId);
  }

  /** Fetches the newest of the messages that are quoted and not there. */
  async quote(chatId) {
    const chat = this.#chat(chatId);
    const wanted = chat ? missingQuotes(chat).filter((id) => !this.#quotes.has(`${chatId} ${id}`)).slice(-MAX_QUOTES) : [];
    if (wanted.length === 0) return;
    for (const id of wanted) this.#quotes.add(`${chatId} ${id}`);
    const found = await Promise.all(wanted.map((id) => this.#message(chatId, id)));
    for (const id of wanted) this.#quotes.delete(`${chatId} ${id}`);
    this.#store.dispatch({ type: 'quotes', chatId, found: found.filter(Boolean) });
  }

  /** A message, `{id, gone}` if there is none any more, or null if nobody can say. */
  async #message(chatId, id) {
    try {
      const [message] = (await api.history(chatId, { around: id }, 1)).messages;
      if (message?.id === id) return message;
      // A server of the version before answers the newest one instead.
      return message?.id > id ? null : { id, gone: true };
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      // The quote stays "an earlier message", which leads there all the same.
      return null;
    }
  }

  /** Everything up to a message was on the screen. */
  read(chatId, messageId) {
    if (this.#mark && this.#mark.chatId !== chatId) this.#tellMark();
    if (this.#mark && this.#mark.messageId >= messageId) return;
    this.#mark = { chatId, messageId };
    if (!this.#timers.mark) this.#tellMark();
  }

  /** Everything in the chat counts as read. */
  markAllRead(chatId) {
    this.#mark = { chatId, messageId: this.#chat(chatId).cursor };
    this.#tellMark();
  }

  #tellMark() {
    clearTimeout(this.#timers.mark);
    delete this.#timers.mark;
    if (!this.#mark) return;
    const { chatId, messageId } = this.#mark;
    this.#mark = null;
    if (messageId <= (this.#chat(chatId)?.lastRead ?? Infinity)) return;
    this.#timers.mark = setTimeout(() => this.#tellMark(), MARK_EVERY_MS);
    this.#tell({ type: 'read', chat_id: chatId, message_id: messageId });
    this.#store.dispatch({ type: 'read', chatId, messageId });
    this.recount(chatId);
  }

  /** Asks how many are unread, if that is not certain. */
  recount(chatId) {
    if (!this.#chat(chatId)?.unsure || this.#timers[chatId]) return;
    this.#timers[chatId] = setTimeout(async () => {
      delete this.#timers[chatId];
      try {
        this.#store.dispatch({ type: 'recount', view: await api.chat(chatId) });
      } catch (error) {
        // The number stays as it is until the chat is opened or the connection is made anew.
        if (!(error instanceof ApiError)) throw error;
      }
    }, RECOUNT_AFTER_MS);
  }

  #chat(id) {
    return this.#store.state.chats.get(id);
  }
}
