// The field above the list: it narrows the list, and finds people and public rooms by any part of a name while one
// types. It only finds; what a find means is the list's.

import { explain } from './actions.js';
import { api } from './api.js';
import { byId, toast } from './dom.js';

/** Waits this long after the last key before it asks. */
const PAUSE_MS = 200;

/** Answers what is looked for: `text`, and the `people` and `rooms` that the server found for it. */
export function setUpFilter(onChange) {
  const field = byId('list-filter');
  const found = { text: '', people: [], rooms: [] };
  let timer = null;

  field.addEventListener('input', () => {
    found.text = field.value.trim();
    clearTimeout(timer);
    if (found.text) timer = setTimeout(search, PAUSE_MS);
    else Object.assign(found, { people: [], rooms: [] });
    onChange();
  });
  field.addEventListener('keydown', (event) => {
    const first = document.querySelector('#list-scroll .entry');
    if (event.key === 'Escape' && field.value) clear();
    else if (event.key === 'Enter' && field.value) first?.click();
    else if (event.key === 'ArrowDown' && !event.altKey) first?.focus();
    else return;
    event.preventDefault();
  });

  async function search() {
    const { text } = found;
    try {
      const [people, rooms] = await Promise.all([api.users(text), api.rooms(null, text)]);
      // A slow answer must not replace that of a later question.
      if (text === found.text) Object.assign(found, { people: people.items, rooms: rooms.items });
    } catch (error) {
      if (text === found.text) toast(explain(error));
    }
    onChange();
  }

  function clear() {
    field.value = '';
    field.dispatchEvent(new Event('input'));
  }

  return { found, clear };
}

/** Whether a name has the text in it, in any case. */
export function matches(text, ...names) {
  const part = text.toLocaleLowerCase();
  return names.some((name) => name?.toLocaleLowerCase().includes(part));
}
