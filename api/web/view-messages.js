// The log of the open chat: keeps the place while messages come and go, fetches older ones when
// somebody scrolls up, says what has been read, and lets the keyboard walk through the messages.

import { byId, el, icon, reconcile } from './dom.js';
import { actionBar, draw } from './message-row.js';
import { t } from './strings.js';
import { rows } from './timeline.js';

/** Closer to the end than this counts as being at the end. */
const NEAR_END_PX = 60;
/** Closer to the beginning than this and older messages are fetched. */
const NEAR_START_PX = 400;

const log = byId('log');
const list = byId('items');
const pill = byId('pill');

/** `on`: what may be done with a message. Answers the function that draws a state. */
export function setUpMessages(actions, on) {
  let current = null;
  let shown = [];
  let shownChat = null;
  let atEnd = true;
  let below = 0;

  const inThe = { ...on, showMessage };

  const rowOf = (element) => shown.find((row) => row.key === element?.dataset.key);

  function render(state) {
    current = state;
    const chat = state.chats.get(state.open);
    if (!chat) {
      shownChat = null;
      return;
    }
    const changed = shownChat !== chat.id;
    const anchor = changed ? null : anchorRow();
    const next = rows(state);
    if (!changed && !atEnd) below += newcomers(shown, next);
    shown = next;

    // Old messages are not news: they are not to be read out.
    log.setAttribute('aria-busy', String(changed || !chat.loaded));
    if (changed) list.replaceChildren();
    reconcile(list, shown, { key: (row) => row.key, version: JSON.stringify, make: (row) => draw(row, inThe) });
    drawTop(chat);

    if (changed || (!chat.loaded && atEnd)) {
      shownChat = chat.loaded ? chat.id : null;
      toStart();
    } else if (atEnd || shown.at(-1)?.pending) {
      toEnd();
    } else if (anchor?.element.isConnected) {
      log.scrollTop += anchor.element.getBoundingClientRect().top - anchor.top;
    }
    drawPill();
    settle();
  }

  /** The first row in sight, so that it can be kept in its place. */
  function anchorRow() {
    const top = log.getBoundingClientRect().top;
    for (const element of list.children) {
      const place = element.getBoundingClientRect();
      if (place.bottom > top) return { element, top: place.top };
    }
    return null;
  }

  /** Where reading begins: at the first new message, else at the end. */
  function toStart() {
    below = 0;
    const line = list.querySelector('.new-line');
    if (line) log.scrollTop = line.offsetTop - log.offsetTop - 80;
    else toEnd();
    atEnd = isAtEnd();
  }

  function toEnd() {
    log.scrollTop = log.scrollHeight;
    atEnd = true;
    below = 0;
  }

  function isAtEnd() {
    return log.scrollHeight - log.scrollTop - log.clientHeight < NEAR_END_PX;
  }

  function drawTop(chat) {
    let text = '';
    if (chat.historyError) text = `${t.historyFailed} ${chat.historyError} `;
    else if (!chat.complete) text = t.loadingOlder;
    else text = t.start(chat.name);
    const retry = chat.historyError && el('button', { type: 'button', class: 'link', onclick: () => actions.retryHistory() }, t.tryAgain);
    byId('log-top').replaceChildren(...[text, retry].filter(Boolean));
  }

  function drawPill() {
    pill.hidden = atEnd;
    pill.replaceChildren(icon('down'), t.newBelow(below));
  }

  /** After drawing and scrolling: fetch older ones if they are near, tell what has been read. */
  function settle() {
    if (!current) return;
    const chat = current.chats.get(current.open);
    if (!chat?.loaded || shownChat !== chat.id) return;
    if (log.scrollTop < NEAR_START_PX) actions.loadOlder();
    const newest = chat.items.findLast((item) => item.kind === 'message');
    const looking = document.visibilityState === 'visible' && document.hasFocus();
    const unread = newest && newest.id > chat.lastRead && (chat.unread > 0 || newest.sender.id !== current.me.id);
    if (atEnd && looking && unread && current.connection.state === 'online') actions.read(chat.id, newest.id);
  }

  function showMessage(id) {
    const element = list.querySelector(`[data-id="${Number(id)}"]`);
    if (!element) return;
    element.scrollIntoView({ block: 'center' });
    element.focus({ preventScroll: true });
    element.classList.add('flash');
    element.addEventListener('animationend', () => element.classList.remove('flash'), { once: true });
  }

  /** One bar for the whole log, in the message that the pointer or the focus is in. */
  function offerActions(element) {
    const row = rowOf(element);
    const bar = list.querySelector('.actions');
    if (bar?.parentElement === element) return;
    bar?.remove();
    if (row?.kind === 'message' && row.id && !row.error) element.append(actionBar(row, inThe));
  }

  log.addEventListener('scroll', () => {
    atEnd = isAtEnd();
    if (atEnd) below = 0;
    drawPill();
    settle();
  });
  pill.addEventListener('click', () => {
    toEnd();
    drawPill();
    settle();
    log.focus({ preventScroll: true });
  });
  new ResizeObserver(() => {
    if (atEnd) toEnd();
  }).observe(log);
  window.addEventListener('focus', settle);
  document.addEventListener('visibilitychange', settle);

  list.addEventListener('pointerover', (event) => {
    if (event.pointerType === 'mouse') offerActions(event.target.closest('.message'));
  });
  list.addEventListener('pointerleave', () => offerActions(list.querySelector('.message:focus-within')));
  list.addEventListener('focusin', (event) => offerActions(event.target.closest('.message')));
  log.addEventListener('keydown', (event) => {
    const target = nextFocus(event.key, document.activeElement.closest('.message'), [...list.querySelectorAll('.message')]);
    if (!target) return;
    event.preventDefault();
    target.focus();
  });

  return render;
}

/** Which message the arrow keys lead to. */
function nextFocus(key, from, messages) {
  const at = messages.indexOf(from);
  switch (key) {
    case 'ArrowUp':
      return at < 0 ? messages.at(-1) : messages[Math.max(0, at - 1)];
    case 'ArrowDown':
      return at < 0 ? null : messages[Math.min(messages.length - 1, at + 1)];
    case 'Home':
      return at < 0 ? null : messages[0];
    case 'End':
      return at < 0 ? null : messages.at(-1);
    default:
      return null;
  }
}

/** How many messages of others came after the last one that was shown. */
function newcomers(before, after) {
  const newest = before.reduce((id, row) => Math.max(id, row.id ?? 0), 0);
  return after.filter((row) => row.kind === 'message' && !row.own && row.id > newest).length;
}
