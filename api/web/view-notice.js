// Says something that must not be missed, with the texts that would be lost with it.

import { byId, el, toast } from './dom.js';
import { t } from './strings.js';

/** A sentence, and texts to copy: with none of them it is said in passing. */
export function notify(sentence, texts) {
  if (texts.length === 0) {
    toast(sentence);
    return;
  }
  const dialog = byId('notice-dialog');
  const all = el('textarea', { readonly: true, rows: '6', 'aria-label': t.notSentText, dir: 'auto' }, texts.join('\n\n'));
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(all.value);
      toast(t.copied);
    } catch {
      // Where the clipboard is not to be had: it is chosen already.
      all.select();
    }
  };
  dialog.replaceChildren(
    el('header', {}, el('h2', { id: 'notice-title' }, sentence)),
    el(
      'form',
      { class: 'content', method: 'dialog' },
      el('p', {}, t.notSentText),
      all,
      el('div', { class: 'buttons' }, el('button', { type: 'button', class: 'plain', onclick: copy }, t.copy), el('button', { class: 'primary' }, t.close)),
    ),
  );
  dialog.showModal();
  all.select();
}
