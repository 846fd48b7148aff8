// A chat's own messages that the server has not acknowledged: sent, refused, tried again or thrown away. Pure, as
// chat.js is.

import { known, put } from './message-window.js';

/** The server has it: the bubble takes its place among the messages. */
export function acknowledge(chat, ack, me) {
  const sent = chat.pending.find((pending) => pending.clientId === ack.id);
  if (!sent) return chat;
  const { clientId, text, replyTo } = sent;
  const message = { kind: 'message', id: ack.message_id, sender: me, text, clientId, replyTo, timestamp: ack.timestamp };
  const isThere = chat.deleted.has(message.id) || known(chat).some((item) => item.id === message.id);
  return {
    ...chat,
    pending: withoutPending(chat.pending, clientId),
    ...(isThere ? {} : put(chat, message, chat.follows)),
  };
}

/** A message being sent, or tried again under the same id; one that waits from an earlier visit, perhaps refused then. */
export function queue(chat, { clientId, text, replyTo, at, error = null }) {
  const bubble = { clientId, text, replyTo, at, error };
  const isKnown = chat.pending.some((pending) => pending.clientId === clientId);
  const pending = isKnown
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

export function withoutPending(pending, clientId) {
  return pending.filter((bubble) => bubble.clientId !== clientId);
}
