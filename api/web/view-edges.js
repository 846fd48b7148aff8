// What stands around the log's messages: at its two edges whether there is more, and above and below it the way to the
// newest and how much of it is new.

import { avatar, byId, el, icon } from './dom.js';
import { t } from './strings.js';

/** `on`: `more(edge)`, `retry()`, `newest()`, `allRead()`. Answers `{drawEdges(chat), drawNews(chat, …)}`. */
export function setUpEdges(on) {
  const button = (text, onclick) => el('button', { type: 'button', class: 'link', onclick }, text);
  const [top, bottom, bar, pill] = ['log-top', 'log-bottom', 'news', 'pill'].map(byId);
  const count = el('strong');
  bar.append(count, button(t.jumpToNewest, on.newest), button(t.markAsRead, on.allRead));
  pill.addEventListener('click', on.newest);
  const drawn = new Map();

  /** Draws a part again when what it says has changed. */
  function draw(place, says, children) {
    if (drawn.get(place) === says) return;
    drawn.set(place, says);
    place.replaceChildren(...children());
  }

  function drawEdge(place, edge, chat) {
    const { history, name, complete, later, loaded } = chat;
    const isHere = history && (history.edge === edge || (history.edge === 'page' && edge === 'older'));
    if (isHere && history.error) {
      draw(place, `error ${history.error}`, () => [`${t.historyFailed} ${history.error} `, button(t.tryAgain, on.retry)]);
    } else if (isHere || (!loaded && edge === 'older')) {
      draw(place, loaded ? 'loading' : 'first', () => (loaded ? [t.loadingMessages] : [el('span', { class: 'visually-hidden' }, t.loadingMessages), skeleton()]));
    } else if (edge === 'older' ? !complete : later) {
      draw(place, 'more', () => [button(edge === 'older' ? t.showEarlier : t.showLater, () => on.more(edge))]);
    } else {
      draw(place, edge === 'older' ? `start ${chat.id} ${name}` : '', () => (edge === 'older' ? beginning(chat) : []));
    }
  }

  /** What stands in the log itself, and so takes place in it. */
  function drawEdges(chat) {
    drawEdge(top, 'older', chat);
    drawEdge(bottom, 'newer', chat);
  }

  /** What floats over it. */
  function drawNews(chat, { divider, atEnd }) {
    const reads = divider !== null && chat.unread > 0;
    bar.hidden = atEnd || !reads || !chat.loaded;
    if (!bar.hidden) count.textContent = t.newCount(chat.unread);
    pill.hidden = atEnd || reads || !chat.loaded;
    if (!pill.hidden) draw(pill, String(chat.unread), () => [icon('down'), chat.unread > 0 ? t.newCount(chat.unread) : t.jumpToNewest]);
  }

  return { drawEdges, drawNews };
}

/** What stands where a chat begins. */
function beginning({ name, type }) {
  const face = avatar(name, { type });
  face.classList.add('large');
  return [face, el('h3', { dir: 'auto' }, name), el('p', {}, t.start(name))];
}

/** The outline of messages that are on their way; the style shows it only when they take a moment. */
function skeleton() {
  const widths = ['wide', 'narrow', 'middle', 'wide', 'narrow', 'middle'];
  return el('div', { class: 'skeleton', 'aria-hidden': 'true' }, ...widths.map((width) => el('div', { class: width }, el('i'), el('b'))));
}
