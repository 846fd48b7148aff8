// The list of one's chats and of the public rooms.

import { explain } from './actions.js';
import { isInvitation } from './chat.js';
import { avatar, byId, el, icon, reconcile, toast } from './dom.js';
import { matches, setUpFilter } from './list-filter.js';
import { chatRow, entryOf, item } from './list-row.js';
import { openMenu } from './menu.js';
import { nameOf } from './names.js';
import { listedChats } from './store.js';
import { t } from './strings.js';

/** The next page is fetched when the end of the list is nearer than this to what is seen. */
const AHEAD_PX = 600;

export function setUpList(store, actions, { enter, go, onNewChat }) {
  const scroll = byId('list-scroll');
  const filter = setUpFilter(() => render(store.state));
  // After a failure only when asked to.
  let stuck = false;
  let archiveIsOpen = false;

  byId('new-chat').append(icon('plus'));
  byId('new-chat').addEventListener('click', onNewChat);
  byId('more-rooms').addEventListener('click', () => orToast(actions.moreRooms()));
  byId('enter-lobby').addEventListener('click', () => enter(1));
  byId('more-chats').addEventListener('click', more);
  byId('archived-toggle').prepend(icon('archive'));
  byId('archived-toggle').addEventListener('click', () => {
    archiveIsOpen = !archiveIsOpen;
    render(store.state);
  });
  scroll.addEventListener('scroll', () => fill(store.state), { passive: true });
  scroll.addEventListener('keydown', moveInList);

  function render(state) {
    const { text, people, rooms } = filter.found;
    const isShown = (chat) => !text || matches(text, chat.name, chat.peer?.username);
    const all = state.order.map((id) => state.chats.get(id)).filter(isShown);
    const invitations = all.filter(isInvitation);
    const archived = all.filter((chat) => !isInvitation(chat) && chat.settings.archived);
    drawChats('chat-list', listedChats(state).filter(isShown), state);
    drawChats('invitation-list', invitations, state);
    const openArchive = archiveIsOpen || text !== '';
    drawChats('archived-list', openArchive ? archived : [], state);
    byId('archived').hidden = archived.length === 0;
    byId('archived-toggle').setAttribute('aria-expanded', openArchive);
    byId('archived-count').textContent = archived.length;
    byId('no-chats').hidden = !state.known || all.length > 0 || state.nextChats !== null;
    byId('no-chats').textContent = text ? t.noSuchChat(text) : t.noChats;
    byId('invitations').hidden = invitations.length === 0;
    byId('more-chats').hidden = state.nextChats === null;
    drawPeople(text ? people : [], state);
    drawRooms(text ? rooms : state.rooms, state, text);
    fill(state);
  }

  /** Fetches the next page when the end of the list is near; all of them while a name is looked for. */
  function fill(state) {
    if (state.nextChats === null || stuck) return;
    const end = byId('more-chats').getBoundingClientRect().top - scroll.getBoundingClientRect().bottom;
    if (filter.found.text || end < AHEAD_PX) more();
  }

  async function more() {
    try {
      await actions.moreChats();
      stuck = false;
    } catch (error) {
      stuck = true;
      toast(explain(error));
    }
  }

  function drawChats(list, chats, state) {
    reconcile(byId(list), chats.map((chat) => entryOf(chat, state)), {
      key: (entry) => entry.id,
      version: JSON.stringify,
      make: (entry) => chatRow(entry, openMenuOf),
    });
  }

  /** What one sets for a chat. */
  function openMenuOf({ id, name, unread, markedUnread }, place, opener) {
    const chat = store.state.chats.get(id);
    if (!chat) return;
    const set = (change) => () => orToast(actions.set(id, change));
    const { pinned, muted, archived } = chat.settings;
    const isRead = unread === 0 && !markedUnread;
    openMenu(t.chatMenu(name), place, opener, [
      isRead ? { sign: 'unread', label: 'markUnread', act: set({ marked_unread: true }) } : { sign: 'check', label: 'markRead', act: () => actions.read(id, chat.cursor) },
      { sign: 'pin', label: pinned ? 'unpin' : 'pin', act: set({ pinned: !pinned }) },
      { sign: 'mute', label: muted ? 'unmute' : 'mute', act: set({ muted: !muted }) },
      { sign: 'archive', label: archived ? 'unarchive' : 'archive', act: set({ archived: !archived }) },
    ]);
  }

  function drawPeople(people, state) {
    const known = new Set([...state.chats.values()].map((chat) => chat.peer?.id));
    const others = people.filter((user) => user.id !== state.me.id && !known.has(user.id));
    reconcile(byId('people-list'), others, {
      key: (user) => user.id,
      version: JSON.stringify,
      make: (user) => other(user, `@${user.username}`, t.chatWith(nameOf(user)), { online: user.status === 'online', picture: user.avatar }, () => write(user)),
    });
    byId('people').hidden = others.length === 0;
  }

  async function write(user) {
    try {
      go(await actions.create('private', undefined, [user.id]));
      filter.clear();
    } catch (error) {
      toast(explain(error));
    }
  }

  function drawRooms(rooms, state, text) {
    const others = rooms.filter((room) => !state.chats.has(room.id));
    reconcile(byId('room-list'), others, {
      key: (room) => room.id,
      version: (room) => `${room.member_count} ${room.name}`,
      make: (room) => other(room, t.members(room.member_count), t.enter(room.name), { type: 'room' }, () => enter(room.id)),
    });
    const hasMore = !text && state.nextRooms !== null;
    byId('rooms').hidden = others.length === 0 && !hasMore;
    byId('more-rooms').hidden = !hasMore;
    byId('enter-lobby').hidden = state.chats.has(1);
  }

  return render;
}

/** A row of somebody or something that one has no chat with yet. */
function other(named, line, label, face, onclick) {
  const name = nameOf(named);
  return item(
    el(
      'button',
      { type: 'button', class: 'entry', title: label, onclick },
      avatar(name, face),
      el(
        'span',
        { class: 'lines' },
        el('span', { class: 'line' }, el('span', { class: 'name', dir: 'auto' }, name)),
        el('span', { class: 'line' }, el('span', { class: 'preview', dir: 'auto' }, line)),
      ),
    ),
  );
}

/** The arrow keys go from row to row. */
function moveInList(event) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step || !event.target.matches('.entry')) return;
  const rows = [...event.currentTarget.querySelectorAll('.entry')];
  const next = rows[rows.indexOf(event.target) + step];
  if (!next) return;
  event.preventDefault();
  next.focus();
}

function orToast(work) {
  return work.catch((error) => toast(explain(error)));
}
