// What administrators announce to everybody, in a line at the top of the page until it is withdrawn, its time is
// over, or one has closed it on this device.

import { recall, remember } from './device.js';
import { byId, el, iconButton } from './dom.js';
import { t } from './strings.js';

/** The longest that a timer waits: browsers count milliseconds in 31 bits. */
const MAX_WAIT_MS = 2 ** 31 - 1;
/** Where the one that was closed last is remembered. */
const CLOSED = 'announcement';

export function setUpAnnouncement() {
  const place = byId('announcement');
  let drawn;
  let timer = null;

  function draw(announcement, epoch) {
    clearTimeout(timer);
    const left = announcement?.ends_at ? Date.parse(announcement.ends_at) - Date.now() : Infinity;
    // Another database numbers its own.
    const name = `${epoch} ${announcement?.id}`;
    place.hidden = !announcement || name === recall(CLOSED) || left <= 0;
    if (place.hidden) {
      place.replaceChildren();
      return;
    }
    const close = () => {
      remember(CLOSED, name);
      draw(announcement, epoch);
    };
    place.replaceChildren(el('p', { dir: 'auto' }, announcement.text), iconButton('close', t.closeAnnouncement, close));
    if (left < Infinity) timer = setTimeout(() => draw(announcement, epoch), Math.min(left, MAX_WAIT_MS));
  }

  return (state) => {
    if (state.announcement === drawn) return;
    drawn = state.announcement;
    draw(drawn, state.epoch);
  };
}
