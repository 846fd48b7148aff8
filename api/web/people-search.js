// A field that finds users while one types. It only finds; what a find means is the caller's.

import { explain } from './actions.js';
import { api } from './api.js';
import { avatar, el } from './dom.js';
import { nameOf } from './names.js';
import { t } from './strings.js';

/** Waits this long after the last key before it asks. */
const PAUSE_MS = 200;

/**
 * Elements for a dialog. `label(user)` names what choosing does, `isShown(user)` leaves people out,
 * `onChoose(user)` gets the choice.
 */
export function peopleSearch({ id, title, label, isShown, onChoose }) {
  const found = el('ul', { class: 'people' });
  const note = el('p', { class: 'hint', role: 'status' });
  const field = el('input', { id, type: 'search', placeholder: t.findHint, autocomplete: 'off', autocapitalize: 'none', spellcheck: 'false', oninput: onInput });
  let timer = null;
  let asked = 0;

  function onInput() {
    clearTimeout(timer);
    timer = setTimeout(search, PAUSE_MS);
  }

  async function search() {
    asked += 1;
    const question = asked;
    const text = field.value.trim();
    if (!text) return show([], '');
    try {
      const users = (await api.users(text)).items.filter(isShown);
      // A slow answer must not replace that of a later question.
      if (question === asked) show(users, users.length ? '' : t.nobodyFound(text));
    } catch (error) {
      if (question === asked) show([], explain(error));
    }
  }

  function show(users, text) {
    note.textContent = text;
    found.replaceChildren(...users.map((user) => el('li', {}, choice(user))));
  }

  function choice(user) {
    const name = nameOf(user);
    return el(
      'button',
      { type: 'button', class: 'person', 'aria-label': label(user), onclick: () => onChoose(user) },
      avatar(name, { online: user.status === 'online', picture: user.avatar }),
      el('span', { dir: 'auto' }, name, el('small', {}, `@${user.username}`)),
    );
  }

  function clear() {
    field.value = '';
    show([], '');
    field.focus();
  }

  const focus = () => field.focus();
  return { element: el('div', {}, el('div', { class: 'field' }, el('label', { for: id }, title), field), note, found), clear, focus };
}
