// Building and reusing elements. Text always goes in as text: nothing here parses HTML.

import { hueOf } from './names.js';

/**
 * Makes an element: `el('button', {class: 'primary', type: 'submit', onclick}, 'Send')`. Values of
 * `null`, `undefined` and `false` are left out; `on…` are listeners; children may be text.
 */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export const byId = (id) => document.getElementById(id);

const SVG = 'http://www.w3.org/2000/svg';
const SHAPES = {
  back: 'M15 5l-7 7 7 7',
  close: 'M6 6l12 12M18 6L6 18',
  plus: 'M12 5v14M5 12h14',
  send: 'M4 12l16-8-5 16-3.5-6.5zM11.5 13.5L20 4',
  reply: 'M9 7L4 12l5 5M4 12h10a6 6 0 0 1 6 6v1',
  edit: 'M4 20h4L19 9l-4-4L4 16zM13 7l4 4',
  delete: 'M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13M10.5 11v5M13.5 11v5',
  copy: 'M9 9h11v11H9zM15 9V4H4v11h5',
  select: 'M9 4c2 0 3 1 3 2.5v11c0 1.5-1 2.5-3 2.5M15 4c-2 0-3 1-3 2.5v11c0 1.5 1 2.5 3 2.5',
  info: 'M12 11v6M12 7.5v.01M21 12a9 9 0 1 1-18 0 9 9 0 0 1 18 0z',
  down: 'M12 5v14M6 13l6 6 6-6',
  exit: 'M14 4h5v16h-5M10 8l-4 4 4 4M6 12h9',
  check: 'M5 12.5l5 5L20 7',
  checks: 'M2 12.5l5 5L17 7M12 16.5l1 1L23 7',
  clock: 'M12 7v5l3 2M21 12a9 9 0 1 1-18 0 9 9 0 0 1 18 0z',
  alert: 'M12 8v5M12 16v.01M12 3l10 18H2z',
  room: 'M5 9h15M4 15h15M10 4L8 20M16 4l-2 16',
  more: 'M12 5.5v.01M12 12v.01M12 18.5v.01',
  pin: 'M9 4h6M10 4v6l-3 4h10l-3-4V4M12 14v6',
  mute: 'M4 4l16 16M8 8a6 6 0 0 0-1 3v4l-2 2h12M17 13v-2a5 5 0 0 0-7-4.5M10.5 20.5h3',
  archive: 'M4 5h16v4H4zM5.5 9v10h13V9M10 13h4',
  unread: 'M12 5a7 7 0 1 1-7 7M6 6.5v.01',
  up: 'M6 15l6-6 6 6',
  person: 'M4 21c0-4 3.5-6.5 8-6.5s8 2.5 8 6.5M16.5 7.5a4.5 4.5 0 1 1-9 0 4.5 4.5 0 0 1 9 0z',
  gear: 'M15.2 12a3.2 3.2 0 1 1-6.4 0 3.2 3.2 0 0 1 6.4 0zM12 2.5v3M12 18.5v3M2.5 12h3M18.5 12h3M5.3 5.3l2.1 2.1M16.6 16.6l2.1 2.1M18.7 5.3l-2.1 2.1M7.4 16.6l-2.1 2.1',
  mail: 'M3 6h18v12H3zM3 7l9 7 9-7',
  shield: 'M12 3l8 3v6c0 5-3.5 8-8 9-4.5-1-8-4-8-9V6zM8.5 12l2.5 2.5 4.5-5',
  key: 'M12.5 11.5L21 3M17 7l3 3M13 16a4.5 4.5 0 1 1-9 0 4.5 4.5 0 0 1 9 0z',
  device: 'M3 5h18v11H3zM8 20h8M12 16v4',
  block: 'M6 6l12 12M21 12a9 9 0 1 1-18 0 9 9 0 0 1 18 0z',
  sun: 'M16 12a4 4 0 1 1-8 0 4 4 0 0 1 8 0zM12 2v3M12 19v3M2 12h3M19 12h3M5 5l2 2M17 17l2 2M19 5l-2 2M7 17l-2 2',
  bell: 'M12 4a6 6 0 0 0-6 6v5l-2 2.5h16L18 15v-5a6 6 0 0 0-6-6zM10 20.5h4',
  search: 'M16 16l5 5M18 11a7 7 0 1 1-14 0 7 7 0 0 1 14 0z',
};

/** Signs that point along the line: the other way where one writes from right to left. */
const POINTING = ['back', 'exit', 'reply', 'send'];

/** A drawn sign for a word that stands beside it or is the label of what holds it. */
export function icon(name) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('viewBox', '0 0 24 24');
  svg.setAttribute('class', POINTING.includes(name) ? 'icon pointing' : 'icon');
  svg.setAttribute('aria-hidden', 'true');
  const path = document.createElementNS(SVG, 'path');
  path.setAttribute('d', SHAPES[name]);
  svg.append(path);
  return svg;
}

/** A picture of one path, which says what it shows. */
export function drawn(className, viewBox, path, label) {
  const svg = icon('check');
  svg.setAttribute('viewBox', viewBox);
  svg.setAttribute('class', className);
  svg.removeAttribute('aria-hidden');
  svg.setAttribute('role', 'img');
  svg.setAttribute('aria-label', label);
  svg.firstChild.setAttribute('d', path);
  return svg;
}

/** A button that shows only a sign; `label` says what it does. */
export function iconButton(name, label, onclick, className = '') {
  return el('button', { type: 'button', class: `icon-button ${className}`, 'aria-label': label, title: label, onclick }, icon(name));
}

/**
 * A person's or a chat's face: the picture at the path `picture`, or two letters on the colour that belongs to the name.
 * People are round, chats of several are not.
 */
export function avatar(name, { type = 'private', online = null, picture = null } = {}) {
  const face = el('span', { class: `avatar hue-${hueOf(name)}${type === 'private' ? '' : ' square'}`, 'aria-hidden': 'true' });
  face.append(type === 'room' ? icon('room') : letters(name));
  if (isUploaded(picture)) face.append(photo(picture));
  if (online !== null) face.append(el('span', { class: online ? 'dot on' : 'dot' }));
  return face;
}

/** Whether it is on this server. Pictures elsewhere, which profiles may name, would tell others who looks at them. */
export function isUploaded(picture) {
  return Boolean(picture?.startsWith('/avatars/'));
}

/** Shown when it is there; until then, and if it cannot be had, the letters under it are. */
function photo(src) {
  const image = el('img', { src, alt: '', loading: 'lazy', draggable: 'false', onerror: () => image.remove() });
  return image;
}

function letters(name) {
  const words = name.trim().split(/\s+/);
  const initials = words.length > 1 ? words.slice(0, 2).map((word) => [...word][0]) : [...words[0]].slice(0, 2);
  return initials.join('').toUpperCase();
}

/** The version that an element was made of. */
const versions = new WeakMap();

/**
 * Makes the children of `parent` those of `items`, reusing the element of the same `key`. An element
 * is made again only when its item's `version` is another one. Elements that stay keep focus and place.
 */
export function reconcile(parent, items, { key, version, make }) {
  const old = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  let place = parent.firstElementChild;
  for (const item of items) {
    const name = String(key(item));
    const stamp = version(item);
    let element = old.get(name);
    old.delete(name);
    if (!element || versions.get(element) !== stamp) {
      const fresh = make(item);
      fresh.dataset.key = name;
      versions.set(fresh, stamp);
      if (element) {
        if (place === element) place = fresh;
        const focused = element === document.activeElement || element.contains(document.activeElement);
        element.replaceWith(fresh);
        if (focused) fresh.focus({ preventScroll: true });
      }
      element = fresh;
    }
    if (element === place) place = place.nextElementSibling;
    else parent.insertBefore(element, place);
  }
  for (const element of old.values()) element.remove();
}

let toastTimer = null;

/** One short sentence at the bottom for a few seconds; also read out. */
export function toast(text) {
  const place = byId('toast');
  place.textContent = text;
  place.hidden = false;
  // Shown last, it stands above every dialog.
  place.hidePopover();
  place.showPopover();
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => {
    place.hidden = true;
  }, 5_000);
}
