// What stands around the log's messages: at its two edges whether there is more, and above and below it the way to the
// newest and how much of it is new.

import { avatar, byId, el, icon } from './dom.js';
import { t } from './strings.js';

/** `on`: `more(edge)`, `retry()`, `newest()`, `allRead()`, `firstSteps(chat)`. Answers `{drawEdges(chat), drawNews(chat, …)}`. */
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
      const steps = edge === 'older' ? on.firstSteps(chat) : [];
      const says = `start ${chat.id} ${name} ${chat.peer?.avatar} ${chat.memberCount} ${steps.map(({ text }) => text)}`;
      draw(place, edge === 'older' ? says : '', () => (edge === 'older' ? beginning(chat, steps) : []));
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

/** What stands where a chat begins: whose it is, and while nothing was said, what one can do first. */
function beginning({ name, type, peer, memberCount }, steps) {
  const face = avatar(name, { type, picture: peer?.avatar });
  face.classList.add('large');
  const who = peer ? `@${peer.username}` : `${t.kind[type]} · ${t.members(memberCount)}`;
  const buttons = steps.map(({ text, act }) => el('button', { type: 'button', class: 'plain', onclick: act }, text));
  return [face, el('h3', { dir: 'auto' }, name), el('p', {}, who), el('p', {}, t.start(name)), buttons.length > 0 && el('div', { class: 'steps' }, ...buttons)].filter(Boolean);
}

/** The outline of messages that are on their way; the style shows it only when they take a moment. */
function skeleton() {
  const widths = ['wide', 'narrow', 'middle', 'wide', 'narrow', 'middle'];
  return el('div', { class: 'skeleton', 'aria-hidden': 'true' }, ...widths.map((width) => el('div', { class: width }, el('i'), el('b'))));
}
