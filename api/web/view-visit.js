// What the address names, if it is a chat that one is not in: a public room can be joined; of others it is said that
// they are not one's own.

import { explain } from './actions.js';
import { byId, el } from './dom.js';
import { t } from './strings.js';

const place = byId('visit');

/** `find(chatId)` looks a chat up; `enter(roomId)` joins a room and shows it. Answers `visit(chatId)`, or `visit(null)` when there is nothing to say. */
export function setUpVisit(find, enter) {
  let visited = null;

  async function ask(id) {
    try {
      const { name, role, chat_type: type, member_count: count } = await find(id);
      // One's own is on its way.
      if (role !== null || type !== 'room') return [];
      return [t.visitRoom(name), t.members(count), t.join, () => enter(id)];
    } catch (error) {
      if (error.status === 403 || error.status === 404) return [t.notInChat, t.notInChatText];
      return [t.historyFailed, explain(error), t.tryAgain, () => show(id)];
    }
  }

  async function show(id) {
    const [title, text, action, onclick] = await ask(id);
    if (visited !== id || !title) return;
    place.replaceChildren(
      el('h2', { dir: 'auto' }, title),
      el('p', { class: 'muted' }, text),
      el(
        'div',
        { class: 'buttons' },
        el('a', { class: 'plain', href: '#/' }, t.back),
        action && el('button', { type: 'button', class: 'primary', onclick }, action),
      ),
    );
    place.hidden = false;
    byId('welcome').hidden = true;
  }

  return (id) => {
    if (id === visited) return;
    visited = id;
    place.hidden = true;
    if (id !== null) show(id);
  };
}
