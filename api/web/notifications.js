// Which new messages somebody who looks elsewhere is told of, and in which words. Pure: from one state of the page to
// the next one. Showing them, and what the person chose, is view-notifications.js's.

import { isInvitation } from './chat.js';
import { plainText } from './markup.js';
import { nameOf } from './names.js';
import { t } from './strings.js';
import { callsForAttention } from './summary.js';

/** What is shown of a text: systems cut longer ones anyhow. */
const MAX_TEXT = 200;
/** News of more chats at once, as after a night without a connection, is one notification. */
const MAX_CHATS = 3;

/** What came between two states and calls for attention: `{chatId, id, count}` of each chat, with its newest message. */
export function news(after, before) {
  // Nothing is new in the first list, or in another database.
  if (after.chats === before.chats || !before.known || after.epoch !== before.epoch) return [];
  return [...after.chats.values()].map((chat) => newIn(chat, before.chats.get(chat.id), after.me)).filter(Boolean);
}

function newIn(chat, before, me) {
  const { lastMessage: last } = chat;
  // What was only looked up is not live.
  if (chat === before || !chat.live || !last || last.deleted || last.sender.id === me.id) return null;
  if (last.id <= (before?.lastMessage?.id ?? 0) || last.id <= chat.lastRead) return null;
  if (isInvitation(chat) || !callsForAttention(chat)) return null;
  return { chatId: chat.id, id: last.id, count: Math.max(1, chat.unread - (before?.unread ?? 0)) };
}

/** News of the same chats, one after the other, as one. */
export function together(earlier, later) {
  const joined = new Map(earlier.map((one) => [one.chatId, one]));
  for (const one of later) joined.set(one.chatId, { ...one, count: one.count + (joined.get(one.chatId)?.count ?? 0) });
  return [...joined.values()];
}

/**
 * Notifications of news: `{tag, title, body, chatId, upTo}`; a later one with the same `tag` takes its place. `chatId` is
 * null in one about several chats. `upTo` has the newest message of each chat.
 */
export function notices(found, state, { text }) {
  if (found.length > MAX_CHATS) return [summary(found)];
  return found.map(({ chatId, id, count }) => ({
    tag: `chat ${chatId}`,
    chatId,
    upTo: new Map([[chatId, id]]),
    ...words(state.chats.get(chatId), count, text),
  }));
}

function summary(found) {
  const count = found.reduce((sum, one) => sum + one.count, 0);
  const upTo = new Map(found.map(({ chatId, id }) => [chatId, id]));
  return { tag: 'chats', chatId: null, upTo, title: t.appName, body: t.newInChats(count, found.length) };
}

function words({ name, type, invitedBy, lastMessage: { sender, text } }, count, showsText) {
  // A stranger's words are shown to nobody who has not opened them, and anybody may choose any name.
  if (invitedBy) return { title: t.appName, body: t.invited(invitedBy.username, type) };
  if (!showsText) return { title: name, body: t.newCount(count) };
  const said = [...plainText(text)].slice(0, MAX_TEXT).join('');
  const newest = type === 'private' ? said : t.said(nameOf(sender), said);
  return { title: name, body: count > 1 ? `${t.newCount(count)}\n${newest}` : newest };
}

/** Whether there is nothing left to tell: all of it was read, here or on another device, or the chat is silent or gone. */
export function isOver({ upTo }, state) {
  return [...upTo].every(([chatId, id]) => {
    const chat = state.chats.get(chatId);
    return !chat || chat.lastRead >= id || !callsForAttention(chat);
  });
}
