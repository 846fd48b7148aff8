// How far somebody has read in a chat, and how many messages are unread. Pure, as chat.js is.

import { known, knowsAllAfter, knowsAllBetween } from './message-window.js';

/** The server's count, of a view that may be older or newer than the events that were heard. */
export function recount(chat, view, me) {
  const heard = foreign(chat, view.seq, Infinity, me);
  return {
    ...chat,
    counted: Math.max(chat.counted, view.seq),
    lastRead: Math.max(chat.lastRead, view.last_read),
    unread: view.unread + heard,
    unsure: false,
  };
}

/** Somebody has read up to a message; the own user perhaps on another device. */
export function markRead(chat, userId, messageId, me) {
  if (userId !== me) {
    const upTo = Math.max(chat.reads[userId] ?? 0, messageId);
    return { ...chat, reads: { ...chat.reads, [userId]: upTo } };
  }
  if (messageId <= chat.lastRead) return chat;
  if (knowsAllAfter(chat, messageId)) {
    return { ...chat, ...readUpTo(chat, messageId, Math.min(chat.unread, foreign(chat, messageId, Infinity, me))) };
  }
  if (knowsAllBetween(chat, chat.lastRead, messageId)) {
    return { ...chat, ...readUpTo(chat, messageId, Math.max(0, chat.unread - foreign(chat, chat.lastRead, messageId, me))) };
  }
  return { ...chat, lastRead: messageId, unsure: true };
}

/** Where the own mark is, at least, and what is left behind it. */
export function readUpTo(chat, id, unread) {
  return { lastRead: Math.max(chat.lastRead, id), unread, unsure: false };
}

/** How many known messages of others stand after one number up to another. */
function foreign(chat, after, upTo, me) {
  return known(chat).filter((item) => item.kind === 'message' && item.id > after && item.id <= upTo && item.sender.id !== me).length;
}
