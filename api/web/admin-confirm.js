// Asks before something that others feel, and for the reason that goes into the audit log.

import { explain } from './actions.js';
import { words } from './admin-strings.js';
import { el, toast } from './dom.js';

/** The reason, perhaps empty; `null` when the administrator did not agree. `silent`: the act takes no reason. */
function askFor(question, agree, silent) {
  const reason = el('input', { maxlength: '200', autocomplete: 'off', id: 'admin-reason' });
  const dialog = el(
    'dialog',
    { class: 'small', 'aria-labelledby': 'admin-question' },
    el('header', {}, el('h2', { id: 'admin-question' }, question)),
    el(
      'form',
      { class: 'content', method: 'dialog' },
      ...(silent ? [] : [el('label', { for: 'admin-reason' }, words.reason), reason, el('p', { class: 'hint' }, words.reasonHint)]),
      el(
        'div',
        { class: 'buttons' },
        el('button', { class: 'plain', value: '', type: 'button', onclick: () => dialog.close() }, words.cancel),
        el('button', { class: 'danger-button', value: 'yes' }, agree),
      ),
    ),
  );
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener(
      'close',
      () => {
        dialog.remove();
        resolve(dialog.returnValue === 'yes' ? reason.value.trim() : null);
      },
      { once: true },
    );
  });
}

/** Asks, then works with the reason. What came of it, or `null` when it was not wanted or did not work. */
export async function carryOut({ question, agree, work, done = null, silent = false }) {
  const reason = await askFor(question, agree, silent);
  if (reason === null) return null;
  try {
    const result = (await work(reason)) ?? true;
    if (done) toast(typeof done === 'function' ? done(result) : done);
    return result;
  } catch (error) {
    toast(explain(error));
    return null;
  }
}
