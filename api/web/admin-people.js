// People: finding them, and opening one person's card.

import { adminApi } from './admin-api.js';
import { openCard } from './admin-card.js';
import { words } from './admin-strings.js';
import { choice, field, pagedTable, settled } from './admin-table.js';
import { handleOf, timeOf } from './admin-text.js';
import { avatar, el } from './dom.js';
import { fullTime } from './formats.js';
import { nameOf } from './names.js';

export function setUpPeople({ me }) {
  const search = el('input', { type: 'search', autocomplete: 'off', placeholder: words.findPeople });
  const show = choice(words.peopleKinds, 'accounts');
  const list = pagedTable({
    label: words.people,
    columns: [words.person, words.role, words.state, words.registered],
    cells: (person) => [opener(person), roleOf(person), stateOf(person), timeOf(person.created_at)],
    load: (before) => adminApi.people({ text: search.value.trim(), show: show.value }, before),
    empty: () => {
      if (search.value.trim()) return words.noPeople;
      return { blocked: words.noBlocked, guests: words.noGuests }[show.value] ?? words.noPeople;
    },
  });
  const opener = (person) =>
    el(
      'button',
      { type: 'button', class: 'person', onclick: () => openCard(person.id, { me, onChange: list.reload }) },
      avatar(nameOf(person), { online: person.status === 'online', picture: person.avatar }),
      el('span', { dir: 'auto' }, nameOf(person), el('small', {}, handleOf(person))),
    );

  const look = settled(list.reload);
  search.addEventListener('input', look);
  show.addEventListener('change', list.reload);
  const form = el('form', { class: 'admin-filter', role: 'search', onsubmit: (event) => event.preventDefault() }, field(words.search, search), field(words.whichPeople, show));
  return {
    element: el('section', {}, form, list.element),
    show: () => list.reload(),
  };
}

function roleOf(person) {
  if (person.guest) return words.guest;
  return person.role === 'admin' ? el('span', { class: 'tag' }, words.admin) : words.user;
}

function stateOf(person) {
  const state = person.status === 'online' ? words.online : words.offline;
  return person.blocked_at ? el('span', { class: 'tag danger', title: fullTime(person.blocked_at) }, words.blocked) : state;
}
