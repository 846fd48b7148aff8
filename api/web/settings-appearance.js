// Settings: how the page looks on this device, and its language.

import { CHOICES, appearance, setAppearance } from './appearance.js';
import { el } from './dom.js';
import { LANGUAGES } from './language.js';
import { t } from './strings.js';

export const appearanceSection = { id: 'appearance', icon: 'sun', title: t.appearance, draw };

function draw() {
  const chosen = appearance();
  const group = (name, title, words) =>
    el(
      'div',
      { class: 'field', role: 'radiogroup', 'aria-labelledby': `settings-${name}` },
      el('span', { class: 'label', id: `settings-${name}` }, title),
      el(
        'div',
        { class: 'segments' },
        ...CHOICES[name].map((value) =>
          el('label', {}, el('input', { type: 'radio', name, value, checked: value === chosen[name], onchange: () => setAppearance({ [name]: value }) }), words[value]),
        ),
      ),
    );
  return [languages(chosen.language), group('theme', t.theme, t.themes), group('density', t.density, t.densities), el('p', { class: 'hint' }, t.appearanceText)];
}

/** Each language has its own name: whoever looks for one may not read the page's. */
function languages(chosen) {
  const option = (value) =>
    el('option', { value, selected: value === chosen, lang: value in LANGUAGES && value }, LANGUAGES[value] ?? t.browserLanguage);
  const select = el('select', { id: 'settings-language', 'aria-describedby': 'settings-language-hint', onchange: () => speak(select.value) }, ...CHOICES.language.map(option));
  return el('div', { class: 'field' }, el('label', { for: 'settings-language' }, t.language), select, el('p', { class: 'hint', id: 'settings-language-hint' }, t.languageText));
}

/** The words are everywhere on the page and in its modules: it is loaded again, and comes back to this section. */
function speak(language) {
  setAppearance({ language });
  history.replaceState({ settings: appearanceSection.id }, '');
  location.reload();
}
