// What administrators announce to everybody, in a line at the top of the page until it is withdrawn, its time is
// over, or one has closed it for oneself.

import { byId, el, iconButton } from './dom.js';
import { t } from './strings.js';

/** The longest that a timer waits: browsers count milliseconds in 31 bits. */
const MAX_WAIT_MS = 2 ** 31 - 1;

export function setUpAnnouncement() {
  const place = byId('announcement');
  let drawn;
  let closed = null;
  let timer = null;

  function draw(announcement) {
    clearTimeout(timer);
    const left = announcement?.ends_at ? Date.parse(announcement.ends_at) - Date.now() : Infinity;
    place.hidden = !announcement || announcement.id === closed || left <= 0;
    if (place.hidden) {
      place.replaceChildren();
      return;
    }
    const close = () => {
      closed = announcement.id;
      draw(announcement);
    };
    place.replaceChildren(el('p', { dir: 'auto' }, announcement.text), iconButton('close', t.closeAnnouncement, close));
    if (left < Infinity) timer = setTimeout(() => draw(announcement), Math.min(left, MAX_WAIT_MS));
  }

  return (state) => {
    if (state.announcement === drawn) return;
    drawn = state.announcement;
    draw(drawn);
  };
}
