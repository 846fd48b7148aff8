// What stands in the log of a chat, row by row: days, the "new" line, notes, messages, and messages
// on their way. Pure: from the state to plain rows that say how they are shown.

import { mayManage } from './chat.js';
import { nameOf } from './names.js';
import { messagesById, quotedIn } from './quotes.js';
import { isEmoji, dayKey, dayName } from './text.js';

/** Messages of one sender closer together than this are shown as one group. */
const GROUP_MS = 5 * 60_000;

/**
 * The rows of the open chat, oldest first. Each has a `key`. A row that looks as in `before`, the rows of the last
 * time, is the same object.
 */
export function rows(state, before = []) {
  const chat = state.chats.get(state.open);
  if (!chat) return [];
  const about = { chat, me: state.me, manages: mayManage(chat, state.me), seen: Math.max(0, ...Object.values(chat.reads)), byId: messagesById(chat) };
  const result = [];
  let day = null;
  // The message that the next one may be grouped with.
  let previous = null;
  // The line stands where the window shows what comes before it.
  let divided = state.divider === null || !(chat.complete || chat.items[0]?.id <= state.divider);
  for (const item of [...chat.items, ...onTheirWay(chat, state.me)]) {
    const { day: itsDay } = traits(item);
    if (itsDay !== day) {
      day = itsDay;
      result.push({ kind: 'day', key: `day ${day}`, text: dayName(item.timestamp) });
      previous = null;
    }
    if (item.kind === 'note') {
      const what = item.user ? nameOf(item.user) : item.name;
      result.push({ ...item, key: `n${item.id}`, what, by: byName(item, chat) });
      previous = null;
      continue;
    }
    if (!divided && item.id > state.divider && item.sender.id !== state.me.id) {
      result.push({ kind: 'new', key: 'new' });
      divided = true;
      previous = null;
    }
    const grouped = previous !== null && sameGroup(previous, item);
    result.push(messageRow(item, about, !grouped));
    previous = item;
  }
  return sameObjects(result, before);
}

/** Own messages without an answer stand behind the newest, so only where the newest is shown. */
function onTheirWay(chat, me) {
  if (!chat.loaded || chat.later) return [];
  return chat.pending.map((bubble) => asItem(bubble, me));
}

function asItem({ clientId, text, replyTo, at, error }, me) {
  return { kind: 'message', clientId, text, replyTo, timestamp: at, sender: me, pending: !error, error };
}

function messageRow(item, { chat, me, manages, seen, byId }, first) {
  const own = item.sender.id === me.id;
  return {
    kind: 'message',
    // An own bubble stays the same element from sending to sent.
    key: own && item.clientId ? `c${item.clientId}` : `m${item.id}`,
    id: item.id,
    clientId: item.clientId,
    sender: item.sender,
    text: item.text,
    timestamp: item.timestamp,
    edited: Boolean(item.editedAt),
    own,
    mayDelete: own || manages,
    first,
    emoji: traits(item).emoji && !item.replyTo,
    quoted: item.replyTo ? (quotedIn(chat, item.replyTo, byId) ?? null) : null,
    quotesDeleted: chat.deleted.has(item.replyTo),
    replyTo: item.replyTo,
    pending: item.pending,
    error: item.error,
    seen: own && seen >= item.id,
  };
}

const known = new WeakMap();

/** What is slow to find out of an item, which never changes. */
function traits(item) {
  let found = known.get(item);
  if (!found) {
    found = { day: dayKey(item.timestamp), emoji: item.kind === 'message' && isEmoji(item.text) };
    known.set(item, found);
  }
  return found;
}

function byName({ user, by }, chat) {
  if (by === user?.id) return null;
  const member = chat.members?.find((one) => one.id === by);
  return member ? nameOf(member) : null;
}

function sameGroup(one, other) {
  const apart = Date.parse(other.timestamp) - Date.parse(one.timestamp);
  return one.sender.id === other.sender.id && apart < GROUP_MS;
}

/** What looks as before is the object of before, so that nobody need compare it again. */
function sameObjects(now, before) {
  const old = new Map(before.map((row) => [row.key, row]));
  return now.map((row) => {
    const known = old.get(row.key);
    return known && Object.keys(row).every((name) => isSame(row[name], known[name], name)) ? known : row;
  });
}

/** A sender comes anew with each frame. */
function isSame(one, other, name) {
  return one === other || (name === 'sender' && one.id === other.id && one.username === other.username && one.name === other.name && one.avatar === other.avatar);
}
