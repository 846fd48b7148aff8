// The settings in force: names, values and where they come from; secrets are masked by the server.

import { adminApi } from './admin-api.js';
import { words } from './admin-strings.js';
import { pagedTable } from './admin-table.js';
import { el } from './dom.js';

export function setUpSettings() {
  const list = pagedTable({
    label: words.settings,
    columns: [words.name, words.value, words.source],
    cells: ({ name, value, source }) => [el('code', {}, name), el('code', {}, value || words.none), source === 'default' ? words.sources.default : el('span', { class: 'tag' }, words.sources[source])],
    load: async () => ({ items: (await adminApi.settings()).items, next: null }),
    empty: () => words.noSettings,
  });
  return { element: el('section', {}, el('p', { class: 'hint' }, words.settingsOf), list.element), show: () => list.reload() };
}
