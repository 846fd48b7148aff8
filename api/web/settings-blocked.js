// Settings: the people whom one has blocked, page by page.

import { explain } from './actions.js';
import { api } from './api.js';
import { avatar, el } from './dom.js';
import { nameOf } from './names.js';
import { fetched } from './form.js';
import { day } from './formats.js';
import { t } from './strings.js';

export const blockedSection = { id: 'blocked', icon: 'block', title: t.blockedPeople, draw };

function draw() {
  return [el('p', { class: 'muted' }, t.blockedText), fetched(api.blocklist, page)];
}

function page({ items, next }, again) {
  if (items.length === 0) return [el('p', {}, t.nobodyBlocked)];
  const people = el('ul', { class: 'people' });
  const error = el('p', { class: 'error', role: 'alert', hidden: true });
  const more = el('button', { type: 'button', class: 'link' }, t.showMore);
  const add = (part) => {
    people.append(...part.items.map((person) => row(person, attempt)));
    more.hidden = !part.next;
    more.onclick = () => attempt(async () => add(await api.blocklist(part.next)));
  };
  async function attempt(work) {
    error.hidden = true;
    try {
      await work();
    } catch (problem) {
      error.textContent = explain(problem);
      error.hidden = false;
    }
    if (people.childElementCount === 0) again();
  }
  add({ items, next });
  return [people, error, more];
}

function row({ user, blocked_at: since }, attempt) {
  const name = nameOf(user);
  const unblock = () =>
    attempt(async () => {
      await api.unblock(user.id);
      const beside = entry.nextElementSibling ?? entry.previousElementSibling;
      entry.remove();
      beside?.querySelector('button').focus();
    });
  const entry = el(
    'li',
    {},
    el('span', { class: 'person' }, avatar(name, { picture: user.avatar }), el('span', {}, el('bdi', {}, name), el('small', {}, t.blockedSince(day(since))))),
    el('button', { type: 'button', class: 'plain', 'aria-label': t.unblockPerson(name), onclick: unblock }, t.unblock),
  );
  return entry;
}
