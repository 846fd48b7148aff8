// How the page looks on this device: light or dark, roomy or compact. It is loaded before anything is drawn, so
// that nobody sees the other theme first. What is chosen stays on the device; the account knows nothing of it.

const KEY = 'appearance';

/** What can be chosen; the first of each is what nobody has to choose. */
export const CHOICES = { theme: ['system', 'light', 'dark'], density: ['comfortable', 'compact'] };

/** What is chosen: `{theme, density}`. */
export function appearance() {
  const kept = read();
  const entries = Object.entries(CHOICES).map(([name, values]) => [name, values.includes(kept[name]) ? kept[name] : values[0]]);
  return Object.fromEntries(entries);
}

/** Chooses, shows it at once, and keeps it. */
export function setAppearance(changes) {
  const chosen = { ...appearance(), ...changes };
  try {
    localStorage.setItem(KEY, JSON.stringify(chosen));
  } catch {
    // A browser that keeps nothing shows it until the page is closed.
  }
  show(chosen);
}

function read() {
  try {
    return JSON.parse(localStorage.getItem(KEY)) ?? {};
  } catch {
    return {};
  }
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

show(appearance());
window.addEventListener('storage', () => show(appearance()));
