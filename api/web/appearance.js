// How the page looks on this device: light or dark, roomy or compact, and in which language. It is loaded before
// anything is drawn, so that nobody sees another theme or language first. What is chosen stays on the device; the
// account knows nothing of it.

import { recall, remember } from './device.js';
import { FIRST, LANGUAGES, languageOf } from './language.js';

const KEY = 'appearance';

/** What can be chosen; the first of each is what nobody has to choose. */
export const CHOICES = {
  theme: ['system', 'light', 'dark'],
  density: ['comfortable', 'compact'],
  language: ['system', ...Object.keys(LANGUAGES)],
};

/** What is chosen: `{theme, density, language}`. */
export function appearance() {
  const kept = recall(KEY) ?? {};
  const entries = Object.entries(CHOICES).map(([name, values]) => [name, values.includes(kept[name]) ? kept[name] : values[0]]);
  return Object.fromEntries(entries);
}

/** Chooses, shows it at once, and keeps it. A language is shown by the page's next load. */
export function setAppearance(changes) {
  const chosen = { ...appearance(), ...changes };
  remember(KEY, chosen);
  show(chosen);
}

function show({ theme, density }) {
  const { dataset } = document.documentElement;
  dataset.theme = theme;
  dataset.density = density;
  // The browser's own bars follow the theme, too.
  for (const meta of document.querySelectorAll('meta[name=theme-color]')) {
    const own = meta.dataset.theme;
    if (theme === 'system') meta.media = `(prefers-color-scheme: ${own})`;
    else meta.media = theme === own ? 'all' : 'not all';
  }
}

/** The page keeps the language that it starts with. Its words are fetched beside the modules, not behind them. */
function speak() {
  const language = languageOf(appearance().language, navigator.languages);
  document.documentElement.lang = language;
  // Whoever needs them finds out whether they came.
  if (language !== FIRST) import(`./strings-${language}.js`).catch(() => {});
}

speak();
show(appearance());
window.addEventListener('storage', () => show(appearance()));
