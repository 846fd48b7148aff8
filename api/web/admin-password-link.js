// The link with which somebody whose password is lost chooses a new one: made when an administrator agrees, shown once,
// to be handed to that person.

import { adminApi } from './admin-api.js';
import { carryOut } from './admin-confirm.js';
import { words } from './admin-strings.js';
import { el, iconButton, toast } from './dom.js';
import { moment } from './formats.js';
import { t } from './strings.js';

/** Asks, makes the link, and shows it. */
export async function handOutLink(person, who) {
  const made = await carryOut({
    question: words.sure.passwordLink(who),
    agree: words.passwordLink,
    work: () => adminApi.passwordLink(person.id),
    silent: true,
  });
  if (made) show(made, who);
}

function show({ link, expires_at: expires }, who) {
  // Without an address of its own the server tells only the part behind the page's.
  const address = new URL(link, location.origin).href;
  const field = el('input', { id: 'admin-link', readonly: true, value: address, dir: 'ltr', spellcheck: 'false', 'aria-describedby': 'admin-link-text' });
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(address);
      toast(t.copied);
    } catch {
      // Where the clipboard is not to be had: it is chosen already.
      field.select();
    }
  };
  const dialog = el(
    'dialog',
    { class: 'small', 'aria-labelledby': 'admin-link-title' },
    el('header', {}, el('h2', { id: 'admin-link-title' }, words.linkFor(who)), iconButton('close', words.close, () => dialog.close())),
    el(
      'form',
      { class: 'content', method: 'dialog' },
      el('label', { for: 'admin-link', class: 'visually-hidden' }, words.linkFor(who)),
      field,
      el('p', { id: 'admin-link-text' }, words.linkText(who, moment(expires))),
      el('div', { class: 'buttons' }, el('button', { type: 'button', class: 'primary', onclick: copy }, words.copyLink), el('button', { class: 'plain' }, words.close)),
    ),
  );
  dialog.addEventListener('close', () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  field.select();
}
