// Draws one row of a chat's log. What may be done with it comes as functions.

import { avatar, el, icon, iconButton } from './dom.js';
import { clockTime, fullTime } from './formats.js';
import { plainText } from './markup.js';
import { openMenu } from './menu.js';
import { nameOf } from './names.js';
import { t } from './strings.js';
import { drawMarkup } from './view-markup.js';

/** An element for a row of `timeline.js`. */
export function draw(row, on) {
  switch (row.kind) {
    case 'day':
      return el('li', { class: 'day' }, el('span', {}, row.text));
    case 'new':
      return el('li', { class: 'new-line' }, el('span', {}, t.newMessages));
    case 'note':
      return el('li', { class: 'note' }, t.note[row.change](row.what, row.by));
    default:
      return message(row, on);
  }
}

function message(row, on) {
  const state = { own: row.own, first: row.first, emoji: row.emoji, pending: row.pending, failed: row.error };
  const names = Object.keys(state).filter((name) => state[name]);
  return el(
    'li',
    { class: ['message', ...names].join(' '), tabindex: '-1', 'data-id': row.id },
    row.first && avatarOf(row.sender),
    el(
      'div',
      { class: 'stack' },
      head(row),
      el('div', { class: 'line' }, bubble(row, on), (row.edited || row.own) && meta(row)),
      row.error && trouble(row, on),
    ),
  );
}

/** Who wrote and when: shown once for a group, where the pointer is for the other messages, and always read out. */
function head(row) {
  return el(
    'div',
    { class: 'head' },
    el('span', { class: row.first ? 'sender' : 'visually-hidden' }, el('bdi', {}, nameOf(row.sender)), ...guestMark(row.sender)),
    ' ',
    el('time', { datetime: row.timestamp, title: fullTime(row.timestamp) }, clockTime(row.timestamp)),
  );
}

/** Anybody may choose a guest's name, so that it is one is said wherever it stands as a sender. */
function guestMark({ guest }) {
  return guest ? [' ', el('span', { class: 'guest', title: t.guestTip }, t.guest)] : [];
}

function avatarOf(sender) {
  return avatar(nameOf(sender), { picture: sender.avatar });
}

function bubble(row, on) {
  return el(
    'div',
    { class: 'bubble' },
    row.replyTo && quote(row, on),
    el('div', { class: 'text', dir: 'auto' }, ...drawMarkup(row.text)),
  );
}

/** What became of a message since it was written. */
function meta(row) {
  return el('span', { class: 'meta' }, row.edited && el('span', {}, t.edited), row.own && tick(row));
}

function tick(row) {
  let [sign, word] = ['check', t.sent];
  if (row.error) [sign, word] = ['alert', t.failed];
  else if (row.pending) [sign, word] = ['clock', t.sending];
  else if (row.seen) [sign, word] = ['checks', t.seen];
  return el('span', { role: 'img', 'aria-label': word, title: word }, icon(sign));
}

function quote({ quoted, quotesDeleted, replyTo }, on) {
  if (quotesDeleted) return el('p', { class: 'quote' }, t.deletedMessage);
  return el(
    'button',
    { type: 'button', class: 'quote', onclick: () => on.showMessage(replyTo) },
    quoted && el('b', { dir: 'auto' }, nameOf(quoted.sender)),
    el('span', { dir: 'auto' }, quoted ? plainText(quoted.text) : t.earlierMessage),
  );
}

function trouble(row, on) {
  return el(
    'div',
    { class: 'trouble', role: 'alert' },
    el('span', {}, t.notSent(row.error)),
    el('button', { type: 'button', class: 'link', onclick: () => on.retry(row) }, t.tryAgain),
    el('button', { type: 'button', class: 'link', onclick: () => on.takeBack(row) }, t.edit),
    el('button', { type: 'button', class: 'link', onclick: () => on.discard(row) }, t.discard),
  );
}

/** The bar with what may be done with a sent message. For fingers it is one large button, which opens a menu. */
export function actionBar(row, on) {
  const more = iconButton('more', t.actions, () => openActions(row, on, more.getBoundingClientRect(), more));
  more.setAttribute('aria-haspopup', 'menu');
  const all = () => offers(row, on).map(({ sign, label, act }) => iconButton(sign, t[label], act, sign === 'delete' ? 'danger' : ''));
  const buttons = matchMedia('(pointer: coarse)').matches ? [more] : all();
  return el('div', { class: 'actions', role: 'toolbar', 'aria-label': t.actions }, ...buttons);
}

/** The same as a menu for fingers, at a place. A resting finger opens it instead of selecting a word. */
export function openActions(row, on, place, opener) {
  const [reply, copy, ...others] = offers(row, on);
  const select = { sign: 'select', label: 'selectText', act: () => on.select(row) };
  openMenu(t.actions, place, opener, [reply, copy, select, ...others]);
}

function offers(row, on) {
  return [
    { sign: 'reply', label: 'reply', act: () => on.reply(row) },
    { sign: 'copy', label: 'copy', act: () => on.copy(row) },
    row.own && { sign: 'edit', label: 'edit', act: () => on.edit(row) },
    row.mayDelete && { sign: 'delete', label: 'delete', act: () => on.remove(row) },
  ].filter(Boolean);
}
