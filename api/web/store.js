// Everything the page shows, and the one function that changes it. Pure, apart from `Store`, which
// holds the current state and tells who listens.

import * as chats from './chat.js';
import { acknowledge, discard, fail, queue } from './pending.js';
import { markRead, recount } from './unread.js';

export const initial = Object.freeze({
  /** The signed-in account, or null. */
  me: null,
  epoch: null,
  connection: { state: 'stopped' },
  /** Chats by id, and their ids with the most recently active first. */
  chats: new Map(),
  order: [],
  /** Whether `ready` has come: before it an empty list means nothing. */
  known: false,
  /** Public rooms as last fetched. */
  rooms: [],
  /** Cursor of the next page of rooms, or null. */
  nextRooms: null,
  /** What administrators tell everybody: `{id, text, ends_at}`, or null. */
  announcement: null,
  /** The chat on the screen, and the message after which "new" begins. */
  open: null,
  divider: null,
  /** Ids of users that are known to be online. */
  online: new Set(),
});

/** How long somebody counts as typing after the last sign of it. */
export const TYPING_MS = 6_000;

/** The state after an action. `now` in milliseconds comes with the actions that need it. */
export function reduce(state, action) {
  switch (action.type) {
    case 'signed_in':
      return { ...initial, me: action.user };
    case 'me':
      return { ...state, me: { ...state.me, ...action.changes } };
    case 'signed_out':
      return initial;
    case 'connection':
      return { ...state, connection: action.status };
    case 'frame':
      return onFrame(state, action.frame, action.now);
    case 'rooms':
      return { ...state, rooms: action.rooms, nextRooms: action.next };
    case 'open':
      return open(state, action.chatId);
    case 'history':
      return inChat(state, action.chatId, (chat) => chats.mergeHistory(chat, action, state.me.id));
    case 'fetching':
      return inChat(state, action.chatId, (chat) => ({ ...chat, history: { edge: action.edge, error: action.error ?? null } }));
    case 'message_gone':
      return inChat(state, action.chatId, (chat) => chats.markGone(chat, action.id));
    case 'follows':
      return inChat(state, action.chatId, (chat) => chats.follow(chat, action.follows));
    case 'recount':
      return inChat(state, action.view.id, (chat) => recount(chat, action.view, state.me.id));
    case 'members':
      return withMembers(state, action);
    case 'queue':
      return toTop(withoutDivider(inChat(state, action.chatId, (chat) => queue(chat, action)), action.chatId), action.chatId);
    case 'draft':
      return inChat(state, action.chatId, (chat) => chats.keepDraft(chat, action.draft));
    case 'failed':
      return inChat(state, action.chatId, (chat) => fail(chat, action.clientId, action.error));
    case 'discard':
      return inChat(state, action.chatId, (chat) => discard(chat, action.clientId));
    case 'read':
      return inChat(state, action.chatId, (chat) => markRead(chat, state.me.id, action.messageId, state.me.id));
    case 'accepted':
      return toTop(inChat(state, action.chatId, chats.accept), action.chatId);
    case 'tick':
      return state.order.reduce((next, id) => inChat(next, id, (chat) => chats.stopTyping(chat, action.now)), state);
    default:
      return state;
  }
}

function onFrame(state, frame, now) {
  const id = frame.chat_id;
  switch (frame.type) {
    case 'ready':
      return onReady(state, frame);
    case 'message': {
      const told = inChat(state, id, (chat) => chats.applyEvent(chat, frame, state.me.id));
      // Who writes in a chat accepts the invitation to it, and has read what is there.
      return toTop(frame.sender.id === state.me.id ? withoutDivider(inChat(told, id, chats.accept), id) : told, id);
    }
    case 'edited':
    case 'deleted':
    case 'member':
    case 'owner':
      return inChat(state, id, (chat) => chats.applyEvent(chat, frame, state.me.id));
    case 'caught_up':
      return inChat(state, id, (chat) => chats.caughtUp(chat, frame.seq));
    case 'resync':
      return inChat(state, id, (chat) => chats.reset(chat, frame.seq));
    case 'ack':
      return inChat(state, id, (chat) => acknowledge(chat, frame, userRef(state.me)));
    case 'read':
      return inChat(state, id, (chat) => markRead(chat, frame.user_id, frame.message_id, state.me.id));
    case 'typing':
      // Where many watch, how many type is told instead of who.
      if (!frame.user) return inChat(state, id, (chat) => chats.startTyping(chat, { id: 0, count: frame.count }, now + TYPING_MS));
      if (frame.user.id === state.me.id) return state;
      return inChat(state, id, (chat) => chats.startTyping(chat, frame.user, now + TYPING_MS));
    case 'presence':
      return { ...state, online: withPresence(state.online, frame.user_id, frame.status) };
    case 'chat':
      return onChat(state, frame.chat);
    case 'renamed':
      return inChat(state, id, (chat) => chats.applyEvent(chat, frame, state.me.id));
    case 'chat_removed':
      return removeChat(state, id);
    case 'announcement':
      return { ...state, announcement: frame.announcement };
    default:
      return state;
  }
}

/** What of the known chats is still there keeps its messages; another database starts from nothing. */
function onReady(state, { user, epoch, chats: views, announcement = null }) {
  const sameBase = state.epoch === epoch;
  const next = new Map();
  for (const view of views) {
    const known = state.chats.get(view.id);
    let chat = chats.newChat(view);
    // Who came and went meanwhile nobody told: asked for again, of the open chat at once.
    if (known && sameBase) chat = { ...chats.refresh(known, view), members: view.id === state.open ? known.members : null };
    else if (known) chat = { ...chat, generation: known.generation + 1 };
    next.set(view.id, chat);
  }
  const order = views.map((view) => view.id);
  const open = next.has(state.open) ? state.open : null;
  return { ...state, me: user, epoch, chats: next, order, open, announcement, known: true };
}

function onChat(state, view) {
  const known = state.chats.get(view.id);
  const chat = known ? chats.announce(known, view) : chats.newChat(view);
  const next = { ...state, chats: new Map(state.chats).set(view.id, chat) };
  return known && view.seq <= known.cursor ? next : toTop(next, view.id);
}

function removeChat(state, id) {
  const next = new Map(state.chats);
  next.delete(id);
  const open = state.open === id ? null : state.open;
  return { ...state, chats: next, order: state.order.filter((other) => other !== id), open };
}

function open(state, chatId) {
  if (state.open === chatId) return state;
  const left = inChat(state, state.open, (chat) => chats.follow(chat, true));
  const chat = state.chats.get(chatId);
  if (!chat) return { ...left, open: null, divider: null };
  const entered = inChat(left, chatId, chats.enter);
  return { ...entered, open: chatId, divider: chat.unread > 0 ? chat.lastRead : null };
}

function withoutDivider(state, chatId) {
  return state.open === chatId && state.divider !== null ? { ...state, divider: null } : state;
}

function withMembers(state, { chatId, members, next }) {
  let { online } = state;
  for (const member of members) online = withPresence(online, member.id, member.status);
  return inChat({ ...state, online }, chatId, (chat) =>
    members
      .filter((member) => member.id !== state.me.id)
      .reduce((known, member) => markRead(known, member.id, member.last_read, state.me.id), {
        ...chat,
        members,
        nextMembers: next,
      }),
  );
}

function withPresence(online, userId, status) {
  const next = new Set(online);
  if (status === 'online') next.add(userId);
  else next.delete(userId);
  return next;
}

function inChat(state, id, change) {
  const chat = state.chats.get(id);
  if (!chat) return state;
  const changed = change(chat);
  return changed === chat ? state : { ...state, chats: new Map(state.chats).set(id, changed) };
}

function toTop(state, id) {
  if (!state.chats.has(id) || state.order[0] === id) return state;
  return { ...state, order: [id, ...state.order.filter((other) => other !== id)] };
}

function userRef({ id, username }) {
  return { id, username };
}

/** Where to go on after a reconnect, or null at the first time. */
export function resumePoint(state) {
  if (!state.epoch) return null;
  const cursors = Object.fromEntries([...state.chats].map(([id, chat]) => [id, chat.cursor]));
  return { epoch: state.epoch, cursors };
}

/** Unread messages in all chats that one is in by one's own will. */
export function totalUnread(state) {
  return [...state.chats.values()].reduce((sum, chat) => sum + (chats.isInvitation(chat) ? 0 : chat.unread), 0);
}

/** The current state, and those who want to know of the next one. */
export class Store {
  #listeners = [];
  state = initial;

  dispatch(action) {
    const before = this.state;
    this.state = reduce(before, action);
    if (this.state !== before) for (const listener of this.#listeners) listener(this.state, before);
  }

  subscribe(listener) {
    this.#listeners.push(listener);
  }
}
