// The nodes that are alive: what each does, since when, and how busy it is. Looked at again every few seconds
// while it is shown.

import { explain } from './actions.js';
import { adminApi } from './admin-api.js';
import { words } from './admin-strings.js';
import { pagedTable } from './admin-table.js';
import { timeOf } from './admin-text.js';
import { el } from './dom.js';
import { number } from './formats.js';

/** As often as nodes report. */
const EVERY_MS = 10_000;

export function setUpNodes() {
  const total = el('p', { class: 'admin-note', role: 'status' });
  let items = [];
  const list = pagedTable({
    label: words.nodes,
    columns: [words.node, words.state, words.version, words.since, words.openSockets, words.watchedChats, words.load, words.memory],
    cells: (node) => [
      [words.nodeKinds[node.kind], el('small', { class: 'admin-id', title: node.node }, node.node.slice(0, 8))],
      stateOf(node),
      node.version,
      timeOf(node.started_at),
      node.connections === null ? words.none : words.ofMost(node.connections, node.max_connections),
      node.chats === null ? words.none : number(node.chats),
      node.cores === null ? words.none : words.cores(node.cores),
      node.memory_bytes === null ? words.none : words.mib(node.memory_bytes),
    ],
    load: async () => ({ items, next: null }),
    empty: () => words.noNodes,
  });
  let timer = null;

  async function refresh() {
    clearTimeout(timer);
    try {
      ({ items } = await adminApi.nodes());
      const sockets = items.reduce((sum, node) => sum + (node.connections ?? 0), 0);
      total.textContent = words.total(sockets);
      await list.reload();
    } catch (error) {
      total.textContent = explain(error);
    }
    clearTimeout(timer);
    timer = setTimeout(refresh, EVERY_MS);
  }

  const button = el('button', { type: 'button', class: 'plain', onclick: refresh }, words.refresh);
  return {
    element: el('section', {}, el('div', { class: 'admin-filter' }, total, button), list.element),
    show: refresh,
    hide: () => clearTimeout(timer),
  };
}

function stateOf(node) {
  const age = Math.max(0, Math.round((Date.now() - Date.parse(node.reported_at)) / 1000));
  const state = node.draining ? el('span', { class: 'tag danger' }, words.draining) : words.serving;
  return [state, el('small', { class: 'admin-id' }, words.reported(age))];
}
