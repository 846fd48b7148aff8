// The settings in force, of the api that answers or of a gateway: names, values and where they come from; secrets are
// masked by the server.

import { adminApi } from './admin-api.js';
import { words } from './admin-strings.js';
import { choice, field, pagedTable } from './admin-table.js';
import { el } from './dom.js';

const API = { '': words.nodeKinds.api };

export function setUpSettings() {
  const whose = choice(API);
  whose.addEventListener('change', () => list.reload());
  const list = pagedTable({
    label: words.settings,
    columns: [words.name, words.value, words.source],
    cells: ({ name, value, source }) => [el('code', {}, name), el('code', {}, value || words.none), source === 'default' ? words.sources.default : el('span', { class: 'tag' }, words.sources[source])],
    load: async () => ({ items: (await adminApi.settings(whose.value || null)).items, next: null }),
    empty: () => words.noSettings,
  });

  /** A gateway that is gone meanwhile is chosen no more. */
  async function show() {
    const gateways = (await nodes()).filter((node) => node.kind === 'gateway');
    const names = gateways.map(({ node }) => [node, `${words.nodeKinds.gateway} ${node.slice(0, 8)}`]);
    const chosen = names.some(([node]) => node === whose.value) ? whose.value : '';
    whose.replaceChildren(...choice({ ...API, ...Object.fromEntries(names) }).children);
    // Each option was the chosen one for a moment, when those before it had left the list that it was made in.
    whose.value = chosen;
    await list.reload();
  }

  return {
    element: el('section', {}, el('p', { class: 'hint' }, words.settingsOf), el('div', { class: 'admin-filter' }, field(words.node, whose)), list.element),
    show,
  };
}

/** None when the gateways cannot be asked: the api still tells its own settings. */
async function nodes() {
  try {
    return (await adminApi.nodes()).items;
  } catch {
    return [];
  }
}
