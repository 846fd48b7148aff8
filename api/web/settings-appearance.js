// Settings: how the page looks on this device.

import { CHOICES, appearance, setAppearance } from './appearance.js';
import { el } from './dom.js';
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
  return [group('theme', t.theme, t.themes), group('density', t.density, t.densities), el('p', { class: 'hint' }, t.appearanceText)];
}
