// What the list shows of a chat: its newest message, its peer, how many are in it, and what one has set for it. Comes
// with the server's views and is kept true by events. Pure; a chat's messages are `chat.js`'s.

/** The fields of a chat that come from a view of the server. */
export function summaryOf(view) {
  return {
    /** `{id, sender, text, timestamp, deleted}`, or null. */
    lastMessage: view.last_message ?? null,
    /** The other one of a private chat: `{id, username, name, avatar}`, or null. */
    peer: view.peer ?? null,
    memberCount: view.member_count ?? 0,
    /** `muted`, `pinned`, `archived`, `marked_unread`, as far as they are true. */
    settings: view.settings ?? {},
  };
}

/** What an event changes of it, before the event is applied to the chat. */
export function afterEvent(chat, event, me) {
  switch (event.type) {
    case 'message':
      return afterMessage(chat, event, me);
    case 'edited':
      return event.id === chat.lastMessage?.id ? { lastMessage: { ...chat.lastMessage, text: event.text } } : {};
    case 'deleted':
      return event.id === chat.lastMessage?.id ? { lastMessage: { ...chat.lastMessage, text: '', deleted: true } } : {};
    case 'member': {
      const change = event.change === 'joined' ? 1 : -1;
      // The view counted whoever came and went before it.
      return event.seq > chat.counted ? { memberCount: chat.memberCount + change } : {};
    }
    default:
      return {};
  }
}

function afterMessage(chat, { id, sender, text, timestamp }, me) {
  if (id <= (chat.lastMessage?.id ?? 0)) return {};
  const { muted, pinned, archived, marked_unread: markedUnread } = chat.settings;
  const own = sender.id === me;
  const settings = { muted, pinned, archived: archived && muted, marked_unread: markedUnread && !own };
  const peer = chat.peer?.id === sender.id ? { ...chat.peer, name: sender.name ?? sender.username, avatar: sender.avatar } : chat.peer;
  return { lastMessage: { id, sender, text, timestamp }, settings, peer };
}

/** Whether its unread messages call for attention. */
export function callsForAttention(chat) {
  return !chat.settings.muted && !chat.settings.archived;
}
