// One chat as the page knows it, and how events and history change it. Pure: every function returns a new chat or
// the same one. It draws nothing and asks nobody. What one writes oneself is in pending.js, how far one has read in
// unread.js.

import { emptyWindow, extendNewer, extendOlder, forgetItems, known, put, remove, replace } from './message-window.js';
import { withoutPending } from './pending.js';
import { readUpTo } from './unread.js';

/** Deleted and edited messages remembered beside the window, for pages that were read before. */
const MAX_REMEMBERED = 500;

/** A chat from the server's view of it. Its events are live after `cursor`. */
export function newChat(view) {
  return {
    id: view.id,
    name: view.name,
    type: view.chat_type,
    /** The newest event that has been applied. */
    cursor: view.seq,
    /** Messages up to here are in `unread` already. */
    counted: view.seq,
    lastRead: view.last_read,
    unread: view.unread,
    /** How many are unread is not certain: the server is to be asked. */
    unsure: false,
    /** The stranger `{id, username}` who put one into the chat, as long as one has not accepted, or null. */
    invitedBy: view.invited_by ?? null,
    // The window: `items`, `complete`, `later`, see message-window.js.
    ...emptyWindow(view.seq),
    /** Whether the window shows a page. */
    loaded: false,
    /** Where reading begins in the window: `{at: 'new'}`, `{at: 'end'}` or `{at: 'message', id}`. */
    start: { at: 'end' },
    /** Another page was put in the place of the window. Pages asked for before it are thrown away. */
    generation: 0,
    /** Whether the newest is what somebody looks at, or nobody looks. */
    follows: true,
    /** What is being fetched, `page`, `older` or `newer`, and why it did not come: `{edge, error}`, or null. */
    history: null,
    deleted: new Set(),
    edited: new Map(),
    /** Messages outside of the window that messages in it quote. */
    quotes: new Map(),
    /** Own messages without an ack, oldest first. */
    pending: [],
    /** What was typed and not sent, or null. */
    draft: null,
    /** `{id, username, until}` of those typing, or `{id: 0, count, until}`. */
    typing: [],
    /** Message up to which each other user has read. */
    reads: {},
    /** The members as the server last told, or null. */
    members: null,
    /** Cursor of the next page of members, or null. */
    nextMembers: null,
  };
}

/** After `ready`, whose view counts everything up to its `seq` although the events come after it. */
export function refresh(chat, view) {
  return {
    ...chat,
    name: view.name,
    type: view.chat_type,
    counted: Math.max(chat.counted, view.seq),
    lastRead: view.last_read,
    unread: view.unread,
    unsure: false,
    invitedBy: view.invited_by ?? null,
    typing: [],
    members: null,
    history: null,
  };
}

/** After `chat`: woken, perhaps; then what happened while it slept must be fetched. */
export function announce(chat, view) {
  const refreshed = { ...refresh(chat, view), typing: chat.typing };
  return view.seq > chat.cursor ? reset(refreshed, view.seq) : refreshed;
}

/** What was missed cannot be told: forget the messages, go on after `seq`. */
export function reset(chat, seq) {
  return {
    ...chat,
    cursor: seq,
    counted: Math.max(chat.counted, seq),
    ...emptyWindow(seq),
    loaded: false,
    generation: chat.generation + 1,
    history: null,
    deleted: new Set(),
    edited: new Map(),
    quotes: new Map(),
    members: null,
  };
}

/** Somebody opens it: reading begins at the first unread message, else at the newest. */
export function enter(chat) {
  const start = { at: chat.unread > 0 ? 'new' : 'end' };
  const { items, complete, later } = chat;
  const first = items[0]?.id ?? Infinity;
  const last = later === null ? Infinity : (items.at(-1)?.id ?? 0);
  const isThere = chat.unread > 0 ? (complete || first <= chat.lastRead) && last > chat.lastRead : later === null;
  const entered = { ...chat, start, follows: false };
  return chat.loaded && isThere ? entered : { ...entered, ...forgetItems(chat), loaded: false, history: null, generation: chat.generation + 1 };
}

/** Nobody looks any more, or somebody looks at the newest, or at something before it. */
export function follow(chat, follows) {
  return chat.follows === follows ? chat : { ...chat, follows };
}

/** Whether a stranger put one into it with others: it calls for no attention. A person who writes does. */
export function isInvitation(chat) {
  return chat.invitedBy !== null && chat.type !== 'private';
}

/** One is in the chat by one's own will now. */
export function accept(chat) {
  return chat.invitedBy ? { ...chat, invitedBy: null } : chat;
}

/** Everything up to `seq` has been sent. */
export function caughtUp(chat, seq) {
  return { ...chat, cursor: Math.max(chat.cursor, seq) };
}

/** Applies a numbered event once: what is not after the cursor has been applied before. */
export function applyEvent(chat, event, me) {
  if (event.seq <= chat.cursor) return chat;
  return { ...change(chat, event, me), cursor: event.seq, counted: Math.max(chat.counted, event.seq) };
}

function change(chat, event, me) {
  switch (event.type) {
    case 'message':
      return onMessage(chat, event, me);
    case 'edited':
      return onEdited(chat, fromEvent(event));
    case 'deleted':
      return onDeleted(chat, event, me);
    case 'member':
      // Whose own place it was is not asked who is left.
      return { ...withNote(chat, event, event.change), members: event.user.id === me && event.change !== 'joined' ? chat.members : null };
    case 'renamed':
      return { ...withNote(chat, event, 'renamed'), name: event.name };
    case 'owner':
      return { ...withNote(chat, event, 'owner'), members: null };
    default:
      return chat;
  }
}

function onMessage(chat, event, me) {
  const message = fromEvent(event);
  const next = { ...chat, ...put(chat, message, chat.follows), typing: chat.typing.filter((user) => user.id !== message.sender.id) };
  // Who writes has read what is there.
  if (message.sender.id === me) return { ...next, pending: withoutPending(chat.pending, message.clientId), ...readUpTo(chat, message.id, 0) };
  const isNew = event.seq > chat.counted && message.id > chat.lastRead;
  return isNew ? { ...next, unread: chat.unread + 1 } : next;
}

function onEdited(chat, message) {
  return { ...chat, ...put(chat, message, chat.follows), edited: bounded(new Map(chat.edited).set(message.id, message)) };
}

function onDeleted(chat, event, me) {
  const gone = known(chat).find((item) => item.id === event.id);
  const wasUnread = gone && event.seq > chat.counted && gone.id > chat.lastRead && gone.sender?.id !== me;
  const next = {
    ...chat,
    ...remove(chat, event.id),
    deleted: bounded(new Set(chat.deleted).add(event.id)),
    unread: wasUnread ? Math.max(0, chat.unread - 1) : chat.unread,
  };
  const isEmptied = chat.loaded && next.items.length === 0 && !(next.complete && next.later === null);
  return isEmptied ? { ...next, ...emptyWindow(event.seq), loaded: false, generation: chat.generation + 1 } : next;
}

/** What happened to the chat, told between its messages. */
function withNote(chat, event, change) {
  const { seq: id, user, name, by, timestamp } = event;
  return { ...chat, ...put(chat, { kind: 'note', id, user, name, change, by, timestamp }, chat.follows) };
}

/**
 * A page of history, the oldest first: `edge` is where it belongs, `older` and `newer` whether there may be more on that
 * side, `coversTo` the event up to which it is whole if there is not, `from` the item beside which it belongs. Of a
 * page in slices (page-slices.js) only the last one ends the fetching.
 */
export function mergeHistory(chat, { edge, generation, start, isLast = true, ...page }, me) {
  if (generation !== chat.generation) return chat;
  const messages = page.messages.filter((message) => !chat.deleted.has(message.id)).map((message) => latest(chat, message));
  const whole = { ...page, messages };
  const own = new Set(messages.filter((message) => message.sender.id === me).map((message) => message.clientId));
  const pending = chat.pending.filter((bubble) => !own.has(bubble.clientId));
  const next = { ...chat, pending, history: isLast ? null : chat.history };
  switch (edge) {
    case 'older':
      return { ...next, ...extendOlder(chat, whole) };
    case 'newer':
      return { ...next, ...extendNewer(chat, whole) };
    default:
      return { ...next, ...replace(chat, whole), loaded: true, start: start ?? chat.start, generation: generation + 1 };
  }
}

/** What an event told may be newer than what the database answered a moment earlier. */
function latest(chat, message) {
  const edited = chat.edited.get(message.id);
  return edited && edited.editedAt > (message.editedAt ?? '') ? edited : message;
}

/** A message that is in no page: it was deleted before. */
export function markGone(chat, id) {
  return { ...chat, history: null, deleted: bounded(new Set(chat.deleted).add(id)) };
}

/** What stands in the field, unsent: `{text, replyTo, edit}` or null. */
export function keepDraft(chat, draft) {
  return { ...chat, draft };
}

export function startTyping(chat, user, until) {
  return { ...chat, typing: [...chat.typing.filter((other) => other.id !== user.id), { ...user, until }] };
}

export function stopTyping(chat, now) {
  const typing = chat.typing.filter((user) => user.until > now);
  return typing.length === chat.typing.length ? chat : { ...chat, typing };
}

/** Whether the server lets this user rename and delete the chat, manage its members and its messages. */
export function mayManage(chat, me) {
  return me.role === 'admin' || Boolean(chat.members?.some((member) => member.id === me.id && member.role === 'owner'));
}

function fromEvent(event) {
  return {
    kind: 'message',
    id: event.id,
    sender: event.sender,
    text: event.text,
    timestamp: event.timestamp,
    clientId: event.client_message_id,
    replyTo: event.reply_to,
    editedAt: event.edited_at,
  };
}

/** Without its oldest entries, so that it does not grow with the visit. */
export function bounded(collection) {
  for (const key of collection.keys()) {
    if (collection.size <= MAX_REMEMBERED) break;
    collection.delete(key);
  }
  return collection;
}
