// The dialog that leads anywhere: one types a part of a name and gets one's chats, public rooms, and people.

import { explain } from './actions.js';
import { api } from './api.js';
import { avatar, byId, el, toast } from './dom.js';
import { nameOf } from './names.js';
import { t } from './strings.js';

/** Waits this long after the last key before it asks the server for people. */
const PAUSE_MS = 200;
/** Shown of each kind: more need a longer word, not a longer list. */
const MOST = 8;

/** The targets that match, best first: those whose name begins with the text before those that contain it. */
export function matching(text, targets) {
  const wanted = text.trim().toLocaleLowerCase();
  const place = (target) => Math.min(...target.names.map((name) => name.toLocaleLowerCase().indexOf(wanted)).map((at) => (at < 0 ? Infinity : at)));
  const found = targets.map((target) => ({ target, at: place(target) })).filter(({ at }) => at < Infinity);
  // Sorting is stable: what is equally good stays in the list's order.
  return found.sort((one, other) => (one.at > 0) - (other.at > 0)).slice(0, MOST).map(({ target }) => target);
}

/** Opens it. `go(chatId)` shows a chat; `enter(roomId)` enters a public room. */
export function openGoTo(store, actions, { go, enter }) {
  const dialog = byId('go-to-dialog');
  const list = el('ul', { id: 'go-to-found', class: 'people', role: 'listbox', 'aria-label': t.goTo });
  const note = el('p', { class: 'hint', role: 'status' });
  const field = el('input', {
    type: 'search',
    role: 'combobox',
    'aria-label': t.goTo,
    'aria-controls': 'go-to-found',
    'aria-expanded': 'true',
    'aria-autocomplete': 'list',
    placeholder: t.goToHint,
    autocomplete: 'off',
    spellcheck: 'false',
    autofocus: true,
    oninput: onInput,
    onkeydown: onKey,
  });
  let people = [];
  let targets = [];
  let current = 0;
  let timer = null;
  let asked = 0;

  function onInput() {
    clearTimeout(timer);
    asked += 1;
    people = [];
    current = 0;
    draw();
    if (field.value.trim()) timer = setTimeout(() => findPeople(asked), PAUSE_MS);
  }

  async function findPeople(question) {
    try {
      const { items } = await api.users(field.value.trim());
      // A slow answer must not replace that of a later question.
      if (question !== asked || !dialog.open) return;
      people = items;
      draw();
    } catch (error) {
      if (question === asked) note.textContent = explain(error);
    }
  }

  function draw() {
    targets = [...matching(field.value, known(store.state, go, enter)), ...strangers(store.state, people, actions, go)];
    current = Math.min(current, Math.max(targets.length - 1, 0));
    note.textContent = targets.length === 0 && field.value.trim() ? t.nothingFound(field.value.trim()) : '';
    list.replaceChildren(...targets.map(option));
    mark();
  }

  function option(target, index) {
    return el(
      'li',
      { id: `go-to-${index}`, role: 'option', class: 'person', onclick: () => choose(target) },
      target.face(),
      el('span', { dir: 'auto' }, target.names[0], el('small', {}, target.about)),
    );
  }

  function mark() {
    [...list.children].forEach((item, index) => item.setAttribute('aria-selected', String(index === current)));
    field.setAttribute('aria-activedescendant', targets.length ? `go-to-${current}` : '');
    list.children[current]?.scrollIntoView({ block: 'nearest' });
  }

  function onKey(event) {
    if (event.isComposing) return;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && targets.length) {
      event.preventDefault();
      current = (current + step + targets.length) % targets.length;
      mark();
    } else if (event.key === 'Escape') {
      // A search field would only lose its text at the first one.
      event.preventDefault();
      dialog.close();
    } else if (event.key === 'Enter' && targets[current]) {
      event.preventDefault();
      choose(targets[current]);
    }
  }

  async function choose(target) {
    dialog.close();
    try {
      await target.open();
    } catch (error) {
      toast(explain(error));
    }
  }

  dialog.replaceChildren(el('div', { class: 'content' }, field, note, list));
  draw();
  dialog.showModal();
}

/** One's chats as the list has them, then the public rooms that one is not in. */
function known(state, go, enter) {
  const chats = state.order.map((id) => state.chats.get(id)).map((chat) => ({
    names: chat.peer ? [chat.name, chat.peer.username] : [chat.name],
    about: t.kind[chat.type],
    face: () => avatar(chat.name, { type: chat.type, picture: chat.peer?.avatar }),
    open: () => go(chat.id),
  }));
  const rooms = state.rooms.filter((room) => !state.chats.has(room.id)).map((room) => ({
    names: [room.name],
    about: t.kind.room,
    face: () => avatar(room.name, { type: 'room' }),
    open: () => enter(room.id),
  }));
  return [...chats, ...rooms];
}

/** People whom one can write to. */
function strangers(state, people, actions, go) {
  return people.filter((user) => user.id !== state.me.id).slice(0, MOST).map((user) => ({
    names: [nameOf(user)],
    about: `@${user.username}`,
    face: () => avatar(nameOf(user), { online: user.status === 'online', picture: user.avatar }),
    open: async () => go(await actions.create('private', undefined, [user.id])),
  }));
}
