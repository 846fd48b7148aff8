// A list of the administration: a table that folds into cards on a phone, loaded page by page. What its rows say
// and what may be done with them is for the sections to know.

import { explain } from './actions.js';
import { words } from './admin-strings.js';
import { el } from './dom.js';

/**
 * `columns` are the headings; `cells(item)` gives as many contents; `load(cursor)` answers `{items, next}`;
 * `empty()` is what is said when nothing was found. `reload()` starts anew; an answer that comes late counts no more.
 */
export function pagedTable({ label, columns, cells, load, empty }) {
  const body = el('tbody', { role: 'rowgroup' });
  const heading = el('tr', { role: 'row' }, ...columns.map((name) => el('th', { role: 'columnheader', scope: 'col' }, name)));
  const table = el(
    'table',
    { class: 'admin-table', role: 'table', 'aria-label': label, hidden: true },
    el('thead', { role: 'rowgroup' }, heading),
    body,
  );
  const note = el('p', { class: 'admin-note', role: 'status' });
  const more = el('button', { type: 'button', class: 'plain', hidden: true });
  const element = el('div', { class: 'admin-list' }, table, note, more);
  let generation = 0;
  let next = null;

  function row(item) {
    const contents = cells(item).map((content, place) =>
      el('td', { role: 'cell', 'data-label': columns[place] }, el('div', {}, ...[content].flat())),
    );
    return el('tr', { role: 'row' }, ...contents);
  }

  async function page(cursor) {
    const mine = generation;
    more.hidden = true;
    // What is there stays until there is something else, so that nothing flickers.
    if (table.hidden || cursor !== undefined) note.textContent = words.loading;
    try {
      const answer = await load(cursor);
      if (mine !== generation) return;
      if (cursor === undefined) body.replaceChildren();
      const place = body.childElementCount;
      body.append(...answer.items.map(row));
      next = answer.next ?? null;
      more.textContent = answer.items.length > 0 ? words.showMore : words.goOn;
      more.hidden = next === null;
      table.hidden = body.childElementCount === 0;
      note.textContent = body.childElementCount === 0 && next === null ? empty() : '';
      // Whoever asked for more by the keyboard goes on reading where the new rows begin.
      if (cursor !== undefined) body.children[place]?.querySelector('button, a')?.focus();
    } catch (error) {
      if (mine !== generation) return;
      note.textContent = explain(error);
      more.textContent = words.tryAgain;
      more.hidden = false;
      next = cursor;
    }
  }

  more.addEventListener('click', () => page(next ?? undefined));
  return {
    element,
    reload() {
      generation += 1;
      return page(undefined);
    },
  };
}

/** A field with its label above it. */
export function field(label, control) {
  return el('label', { class: 'admin-field' }, el('span', {}, label), control);
}

/** A choice of `{value: text}`. */
export function choice(options, value = '') {
  const select = el('select', {}, ...Object.entries(options).map(([name, text]) => el('option', { value: name, selected: name === value }, text)));
  return select;
}

/** Calls `work` once nobody has typed for a moment. */
export function settled(work) {
  let timer = null;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(work, 250);
  };
}
