// How people are named and what colour belongs to a name: the same everywhere on the page. Pure.

/** What a person is called: the display name, or the username where there is no other. */
export function nameOf(user) {
  return user.name || user.username;
}

/** How many colours there are; see `.hue-…` in base.css. */
const HUES = 16;

/** The colour of a name: by its letters, so that a person has one face wherever the name stands. */
export function hueOf(name) {
  let hash = 0x811c9dc5;
  for (const letter of name) hash = Math.imul(hash ^ letter.codePointAt(0), 0x01000193);
  return ((hash ^ (hash >>> 15)) >>> 0) % HUES;
}
