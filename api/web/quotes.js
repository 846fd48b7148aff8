// Messages that others quote and that the window does not have: which are to be fetched, and what is known of them.
// Pure, as chat.js is.

import { bounded } from './chat.js';

/** The message that another one quotes, or undefined if it is not there. */
export function quotedIn(chat, id, byId) {
  return byId.get(id) ?? chat.edited.get(id) ?? chat.quotes.get(id);
}

/** The numbers of quoted messages of which nothing is known, in the order of the messages that quote them. */
export function missingQuotes(chat) {
  const byId = messagesById(chat);
  const quoted = chat.items.map((item) => item.replyTo).filter((id) => id && !chat.deleted.has(id) && !quotedIn(chat, id, byId));
  return [...new Set(quoted)];
}

/** Fetched ones; of those that are not there any more `{id, gone}`. */
export function keepQuotes(chat, found) {
  const [there, gone] = [found.filter((one) => !one.gone), found.filter((one) => one.gone)];
  return {
    ...chat,
    quotes: bounded(new Map([...chat.quotes, ...there.map((one) => [one.id, one])])),
    deleted: bounded(new Set([...chat.deleted, ...gone.map((one) => one.id)])),
  };
}

export function messagesById({ items }) {
  return new Map(items.filter((item) => item.kind === 'message').map((item) => [item.id, item]));
}
