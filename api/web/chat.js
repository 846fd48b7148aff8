// One chat as the page knows it, and how events, history and own messages change it. Pure: every
// function returns a new chat or the same one. It draws nothing and asks nobody.

/** The server counts unread messages up to here; shown as "99+". */
export const UNREAD_CAP = 100;
/** Messages kept in memory for one chat; older ones are fetched again when somebody scrolls up. */
export const MAX_ITEMS = 1_000;
/** What is kept when there are more. */
const KEPT_ITEMS = 500;

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
    /** The stranger `{id, username}` who put one into the chat, as long as one has not accepted, or null. */
    invitedBy: view.invited_by ?? null,
    /** Messages and notes without holes, oldest first, in the order of `id`. */
    items: [],
    /** Whether `items` reaches from the newest message backwards. */
    loaded: false,
    /** Whether `items` reaches back to the chat's beginning. */
    complete: false,
    /** Answers to questions asked before the last reset are thrown away. */
    generation: 0,
    deleted: new Set(),
    /** Own messages without an ack, oldest first. */
    pending: [],
    /** `{id, username, until}` of those typing, or `{id: 0, count, until}`. */
    typing: [],
    /** Message up to which each other user has read. */
    reads: {},
    /** The members as the server last told, or null. */
    members: null,
    /** Cursor of the next page of members, or null. */
    nextMembers: null,
    /** Why the last page of history did not come, or null. */
    historyError: null,
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
    invitedBy: view.invited_by ?? null,
    typing: [],
    members: null,
    historyError: null,
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
    items: [],
    loaded: false,
    complete: false,
    generation: chat.generation + 1,
    deleted: new Set(),
    members: null,
    historyError: null,
  };
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
  const next = change(chat, event, me);
  return {
    ...next,
    cursor: event.seq,
    counted: Math.max(chat.counted, event.seq),
    items: trim(next.items),
    complete: next.complete && next.items.length <= MAX_ITEMS,
  };
}

function change(chat, event, me) {
  switch (event.type) {
    case 'message':
      return onMessage(chat, event, me);
    case 'edited':
      return reaches(chat, event.id) ? { ...chat, items: insert(chat.items, fromEvent(event)) } : chat;
    case 'deleted':
      return onDeleted(chat, event, me);
    case 'member':
      return { ...withNote(chat, event, event.change), members: null };
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
  const foreign = message.sender.id !== me;
  const isNew = foreign && event.seq > chat.counted && message.id > chat.lastRead;
  return {
    ...chat,
    items: insert(chat.items, message),
    pending: foreign ? chat.pending : withoutPending(chat.pending, message.clientId),
    typing: chat.typing.filter((user) => user.id !== message.sender.id),
    unread: isNew ? Math.min(UNREAD_CAP, chat.unread + 1) : chat.unread,
  };
}

function onDeleted(chat, event, me) {
  const gone = chat.items.find((item) => item.id === event.id);
  const wasUnread =
    gone && event.seq > chat.counted && gone.id > chat.lastRead && gone.sender?.id !== me;
  return {
    ...chat,
    items: gone ? chat.items.filter((item) => item !== gone) : chat.items,
    deleted: new Set(chat.deleted).add(event.id),
    unread: wasUnread && chat.unread < UNREAD_CAP ? Math.max(0, chat.unread - 1) : chat.unread,
  };
}

/** What happened to the chat, told between its messages. */
function withNote(chat, event, change) {
  const { seq: id, user, name, by, timestamp } = event;
  return { ...chat, items: insert(chat.items, { kind: 'note', id, user, name, change, by, timestamp }) };
}

/** A page of history, oldest first. `full` tells that there may be more before it. */
export function mergeHistory(chat, { generation, messages, full }, me) {
  if (generation !== chat.generation) return chat;
  let { items, pending } = chat;
  for (const message of messages) {
    if (chat.deleted.has(message.id)) continue;
    const known = items.find((item) => item.id === message.id);
    // What an event told may be newer than what the database answered a moment earlier.
    if (!known || (message.editedAt ?? '') > (known.editedAt ?? '')) items = insert(items, message);
    if (message.sender.id === me) pending = withoutPending(pending, message.clientId);
  }
  return { ...chat, items, pending, loaded: true, complete: chat.complete || !full };
}

/** The server has it: the bubble takes its place among the messages. */
export function acknowledge(chat, ack, me) {
  const sent = chat.pending.find((pending) => pending.clientId === ack.id);
  if (!sent) return chat;
  const { clientId, text, replyTo } = sent;
  const message = { kind: 'message', id: ack.message_id, sender: me, text, clientId, replyTo, timestamp: ack.timestamp };
  const isThere = chat.deleted.has(message.id) || chat.items.some((item) => item.id === message.id);
  return {
    ...chat,
    pending: withoutPending(chat.pending, clientId),
    items: isThere ? chat.items : insert(chat.items, message),
  };
}

/** A message being sent, or tried again under the same id. */
export function queue(chat, { clientId, text, replyTo, at }) {
  const bubble = { clientId, text, replyTo, at, error: null };
  const known = chat.pending.some((pending) => pending.clientId === clientId);
  const pending = known
    ? chat.pending.map((other) => (other.clientId === clientId ? bubble : other))
    : [...chat.pending, bubble];
  return { ...chat, pending };
}

/** The server refused it; it stays until it is tried again or thrown away. */
export function fail(chat, clientId, error) {
  return {
    ...chat,
    pending: chat.pending.map((bubble) => (bubble.clientId === clientId ? { ...bubble, error } : bubble)),
  };
}

export function discard(chat, clientId) {
  return { ...chat, pending: withoutPending(chat.pending, clientId) };
}

/** Somebody has read up to a message; the own user perhaps on another device. */
export function markRead(chat, userId, messageId, me) {
  if (userId !== me) {
    const upTo = Math.max(chat.reads[userId] ?? 0, messageId);
    return { ...chat, reads: { ...chat.reads, [userId]: upTo } };
  }
  if (messageId <= chat.lastRead) return chat;
  const after = chat.items.filter(
    (item) => item.kind === 'message' && item.id > messageId && item.sender.id !== me,
  );
  return { ...chat, lastRead: messageId, unread: Math.min(chat.unread, after.length) };
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

/** The newest message that the server has, or undefined. */
export function lastMessage(chat) {
  return chat.items.findLast((item) => item.kind === 'message');
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

/** Whether a message belongs to the stretch that is in memory. */
function reaches(chat, id) {
  return chat.complete || (chat.items.length > 0 && id >= chat.items[0].id);
}

function insert(items, item) {
  let at = items.length;
  while (at > 0 && items[at - 1].id > item.id) at -= 1;
  const replaced = at > 0 && items[at - 1].id === item.id ? 1 : 0;
  return [...items.slice(0, at - replaced), item, ...items.slice(at)];
}

function trim(items) {
  return items.length > MAX_ITEMS ? items.slice(-KEPT_ITEMS) : items;
}

function withoutPending(pending, clientId) {
  return pending.filter((bubble) => bubble.clientId !== clientId);
}
