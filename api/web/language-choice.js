// The field that chooses the page's language: on the card for signing in, and in the settings.

import { CHOICES, appearance, setAppearance } from './appearance.js';
import { el } from './dom.js';
import { LANGUAGES } from './language.js';
import { t } from './strings.js';

/**
 * Each language has its own name: whoever looks for one may not read the page's. The words are everywhere on the page
 * and in its modules, so it is loaded again, after `onChoose()`.
 */
export function languageChoice({ onChoose = () => {}, ...attributes }) {
  const chosen = appearance().language;
  const option = (value) =>
    el('option', { value, selected: value === chosen, lang: value in LANGUAGES && value }, LANGUAGES[value] ?? t.browserLanguage);
  const choose = () => {
    setAppearance({ language: select.value });
    onChoose();
    location.reload();
  };
  const select = el('select', { ...attributes, onchange: choose }, ...CHOICES.language.map(option));
  return select;
}
