// Which language the page speaks, and by whose habits it writes dates and numbers. English is in the page's first load.
// Another language has its words in files of its own, which only its readers load: `strings-de.js`, and
// `admin-strings-de.js` for the administration. This file has no words.

/** The languages that the page speaks, each by the name that its readers give it. */
export const LANGUAGES = { en: 'English', de: 'Deutsch' };

/** The language of the first load, and of whoever reads none of the others. */
export const FIRST = 'en';

const primary = (tag) => tag.split('-')[0].toLowerCase();

/** What is chosen, if the page speaks it; else the language that comes first among those the reader `wanted`. */
export function languageOf(chosen, wanted) {
  return [chosen, ...wanted.map(primary)].find((language) => Object.hasOwn(LANGUAGES, language)) ?? FIRST;
}

/**
 * The locale for dates and numbers: the language as it is written where the reader lives. The first of the browser's
 * languages tells where that is: a browser in Vienna asks for `en-US`, too, and its reader keeps the clock of 24 hours.
 */
export function localeOf(language, [home]) {
  try {
    const { language: own, region } = new Intl.Locale(home).maximize();
    if (own === language) return home;
    return region ? `${language}-${region}` : language;
  } catch {
    // No language at all, or what is none.
    return language;
  }
}

/** The language of this page; `appearance.js` has set it before anything else runs. */
export function spoken() {
  return globalThis.document?.documentElement.lang || FIRST;
}

/**
 * The English words in the language of the page; `load(language)` imports its file. What that lacks stays English, and
 * so does everything when there is no file to be had, as from a server of the version before.
 */
export async function inLanguage(english, load) {
  const language = spoken();
  if (language === FIRST) return english;
  try {
    return over(english, (await load(language)).words);
  } catch {
    return english;
  }
}

/** The words of one language over those of another, group by group. */
function over(below, above) {
  const words = { ...below, ...above };
  for (const [key, group] of Object.entries(above)) {
    if (typeof group === 'object') words[key] = over(below[key], group);
  }
  return words;
}
