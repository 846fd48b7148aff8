// A person's devices (sessions) and open connections on all gateways, on its card.

import { explain } from './actions.js';
import { adminApi } from './admin-api.js';
import { carryOut } from './admin-confirm.js';
import { words } from './admin-strings.js';
import { deviceOf } from './admin-text.js';
import { el } from './dom.js';
import { moment } from './formats.js';

/** A button first; `after` waits for a change and draws the card anew. */
export function devicesOf(person, after) {
  const place = el('div', { class: 'admin-devices', 'aria-live': 'polite' });
  const button = el('button', { type: 'button', class: 'plain', onclick: load }, words.showDevices);
  place.append(button, el('p', { class: 'hint' }, words.recorded));

  async function load() {
    place.replaceChildren(el('p', { class: 'hint' }, words.loading));
    try {
      [sessions, found] = await Promise.all([adminApi.sessions(person.id), adminApi.connections(person.id)]);
      draw();
    } catch (error) {
      place.replaceChildren(el('p', { class: 'error' }, explain(error)), button);
    }
  }

  const who = `@${person.username}`;
  let sessions = [];
  let found = { items: [], silent_nodes: [] };

  function draw() {
    place.replaceChildren(...drawSessions(), ...drawConnections());
  }

  function drawSessions() {
    const row = (session) =>
      el(
        'li',
        {},
        el('span', { class: 'person' }, el('span', { title: session.user_agent }, deviceOf(session), el('small', {}, words.lastUsed(moment(session.last_used_at)), session.current && ` · ${words.current}`))),
        el('button', { type: 'button', class: 'link', 'aria-label': words.signOutFrom(deviceOf(session)), onclick: () => after(signOut(session)) }, words.signOutDevice),
      );
    return [
      el('h3', {}, words.devices),
      sessions.length > 0 ? el('ul', { class: 'people' }, ...sessions.map(row)) : el('p', { class: 'hint' }, words.noDevices),
    ];
  }

  function signOut(session) {
    return carryOut({
      question: words.sure.signOutDevice(who, deviceOf(session)),
      agree: words.signOutDevice,
      work: (reason) => adminApi.endSession(person.id, session.id, reason),
      done: words.done.signOut(who),
    });
  }

  function drawConnections() {
    const { items, silent_nodes: silent } = found;
    const row = (connection) => {
      const session = sessions.find((one) => one.id === connection.session_id);
      return el(
        'li',
        {},
        el(
          'span',
          { class: 'person' },
          el(
            'span',
            {},
            deviceOf(session),
            el('small', {}, `${words.connected(moment(connection.since), connection.network)}, ${words.onNode(connection.node.slice(0, 8))}`),
          ),
        ),
        el('button', { type: 'button', class: 'link', 'aria-label': words.disconnectFrom(deviceOf(session)), onclick: () => close(connection.id) }, words.disconnect),
      );
    };
    return [
      el('h3', {}, words.connections),
      items.length > 0 ? el('ul', { class: 'people' }, ...items.map(row)) : el('p', { class: 'hint' }, words.noConnections),
      silent.length > 0 && el('p', { class: 'error' }, words.silent(silent.length)),
      items.length > 1 && el('button', { type: 'button', class: 'plain', onclick: () => close(null) }, words.disconnectAll),
    ].filter(Boolean);
  }

  async function close(connection) {
    const closed = await carryOut({
      question: connection ? words.sure.disconnect(who) : words.sure.disconnectAll(who),
      agree: connection ? words.disconnect : words.disconnectAll,
      work: (reason) => adminApi.disconnect(person.id, connection, reason),
      done: (answer) => words.done.disconnect(answer.items.length),
    });
    if (!closed) return;
    // Not asked for again, which would be one more look to record.
    const gone = new Set(closed.items.map((one) => one.id));
    found = { ...found, items: found.items.filter((one) => !gone.has(one.id)) };
    draw();
  }

  return place;
}
