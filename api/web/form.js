// Forms that say what is wrong beside the field it is about: labeled fields, one request at a time, and a sentence
// when it is done. What a form is for, its caller knows.

import { inWords } from './problems.js';
import { ApiError } from './api.js';
import { el } from './dom.js';
import { t } from './strings.js';

/**
 * A field with its label, and its rule as a hint. `refusals` are the codes and API fields that are about it; other
 * options are attributes of the input.
 */
export function field({ id, label, hint = null, refusals = [], ...attributes }) {
  const note = hint && el('p', { class: 'hint', id: `${id}-hint` }, hint);
  const error = el('p', { class: 'error', id: `${id}-error`, hidden: true });
  const input = el('input', { id, 'aria-describedby': note ? `${id}-hint ${id}-error` : `${id}-error`, ...attributes });
  const complain = (text) => {
    error.textContent = text ?? '';
    error.hidden = !text;
    if (text) input.setAttribute('aria-invalid', 'true');
    else input.removeAttribute('aria-invalid');
  };
  const element = el('div', { class: 'field' }, el('label', { for: id }, label), input, note, error);
  /** For a button beside the form: what is refused is said at this field. */
  const attempt = async (work, then) => {
    try {
      await work();
      then();
    } catch (problem) {
      if (!(problem instanceof ApiError)) throw problem;
      complain(inWords(problem));
      input.focus();
    }
  };
  return { element, input, complain, attempt, refusals, required: Boolean(attributes.required) };
}

/**
 * A form of such fields. `onSubmit` does the work and may answer a sentence that says it is done. While it runs
 * nothing is sent twice; the focus stays in the form. `username` tells password managers whose password is asked for.
 */
export function form({ fields, submit, danger = false, username = null, onSubmit }) {
  const whose = username && el('input', { autocomplete: 'username', value: username, hidden: true, readonly: true });
  const error = el('p', { class: 'error', role: 'alert', hidden: true });
  const done = el('p', { class: 'done', role: 'status' });
  const button = el('button', { type: 'submit', class: danger ? 'danger-button' : 'primary' }, submit);
  const element = el('form', { class: 'form', novalidate: true }, whose, ...fields.map((one) => one.element), error, el('div', { class: 'buttons' }, done, button));

  const complain = (text, about) => {
    (about?.complain ?? ((words) => {
      error.textContent = words;
      error.hidden = false;
    }))(text);
    (about?.input ?? button).focus();
  };

  element.addEventListener('submit', async (event) => {
    event.preventDefault();
    if (element.hasAttribute('aria-busy')) return;
    for (const one of fields) one.complain(null);
    error.hidden = true;
    done.textContent = '';
    const empty = fields.find((one) => one.required && !one.input.value.trim());
    if (empty) {
      complain(t.fillThis, empty);
      return;
    }
    element.setAttribute('aria-busy', 'true');
    try {
      done.textContent = (await onSubmit()) ?? '';
    } catch (problem) {
      if (!(problem instanceof ApiError)) throw problem;
      const about = [problem.code, ...problem.fields.map((one) => one.field)];
      complain(inWords(problem), fields.find((one) => one.refusals.some((refusal) => about.includes(refusal))));
    } finally {
      element.removeAttribute('aria-busy');
    }
  });
  return element;
}

/** Where something is fetched first: a word while it is on its way, and a way to try again when it is not. */
export function fetched(load, draw) {
  const place = el('div', { class: 'fetched', 'aria-live': 'polite' });
  const again = async () => {
    place.replaceChildren(el('p', { class: 'muted' }, t.loading));
    try {
      const what = await load();
      place.replaceChildren(...draw(what, again));
    } catch (problem) {
      if (!(problem instanceof ApiError)) throw problem;
      const retry = el('button', { type: 'button', class: 'plain', onclick: again }, t.tryAgain);
      place.replaceChildren(el('p', { class: 'error' }, inWords(problem)), retry);
    }
  };
  again();
  return place;
}
