// What there is to say of the open chat: its name, its members, and leaving or deleting it. On a wide screen it is a
// panel beside the chat, elsewhere a dialog over it. What one may do follows one's role; the server has the last word.

import { explain } from './actions.js';
import { api } from './api.js';
import { mayManage } from './chat.js';
import { byId, el, iconButton, reconcile, toast } from './dom.js';
import { memberList } from './member-list.js';
import { nameOf } from './names.js';
import { peopleSearch } from './people-search.js';
import { t } from './strings.js';
import { confirm } from './view-confirm.js';
import { profile } from './view-profile.js';

/** Where the list, the chat, and the panel have room side by side. The same as in layout.css. */
const WIDE = '(min-width: 70rem)';

/** The members of the chat that it is open for. */
let members = null;

/** Opens or closes it for the open chat; it follows the chat until it is closed. */
export function toggleDetails(store, actions) {
  const dialog = byId('details-dialog');
  if (dialog.open) {
    dialog.close();
    return;
  }
  fill(dialog, store);
  if (matchMedia(WIDE).matches) {
    dialog.show();
    dialog.onkeydown = (event) => event.key === 'Escape' && dialog.close();
  } else {
    dialog.showModal();
  }
  renderDetails(store, actions);
}

function fill(dialog, store) {
  const close = iconButton('close', t.close, () => dialog.close());
  dialog.dataset.chat = store.state.open;
  dialog.replaceChildren(
    el('header', {}, el('h2', { id: 'details-title' }), close),
    el('div', { class: 'content', id: 'details-content' }),
  );
}

/** Draws it again after the state has changed; closes it when the chat is gone. */
export function renderDetails(store, actions) {
  const dialog = byId('details-dialog');
  if (!dialog.open) return;
  const chat = store.state.chats.get(store.state.open);
  if (!chat) {
    dialog.close();
    return;
  }
  // A panel goes along to the next chat; a dialog leaves no way there.
  if (Number(dialog.dataset.chat) !== chat.id) fill(dialog, store);
  byId('details-title').textContent = chat.peer ? t.profile : chat.name;
  if (chat.peer) {
    drawProfile(store, actions, chat.peer);
    return;
  }
  // What one may do is known with the members. The parts stay, and so does what is typed in them.
  if (!chat.members) return;
  const content = byId('details-content');
  if (content.childElementCount === 0) {
    members = memberList(store, actions, chat.id, (member) => remove(chat, member));
    content.append(...parts(store, chat, dialog));
  }
  members.draw();
}

function drawProfile({ state }, actions, peer) {
  const online = state.online.has(peer.id);
  reconcile(byId('details-content'), [{ ...peer, online }], {
    key: (one) => one.id,
    version: JSON.stringify,
    make: () => el('div', { class: 'content-of-one' }, ...profile(peer, online, actions)),
  });
}

function parts(store, chat, dialog) {
  const manages = mayManage(chat, store.state.me);
  const buttons = el(
    'div',
    { class: 'buttons list-end' },
    chat.type !== 'private' && leaveButton(chat, dialog),
    manages && deleteButton(chat, dialog),
  );
  return [
    manages && chat.type !== 'private' && renameForm(chat),
    el('h3', {}, t.memberList),
    members.element,
    manages && chat.type === 'group' && addPeople(store, chat),
    buttons.childElementCount > 0 && buttons,
  ].filter(Boolean);
}

function renameForm(chat) {
  const field = el('input', { id: 'details-name', value: chat.name, autocomplete: 'off', maxlength: '100' });
  const form = el('form', { class: 'field' }, el('label', { for: 'details-name' }, t.chatName), el('div', { class: 'inline-form' }, field, el('button', { class: 'plain' }, t.rename)));
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    attempt(api.rename(chat.id, field.value.trim()));
  });
  return form;
}

function addPeople(store, chat) {
  const search = peopleSearch({
    id: 'details-people',
    title: t.addPeople,
    label: (user) => t.addPerson(nameOf(user)),
    isShown: (user) => !store.state.chats.get(chat.id)?.members?.some((member) => member.id === user.id),
    onChoose: async (user) => {
      await attempt(api.addMember(chat.id, user.id));
      search.clear();
    },
  });
  return search.element;
}

function leaveButton(chat, dialog) {
  return el('button', { type: 'button', class: 'plain', onclick: () => afterQuestion(t.sureLeave(chat.name), t.leave, () => api.leave(chat.id), dialog) }, t.leave);
}

function deleteButton(chat, dialog) {
  return el('button', { type: 'button', class: 'danger-button', onclick: () => afterQuestion(t.sureDeleteChat(chat.name), t.delete, () => api.deleteChat(chat.id), dialog) }, t.deleteChat);
}

async function afterQuestion(question, agree, work, dialog) {
  if ((await confirm(question, agree)) && (await attempt(work()))) dialog.close();
}

async function remove(chat, member) {
  if (await confirm(t.sureRemove(nameOf(member)), t.removePerson(nameOf(member)))) attempt(api.removeMember(chat.id, member.id));
}

/** Whether it worked; says so when it did not. */
async function attempt(work) {
  try {
    await work;
    return true;
  } catch (error) {
    toast(explain(error));
    return false;
  }
}
