// One person's card: who it is, and what an administrator may do. Devices and connections are loaded when asked
// for, because looking at them is recorded.

import { explain } from './actions.js';
import { adminApi } from './admin-api.js';
import { carryOut } from './admin-confirm.js';
import { devicesOf } from './admin-devices.js';
import { handOutLink } from './admin-password-link.js';
import { words } from './admin-strings.js';
import { avatar, el, iconButton, toast } from './dom.js';
import { moment } from './formats.js';
import { nameOf } from './names.js';

/** Opens it over the view. `onChange` is called after something was changed. */
export async function openCard(id, { me, onChange }) {
  const title = el('h2', { id: 'admin-card-title' }, words.loading);
  const content = el('div', { class: 'content' });
  const dialog = el(
    'dialog',
    { class: 'drawer', 'aria-labelledby': 'admin-card-title' },
    el('header', {}, title, iconButton('close', words.close, () => dialog.close())),
    content,
  );
  dialog.addEventListener('close', () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();

  async function draw() {
    try {
      const person = await adminApi.person(id);
      title.textContent = nameOf(person);
      content.replaceChildren(...parts(person));
    } catch (error) {
      toast(explain(error));
      dialog.close();
    }
  }

  const after = async (change) => {
    if ((await change) === null) return;
    onChange();
    await draw();
  };

  function parts(person) {
    const who = `@${person.username}`;
    const head = el(
      'div',
      { class: 'person' },
      avatar(nameOf(person), { online: person.status === 'online', picture: person.avatar }),
      el('span', {}, who),
      person.role === 'admin' && el('span', { class: 'tag' }, words.admin),
      person.guest && el('span', { class: 'tag' }, words.guest),
      person.blocked_at && el('span', { class: 'tag danger' }, words.blocked),
    );
    return [head, facts(person, dialog), acts(person, who, me, after), !person.guest && devicesOf(person, after)].filter(Boolean);
  }

  await draw();
}

function facts(person, dialog) {
  const owned = el('span', {}, words.ownedChats(person.owned_chats));
  if (person.owned_chats > 0) {
    owned.append(' ', el('a', { class: 'link', href: `#/admin/chats/owner/${person.id}`, onclick: () => dialog.close() }, words.showOwned));
  }
  const rows = [
    [words.registered, moment(person.created_at)],
    [words.lastSeen, person.last_seen ? moment(person.last_seen) : words.never],
    person.blocked_at && [words.blocked, moment(person.blocked_at)],
    !person.guest && [words.devices, String(person.sessions)],
    !person.guest && [words.inChats, String(person.chats)],
    !person.guest && [words.owns, owned],
  ].filter(Boolean);
  return el('dl', { class: 'admin-facts' }, ...rows.flatMap(([name, value]) => [el('dt', {}, name), el('dd', {}, value)]));
}

/** What may be done to somebody; to oneself only what locks nobody out. */
function acts(person, who, me, after) {
  // The api knows guests by `@name`, and accounts by their bare name.
  const name = person.guest ? who : person.username;
  const act = (kind, work, className = 'plain') =>
    el(
      'button',
      { type: 'button', class: className, onclick: () => after(carryOut({ question: words.sure[kind](who), agree: words[kind], work, done: () => words.done[kind](who) })) },
      words[kind],
    );
  const buttons = [
    person.id !== me.id && !person.blocked_at && act('block', (reason) => adminApi.block(name, reason), 'danger-button'),
    person.blocked_at && act('unblock', (reason) => adminApi.unblock(name, reason)),
    !person.guest && person.sessions > 0 && act('signOut', (reason) => adminApi.endSessions(person.id, reason)),
    !person.guest && el('button', { type: 'button', class: 'plain', onclick: () => handOutLink(person, who) }, words.passwordLink),
    person.avatar && act('removePicture', (reason) => adminApi.removePicture(person.id, reason)),
    !person.guest && person.role !== 'admin' && act('promote', (reason) => adminApi.setRole(person.id, 'admin', reason)),
    !person.guest && person.role === 'admin' && act('demote', (reason) => adminApi.setRole(person.id, 'user', reason)),
  ].filter(Boolean);
  return el('div', { class: 'admin-acts' }, ...buttons);
}
