// The log of the open chat: draws its rows, keeps the reader's place while messages come and go, asks for more when the
// reader scrolls to an edge, says what has been read, and lets the keyboard walk through the messages.

import { byId, reconcile } from './dom.js';
import { setUpPlace } from './log-place.js';
import { actionBar, draw, openActions } from './message-row.js';
import { onPress } from './press.js';
import { dayName } from './text.js';
import { rows } from './timeline.js';
import { setUpEdges } from './view-edges.js';

const log = byId('log');
const list = byId('items');

/**
 * `reading` fetches and marks; `on`: what may be done with a message, and `failed(promise)`, `gone()`. Answers the
 * function that draws a state.
 */
export function setUpMessages(reading, on) {
  let current = null;
  let shown = [];
  // The chat and the window that are on the screen.
  let drawn = { chat: null, divider: null, generation: null, loaded: false };
  const place = setUpPlace(log, list, (element) => element.matches('.message, .note'));
  const open = () => current?.chats.get(current.open);

  const { drawEdges, drawNews } = setUpEdges({
    more: (edge) => reading.extend(open().id, edge),
    retry: () => reading.retry(open().id),
    newest: toNewest,
    allRead: () => reading.markAllRead(open().id),
    firstSteps: on.firstSteps,
  });
  const inThe = { ...on, showMessage, select: ({ id }) => selectText(elementOf(id)) };

  function render(state) {
    current = state;
    const chat = open();
    if (!chat) {
      drawn = { chat: null };
      return;
    }
    const isOther = drawn.chat?.id !== chat.id || drawn.generation !== chat.generation || drawn.loaded !== chat.loaded;
    const isSame = !isOther && drawn.chat === chat && drawn.divider === state.divider && drawn.me === state.me;
    if (isSame) return;
    const wrote = !isOther && chat.pending.length > drawn.chat.pending.length;
    // At the edge of a window that did not reach the newest one was not at the end.
    const stays = !isOther && (wrote || isAtEnd(drawn.chat));
    drawn = { chat, divider: state.divider, me: state.me, generation: chat.generation, loaded: chat.loaded };

    // Old messages are not news: they are not to be read out.
    log.setAttribute('aria-busy', String(isOther || !chat.loaded));
    if (isOther) list.replaceChildren();
    const before = shown;
    shown = rows(state, isOther ? [] : shown);
    reconcile(list, shown, { key: (row) => row.key, version: (row) => row, make: (row) => draw(row, inThe) });
    const arrives = stays && shown.length > before.length && shown.at(-1).key !== before.at(-1)?.key;
    if (arrives) list.lastElementChild.classList.add('arrives');
    drawEdges(chat);

    if (isOther) begin(chat);
    else if (stays && !chat.later) place.toEnd();
    else place.restore();
    settle();
  }

  /** Where reading begins in another window. */
  function begin({ loaded, start }) {
    const target = start.at === 'new' ? list.querySelector('.new-line') : elementOf(start.id);
    if (!loaded || start.at === 'end' || !target) place.toEnd();
    else if (start.at === 'new') place.toStartAt(target);
    else place.toMiddle(target);
    if (start.flash && loaded) mark(target);
  }

  function elementOf(id) {
    return id ? list.querySelector(`[data-id="${Number(id)}"]`) : null;
  }

  const isAtEnd = (chat) => place.atEnd && !chat.later;

  /** After drawing and scrolling: tell where the reader is and what has been read. */
  function settle() {
    const chat = open();
    if (!chat || drawn.chat !== chat) return;
    drawNews(chat, { divider: current.divider, atEnd: isAtEnd(chat) });
    drawDay();
    if (!chat.loaded) return;
    reading.at(chat.id, Number(place.first()?.dataset.id) || null, isAtEnd(chat));
    const looks = document.visibilityState === 'visible' && document.hasFocus();
    if (!looks || current.connection.state !== 'online') return;
    // What was deleted at the end can be seen by nobody.
    const last = isAtEnd(chat) && chat.unread > 0 ? chat.cursor : Number(place.lastWhole('[data-id]')?.dataset.id);
    if (last > chat.lastRead) reading.read(chat.id, last);
  }

  /** The day of the first message in sight stands above the log, unless its heading is in sight, too. */
  function drawDay() {
    const row = rowOf(place.first());
    const day = byId('day-now');
    day.hidden = !row?.timestamp || place.beginsWith('.day');
    const name = day.hidden ? '' : dayName(row.timestamp);
    if (day.textContent !== name) day.textContent = name;
  }

  function rowOf(element) {
    return shown.find(({ key }) => key === element?.dataset.key);
  }

  function toNewest() {
    const chat = open();
    if (chat.later) on.failed(reading.showNewest(chat.id));
    else {
      place.toEnd();
      settle();
    }
    log.focus({ preventScroll: true });
  }

  async function showMessage(id) {
    const element = elementOf(id);
    if (element) {
      place.toMiddle(element);
      mark(element);
      settle();
    } else if ((await on.failed(reading.showMessage(open().id, id))) === false) on.gone();
  }

  /** Marks a message for a moment. */
  function mark(element) {
    if (!element) return;
    element.focus({ preventScroll: true });
    element.classList.add('flash');
    element.addEventListener('animationend', () => element.classList.remove('flash'), { once: true });
  }

  /** One bar for the whole log, in the message that the pointer or the focus is in. */
  function offerActions(element) {
    const row = sentRowOf(element);
    const bar = list.querySelector('.actions');
    if (bar?.parentElement === element) return;
    bar?.remove();
    if (row) element.append(actionBar(row, inThe));
  }

  function sentRowOf(element) {
    const row = rowOf(element);
    return row?.kind === 'message' && row.id && !row.error ? row : null;
  }

  log.addEventListener('scroll', () => {
    const chat = open();
    const edge = place.direction();
    if (!chat || !edge) return;
    if (place.isNear(edge)) reading.extend(chat.id, edge);
    settle();
  });
  window.addEventListener('focus', settle);
  document.addEventListener('visibilitychange', settle);

  // Not when messages only pass under a resting pointer: drawing a bar in each makes scrolling slow.
  list.addEventListener('pointermove', (event) => {
    if (event.pointerType === 'mouse') offerActions(event.target.closest('.message'));
  });
  list.addEventListener('pointerleave', () => offerActions(list.querySelector('.message:focus-within')));
  list.addEventListener('focusin', (event) => offerActions(event.target.closest('.message')));
  onPress(list, pressable, (element, place) => {
    const row = sentRowOf(element);
    if (row) openActions(row, inThe, place, element);
  });
  log.addEventListener('keydown', (event) => {
    const target = nextFocus(event.key, document.activeElement.closest('.message'), [...list.querySelectorAll('.message')]);
    if (!target) return;
    event.preventDefault();
    target.focus();
  });

  return render;
}

/** What a resting finger is about; what has a meaning of its own to it is left alone. */
function pressable(target) {
  return target.closest('a, button, pre, .selects') ? null : target.closest('.message');
}

/** Selects a message's text, of which a finger can then choose a part, until something else is selected or nothing. */
function selectText(element) {
  if (!element) return;
  const selection = document.getSelection();
  const text = element.querySelector('.text');
  element.classList.add('selects');
  selection.selectAllChildren(text);
  document.addEventListener('selectionchange', function end() {
    if (!selection.isCollapsed && text.contains(selection.anchorNode)) return;
    element.classList.remove('selects');
    document.removeEventListener('selectionchange', end);
  });
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
