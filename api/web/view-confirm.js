// Asks before something that cannot be taken back.

import { byId, el } from './dom.js';
import { t } from './strings.js';

/** Whether the person agreed. Closing the question in any other way is a no. */
export function confirm(question, agree) {
  const dialog = byId('confirm-dialog');
  dialog.returnValue = '';
  dialog.replaceChildren(
    el('header', {}, el('h2', { id: 'confirm-text' }, question)),
    el(
      'form',
      { class: 'content', method: 'dialog' },
      el(
        'div',
        { class: 'buttons' },
        el('button', { class: 'plain', value: '', autofocus: true }, t.cancel),
        el('button', { class: 'danger-button', value: 'yes' }, agree),
      ),
    ),
  );
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => resolve(dialog.returnValue === 'yes'), { once: true });
  });
}
