// The audit log: who did what, to whom, where and when. Nobody can change it, so it is only read here.

import { adminApi } from './admin-api.js';
import { words } from './admin-strings.js';
import { choice, field, pagedTable, settled } from './admin-table.js';
import { el } from './dom.js';
import { moment } from './formats.js';

export function setUpAudit() {
  const actor = el('input', { autocomplete: 'off' });
  const user = el('input', { autocomplete: 'off' });
  const action = choice({ '': words.anything, ...words.actions });
  const from = el('input', { type: 'date' });
  const until = el('input', { type: 'date' });
  const list = pagedTable({
    label: words.audit,
    columns: [words.when, words.who, words.what, words.whom, words.where, words.reason],
    cells: (entry) => [
      el('time', { datetime: entry.at, dir: 'auto' }, moment(entry.at)),
      entry.actor ? `@${entry.actor.username}` : words.operator,
      words.actions[entry.action] ?? entry.action,
      entry.target_user ? `@${entry.target_user.username}` : words.none,
      entry.chat_id === null ? words.none : words.chatNumber(entry.chat_id),
      el('span', { dir: 'auto' }, entry.reason || words.none),
    ],
    load: (before) => adminApi.audit(filterOf({ actor, user, action, from, until }), before),
    empty: () => words.noEntries,
  });
  for (const name of [actor, user]) name.addEventListener('input', settled(list.reload));
  for (const choices of [action, from, until]) choices.addEventListener('change', list.reload);
  const form = el(
    'form',
    { class: 'admin-filter', role: 'search', onsubmit: (event) => event.preventDefault() },
    field(words.byWhom, actor),
    field(words.onWhom, user),
    field(words.what, action),
    field(words.from, from),
    field(words.until, until),
  );
  return { element: el('section', {}, form, list.element), show: () => list.reload() };
}

/** The fields that say something. Days are those of the reader's own clock, the last one included. */
export function filterOf({ actor, user, action, from, until }) {
  const name = (control) => control.value.trim().replace(/^@(?=.)/, '') || null;
  const day = (control, plus) => {
    const [year, month, date] = control.value.split('-').map(Number);
    return date ? new Date(year, month - 1, date + plus).toISOString() : null;
  };
  return { actor: name(actor), user: name(user), action: action.value || null, from: day(from, 0), until: day(until, 1) };
}
