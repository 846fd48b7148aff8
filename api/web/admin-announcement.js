// What is announced to everybody who is connected: seeing it, making another one, taking it away.

import { explain } from './actions.js';
import { adminApi } from './admin-api.js';
import { carryOut } from './admin-confirm.js';
import { words } from './admin-strings.js';
import { choice, field } from './admin-table.js';
import { el, toast } from './dom.js';
import { moment } from './formats.js';

export function setUpAnnouncement() {
  const now = el('div', { class: 'admin-now', 'aria-live': 'polite' });
  const text = el('textarea', { rows: '3', maxlength: '300', required: true });
  const hours = choice(words.lengths);
  const error = el('p', { class: 'error', role: 'alert' });
  const form = el(
    'form',
    { class: 'admin-form', onsubmit: announce },
    field(words.text, text),
    el('p', { class: 'hint' }, words.textHint),
    field(words.howLong, hours),
    error,
    el('div', { class: 'admin-acts' }, el('button', { class: 'primary' }, words.announce)),
  );

  async function draw() {
    try {
      const { announcement } = await adminApi.announcement();
      now.replaceChildren(...(announcement ? shown(announcement) : [el('p', { class: 'admin-note' }, words.nothingAnnounced)]));
    } catch (problem) {
      now.replaceChildren(el('p', { class: 'error' }, explain(problem)));
    }
  }

  function shown(announcement) {
    const ends = announcement.ends_at ? words.endsAt(moment(announcement.ends_at)) : words.untilWithdrawn;
    return [
      el('h3', {}, words.announcedNow),
      el('blockquote', { dir: 'auto' }, announcement.text),
      el('p', { class: 'hint' }, ends),
      el('div', { class: 'admin-acts' }, el('button', { type: 'button', class: 'danger-button', onclick: withdraw }, words.withdraw)),
    ];
  }

  async function announce(event) {
    event.preventDefault();
    error.textContent = '';
    try {
      await adminApi.announce(text.value.trim(), Number(hours.value));
      form.reset();
      toast(words.done.announce);
      await draw();
    } catch (problem) {
      error.textContent = explain(problem);
      text.focus();
    }
  }

  async function withdraw() {
    const done = await carryOut({ question: words.sure.withdraw, agree: words.withdraw, work: adminApi.withdraw, done: words.done.withdraw, silent: true });
    if (done !== null) await draw();
  }

  return { element: el('section', {}, now, form), show: draw };
}
