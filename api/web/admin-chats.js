// Chats: finding one, its members, removing a member, deleting the chat. Never what was written.

import { api } from './api.js';
import { adminApi } from './admin-api.js';
import { carryOut } from './admin-confirm.js';
import { words } from './admin-strings.js';
import { choice, field, pagedTable, settled } from './admin-table.js';
import { handleOf, timeOf } from './admin-text.js';
import { avatar, el, iconButton } from './dom.js';
import { number } from './formats.js';
import { nameOf } from './names.js';

export function setUpChats() {
  const search = el('input', { type: 'search', autocomplete: 'off', placeholder: words.findChats });
  const kind = choice(words.chatKinds);
  const owned = el('p', { class: 'admin-note', hidden: true });
  let owner = null;
  const list = pagedTable({
    label: words.chats,
    columns: [words.chat, words.whichChats, words.members, words.messages, words.lastActivity],
    cells: (chat) => [opener(chat), words.kind[chat.chat_type], number(chat.member_count), number(chat.message_count), timeOf(chat.last_activity_at)],
    load: (before) => adminApi.chats({ text: search.value.trim(), kind: kind.value, owner }, before),
    empty: () => words.noChats,
  });
  const opener = (chat) =>
    el(
      'button',
      { type: 'button', class: 'person', onclick: () => openChat(chat, list.reload) },
      avatar(titleOf(chat), { type: chat.chat_type }),
      el('span', { dir: 'auto' }, titleOf(chat)),
    );

  search.addEventListener('input', settled(list.reload));
  kind.addEventListener('change', list.reload);
  const form = el('form', { class: 'admin-filter', role: 'search', onsubmit: (event) => event.preventDefault() }, field(words.search, search), field(words.whichChats, kind));
  return {
    element: el('section', {}, form, el('p', { class: 'hint' }, words.noTexts), owned, list.element),
    /** `owner/7`: only what that person owns. */
    show: ([what, id]) => {
      owner = what === 'owner' && /^\d+$/.test(id) ? id : null;
      owned.hidden = owner === null;
      owned.replaceChildren(words.ownedBy(owner), ' · ', el('a', { class: 'link', href: '#/admin/chats' }, words.showAll));
      return list.reload();
    },
  };
}

function titleOf(chat) {
  return chat.chat_type === 'private' ? words.privateChat(chat.id) : chat.name;
}

/** The chat's numbers and what may be done with it; members come when asked for, because looking is recorded. */
function openChat(chat, onChange) {
  const title = titleOf(chat);
  const place = el('div', { class: 'admin-devices' });
  const dialog = el(
    'dialog',
    { class: 'drawer', 'aria-labelledby': 'admin-chat-title' },
    el('header', {}, el('h2', { id: 'admin-chat-title', dir: 'auto' }, title), iconButton('close', words.close, () => dialog.close())),
    el('div', { class: 'content' }, facts(chat), place, chat.id !== 1 && el('div', { class: 'admin-acts' }, deleteButton())),
  );
  const show = el('button', { type: 'button', class: 'plain', onclick: () => place.replaceChildren(membersOf(chat, title)) }, words.showMembers);
  place.append(show, chat.chat_type !== 'room' ? el('p', { class: 'hint' }, words.recorded) : '');

  function deleteButton() {
    const remove = async () => {
      const done = await carryOut({
        question: words.sure.deleteChat(title),
        agree: words.deleteChat,
        work: () => api.deleteChat(chat.id),
        done: words.done.deleteChat(title),
        silent: true,
      });
      if (done === null) return;
      dialog.close();
      onChange();
    };
    return el('button', { type: 'button', class: 'danger-button', onclick: remove }, words.deleteChat);
  }

  dialog.addEventListener('close', () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

function facts(chat) {
  const rows = [
    [words.whichChats, words.kind[chat.chat_type]],
    [words.members, number(chat.member_count)],
    [words.messages, number(chat.message_count)],
    [words.made, timeOf(chat.created_at)],
    [words.lastActivity, timeOf(chat.last_activity_at)],
  ];
  return el('dl', { class: 'admin-facts' }, ...rows.flatMap(([name, value]) => [el('dt', {}, name), el('dd', {}, value)]));
}

function membersOf(chat, title) {
  const list = pagedTable({
    label: words.members,
    columns: [words.person, words.role],
    cells: (member) => [person(member), roleOf(member)],
    load: (after) => adminApi.members(chat.id, after),
    empty: () => words.noMembers,
  });
  const person = (member) =>
    el(
      'span',
      { class: 'person' },
      avatar(nameOf(member), { online: member.status === 'online', picture: member.avatar }),
      el('span', { dir: 'auto' }, nameOf(member), el('small', {}, handleOf(member))),
    );
  const roleOf = (member) => [
    member.role === 'owner' ? words.owner : words.member,
    // A private chat keeps its two members.
    ...(chat.chat_type === 'private' ? [] : [' ', el('button', { type: 'button', class: 'link', 'aria-label': words.removeMember(handleOf(member)), onclick: () => remove(member) }, words.remove)]),
  ];

  async function remove(member) {
    const done = await carryOut({
      question: words.sure.removeMember(handleOf(member), title),
      agree: words.remove,
      work: () => api.removeMember(chat.id, member.id),
      done: words.done.removeMember(handleOf(member)),
      silent: true,
    });
    if (done !== null) list.reload();
  }

  list.reload();
  return list.element;
}
