// Everything the page shows, and the one function that changes it. Pure, apart from `Store`, which
// holds the current state and tells who listens.

import * as chats from './chat.js';
import { acknowledge, discard, fail, queue } from './pending.js';
import { keepQuotes } from './quotes.js';
import { afterEvent, callsForAttention, summaryOf } from './summary.js';
import { markRead, recount } from './unread.js';

export const initial = Object.freeze({
  /** The signed-in account, or null. */
  me: null,
  epoch: null,
  connection: { state: 'stopped' },
  /** Chats by id, and their ids with the most recently active first. */
  chats: new Map(),
  order: [],
  /** The last chat of the list so far, after which there may be more, or null. */
  nextChats: null,
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
  /** Ids of users that are known to be online; oneself among them. */
  online: new Set(),
  /**
   * How many signals have come, and which of them was the last about each user's presence and each chat's settings: an
   * answer that was asked for before it is older.
   */
  signals: 0,
  heard: new Map(),
});

/** As many chats `ready` lists: when there are fewer, there are no more. */
export const READY_CHATS = 200;

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
    case 'chats':
      return withMore(state, action);
    case 'found':
      return onChat(state, action.view, false, action.asked);
    case 'settings':
      return onSettings(state, action.chatId, action.settings);
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
    case 'quotes':
      return inChat(state, action.chatId, (chat) => keepQuotes(chat, action.found));
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
      return onOwnRead(state, action.chatId, action.messageId);
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
      const told = applyEvent(state, frame);
      // Who writes in a chat accepts the invitation to it, and has read what is there.
      return toTop(frame.sender.id === state.me.id ? withoutDivider(inChat(told, id, chats.accept), id) : told, id);
    }
    case 'edited':
    case 'deleted':
    case 'member':
    case 'owner':
    case 'renamed':
      return applyEvent(state, frame);
    case 'caught_up':
      return inChat(state, id, (chat) => chats.caughtUp(chat, frame.seq));
    case 'resync':
      return inChat(state, id, (chat) => chats.reset(chat, frame.seq));
    case 'ack':
      return inChat(state, id, (chat) => acknowledge(chat, frame, userRef(state.me)));
    case 'read':
      if (frame.user_id === state.me.id) return onOwnRead(state, id, frame.message_id);
      return inChat(state, id, (chat) => markRead(chat, frame.user_id, frame.message_id, state.me.id));
    case 'typing':
      // Where many watch, how many type is told instead of who.
      if (!frame.user) return inChat(state, id, (chat) => chats.startTyping(chat, { id: 0, count: frame.count }, now + TYPING_MS));
      if (frame.user.id === state.me.id) return state;
      return inChat(state, id, (chat) => chats.startTyping(chat, frame.user, now + TYPING_MS));
    case 'presence':
      return { ...hear(state, presenceOf(frame.user_id)), online: withPresence(state.online, frame.user_id, frame.status) };
    case 'chat':
    case 'subscribed':
      return onChat(state, frame.chat, true);
    case 'chat_settings':
      return onSettings(state, id, frame.settings);
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
    let chat = newChat(view, true);
    // Who came and went meanwhile nobody told: asked for again, of the open chat at once.
    if (known && sameBase) chat = { ...refresh(known, view), members: view.id === state.open ? known.members : null };
    else if (known) chat = { ...chat, generation: known.generation + 1 };
    next.set(view.id, chat);
  }
  const order = views.map((view) => view.id);
  // Of these the cursors were sent: what happened there comes now, or that they are gone. The others are asked for again.
  const unlisted = sameBase ? state.order.filter((id) => !next.has(id) && state.chats.get(id).live) : [];
  for (const id of unlisted) next.set(id, state.chats.get(id));
  const open = next.has(state.open) ? state.open : null;
  const nextChats = views.length >= READY_CHATS ? order.at(-1) : null;
  // Of the open chat's members the page is told anew in a moment. Of oneself nobody tells.
  const here = sameBase ? (state.chats.get(open)?.members ?? []).map(({ id }) => id).filter((id) => state.online.has(id)) : [];
  const online = peersOnline({ ...state, online: new Set([user.id, ...here]) }, views);
  return { ...state, me: user, epoch, chats: next, order: [...order, ...unlisted], nextChats, open, online, announcement, known: true };
}

/** A chat by the server's view of it; `live` when its events come by themselves from `seq` on. */
function newChat(view, live) {
  return counted({ ...chats.newChat(view), ...summaryOf(view), live }, view);
}

function refresh(chat, view) {
  if (isOlder(view, chat)) return { ...chat, live: true };
  return counted({ ...chats.refresh(chat, view), ...summaryOf(view), live: true }, view);
}

/** A woken chat goes on before the message that woke it, which its view counts all the same. */
function counted(chat, view) {
  return { ...chat, counted: Math.max(chat.counted, view.last_message?.id ?? 0) };
}

/** A view that was made before events which have come already tells nothing that is new. */
function isOlder(view, chat) {
  return view.seq < chat.cursor;
}

/** A new chat, a woken one, or one that was looked up, which only is live when it was before. */
function onChat(state, view, live, asked) {
  const known = state.chats.get(view.id);
  const chat = known ? told(known, view, live || known.live) : newChat(view, live);
  const settings = known && !isNews(state, settingsOf(view.id), asked) ? known.settings : chat.settings;
  const online = peersOnline(state, [view], asked);
  const next = { ...state, online, chats: new Map(state.chats).set(view.id, { ...chat, settings }) };
  if (!live && !known) return { ...next, order: [...state.order, view.id] };
  return known && view.seq <= known.cursor ? next : toTop(next, view.id);
}

function told(known, view, live) {
  if (isOlder(view, known)) return { ...known, live };
  return counted({ ...chats.announce(known, view), ...summaryOf(view), live }, view);
}

/** A page of the list behind what `ready` told. Of those that are known, events have told more. */
function withMore(state, { views, next, asked }) {
  const others = views.filter((view) => !state.chats.has(view.id));
  const added = new Map(state.chats);
  for (const view of others) added.set(view.id, newChat(view, false));
  const order = [...state.order, ...others.map((view) => view.id)];
  return { ...state, chats: added, order, nextChats: next, online: peersOnline(state, others, asked) };
}

function peersOnline(state, views, asked) {
  const peers = views.map((view) => view.peer).filter((peer) => peer?.status);
  return allOnline(state, peers, asked);
}

/** Who is online when these were told; `asked` as for `isNews`. */
function allOnline(state, users, asked) {
  const told = users.filter(({ id }) => id !== state.me.id && isNews(state, presenceOf(id), asked));
  return told.reduce((known, { id, status }) => withPresence(known, id, status), state.online);
}

const presenceOf = (userId) => `presence ${userId}`;
const settingsOf = (chatId) => `settings ${chatId}`;

/** A signal about this has come. */
function hear(state, what) {
  const signals = state.signals + 1;
  const heard = new Map(state.heard);
  // Behind all others, so that the oldest ones are forgotten.
  heard.delete(what);
  return { ...state, signals, heard: chats.bounded(heard.set(what, signals)) };
}

/** Whether what was asked for after so many signals, or told unasked, is newer than the last signal about this. */
function isNews(state, what, asked = Infinity) {
  return (state.heard.get(what) ?? 0) <= asked;
}

function onSettings(state, chatId, settings) {
  return hear(inChat(state, chatId, (chat) => ({ ...chat, settings })), settingsOf(chatId));
}

function applyEvent(state, event) {
  return inChat(state, event.chat_id, (chat) => {
    const next = chats.applyEvent(chat, event, state.me.id);
    return next === chat ? chat : { ...next, ...afterEvent(chat, event, state.me.id) };
  });
}

/** Reading takes back that one has marked the chat as unread. */
function onOwnRead(state, id, messageId) {
  return inChat(state, id, (chat) => {
    const read = markRead(chat, state.me.id, messageId, state.me.id);
    return read.settings.marked_unread ? { ...read, settings: { ...read.settings, marked_unread: false } } : read;
  });
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

/** A page of members: the first one, or the one `after` those that are known. */
function withMembers(state, { chatId, members, next, asked, after }) {
  return inChat({ ...state, online: allOnline(state, members, asked) }, chatId, (chat) => {
    // Somebody came or went meanwhile: they begin anew with the first page.
    if (after !== undefined && (!chat.members || chat.nextMembers !== after)) return chat;
    const told = { ...chat, members: after !== undefined ? [...chat.members, ...members] : members, nextMembers: next };
    const others = members.filter((member) => member.id !== state.me.id);
    return others.reduce((known, member) => markRead(known, member.id, member.last_read, state.me.id), told);
  });
}

function withPresence(online, userId, status) {
  if (online.has(userId) === (status === 'online')) return online;
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

function userRef({ id, username, name, avatar }) {
  return { id, username, name, avatar };
}

/** Where to go on after a reconnect, or null at the first time. */
export function resumePoint(state) {
  if (!state.epoch) return null;
  const live = [...state.chats].filter(([, chat]) => chat.live);
  const cursors = Object.fromEntries(live.map(([id, chat]) => [id, chat.cursor]));
  return { epoch: state.epoch, cursors };
}

/** One's chats as the list shows them: pinned ones first, without invitations and what is put aside. */
export function listedChats(state) {
  const all = state.order.map((id) => state.chats.get(id)).filter((chat) => !chats.isInvitation(chat) && !chat.settings.archived);
  return [...all.filter((chat) => chat.settings.pinned), ...all.filter((chat) => !chat.settings.pinned)];
}

/** Unread messages in all chats that one is in by one's own will and that are not muted or put aside. */
export function totalUnread(state) {
  const counts = (chat) => !chats.isInvitation(chat) && callsForAttention(chat);
  return [...state.chats.values()].reduce((sum, chat) => sum + (counts(chat) ? chat.unread : 0), 0);
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
