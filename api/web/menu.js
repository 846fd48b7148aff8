// A menu of what can be done with a chat of the list, or with a message. It opens at a place, works by keyboard, and
// closes by itself when one goes on elsewhere.

import { el, icon } from './dom.js';
import { t } from './strings.js';

/** Room between the menu and the edge of the window. */
const MARGIN = 8;

/** Opens it below or beside `place`, for the focus to come back to `opener`. Each of the `offers` is `{sign, label, act}`. */
export function openMenu(label, place, opener, offers) {
  // Not an `auto` one, which the lifting of the finger would close that rested until it opened.
  const menu = el('div', { class: 'chat-menu', role: 'menu', popover: 'manual', 'aria-label': label }, ...offers.map(offer));
  const closed = new AbortController();
  const close = () => {
    closed.abort();
    menu.remove();
  };
  menu.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') {
      // It has closed what is nearest.
      event.stopPropagation();
      opener.focus({ preventScroll: true });
      close();
    } else if (event.key === 'Tab') close();
    else move(menu, event);
  });
  document.addEventListener('pointerdown', ({ target }) => menu.contains(target) || close(), { capture: true, signal: closed.signal });
  document.body.append(menu);
  menu.showPopover();
  put(menu, place);
  menu.firstElementChild.focus();

  function offer({ sign, label: text, act }) {
    const choose = () => {
      close();
      opener.focus({ preventScroll: true });
      act();
    };
    return el('button', { type: 'button', role: 'menuitem', tabindex: '-1', onclick: choose }, icon(sign), t[text]);
  }
}

/** Within the window; a place near its edge opens to the other side. */
function put(menu, place) {
  const { width, height } = menu.getBoundingClientRect();
  const left = Math.min(place.left, innerWidth - width - MARGIN);
  const below = place.bottom + height + MARGIN <= innerHeight;
  const top = below ? place.bottom : place.top - height;
  menu.style.left = `${Math.max(MARGIN, left)}px`;
  menu.style.top = `${Math.max(MARGIN, top)}px`;
}

function move(menu, event) {
  const items = [...menu.children];
  const at = items.indexOf(document.activeElement);
  const places = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 };
  if (!(event.key in places)) return;
  event.preventDefault();
  items.at(places[event.key] % items.length).focus();
}
