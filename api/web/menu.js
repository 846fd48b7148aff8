// A menu of what can be done with a chat of the list, or with a message. It opens at a place, works by keyboard, and
// closes by itself when one goes on elsewhere.

import { el, icon } from './dom.js';
import { t } from './strings.js';

/** Room between the menu and the edge of the window. */
const MARGIN = 8;

/** Opens it below or beside `place`. `actions(entry)` are what it offers: `{sign, label, act}`. */
export function openMenu(label, place, opener, offers) {
  const menu = el('div', { class: 'chat-menu', role: 'menu', popover: 'auto', 'aria-label': label }, ...offers.map(offer));
  menu.addEventListener('keydown', (event) => move(menu, event));
  menu.addEventListener('toggle', (event) => {
    if (event.newState !== 'closed') return;
    menu.remove();
  });
  document.body.append(menu);
  menu.showPopover();
  put(menu, place);
  menu.firstElementChild.focus();

  function offer({ sign, label: text, act }) {
    const choose = () => {
      menu.hidePopover();
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
  if (event.key === 'Tab') menu.hidePopover();
  if (!(event.key in places)) return;
  event.preventDefault();
  items.at(places[event.key] % items.length).focus();
}
