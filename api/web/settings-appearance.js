// Settings: how the page looks on this device, and its language.

import { CHOICES, appearance, setAppearance } from './appearance.js';
import { el } from './dom.js';
import { languageChoice } from './language-choice.js';
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
  return [languages(), group('theme', t.theme, t.themes), group('density', t.density, t.densities), el('p', { class: 'hint' }, t.appearanceText)];
}

function languages() {
  // It comes back to this section.
  const onChoose = () => history.replaceState({ settings: appearanceSection.id }, '');
  const select = languageChoice({ id: 'settings-language', 'aria-describedby': 'settings-language-hint', onChoose });
  return el('div', { class: 'field' }, el('label', { for: 'settings-language' }, t.language), select, el('p', { class: 'hint', id: 'settings-language-hint' }, t.languageText));
}
