// What stands in the log of a chat, row by row: days, the "new" line, notes, messages, and messages
// on their way. Pure: from the state to plain rows that say how they are shown.

import { mayManage } from './chat.js';
import { isEmoji, dayKey, dayName } from './text.js';

/** Messages of one sender closer together than this are shown as one group. */
const GROUP_MS = 5 * 60_000;

/** The rows of the open chat, oldest first. Each has a `key`; two rows that are equal look the same. */
export function rows(state) {
  const chat = state.chats.get(state.open);
  if (!chat) return [];
  const result = [];
  let day = null;
  // The message that the next one may be grouped with.
  let previous = null;
  let divided = state.divider === null;
  for (const item of [...chat.items, ...chat.pending.map((bubble) => asItem(bubble, state.me))]) {
    if (dayKey(item.timestamp) !== day) {
      day = dayKey(item.timestamp);
      result.push({ kind: 'day', key: `day ${day}`, text: dayName(item.timestamp) });
      previous = null;
    }
    if (item.kind === 'note') {
      const what = item.user?.username ?? item.name;
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
    if (grouped) result.at(-1).last = false;
    result.push(messageRow(item, chat, state.me, !grouped));
    previous = item;
  }
  return result;
}

function asItem({ clientId, text, replyTo, at, error }, me) {
  return { kind: 'message', clientId, text, replyTo, timestamp: at, sender: me, pending: !error, error };
}

function messageRow(item, chat, me, first) {
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
    mayDelete: own || mayManage(chat, me),
    first,
    last: true,
    named: first && !own && chat.type !== 'private',
    emoji: isEmoji(item.text) && !item.replyTo,
    quote: quoteOf(item, chat),
    replyTo: item.replyTo,
    pending: item.pending,
    error: item.error,
    seen: own && Object.values(chat.reads).some((upTo) => upTo >= item.id),
  };
}

function quoteOf({ replyTo }, chat) {
  if (!replyTo) return null;
  const original = chat.items.find((item) => item.id === replyTo && item.kind === 'message');
  return original ? { name: original.sender.username, text: original.text } : {};
}

function byName({ user, by }, chat) {
  if (by === user?.id) return null;
  return chat.members?.find((member) => member.id === by)?.username ?? null;
}

function sameGroup(one, other) {
  const apart = Date.parse(other.timestamp) - Date.parse(one.timestamp);
  return one.sender.id === other.sender.id && apart < GROUP_MS;
}
