// How people and times are written in the administration.

import { words } from './admin-strings.js';
import { el } from './dom.js';
import { fullTime, shortTime } from './text.js';

export function nameOf(person) {
  return `@${person.username}`;
}

const momentFormat = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' });

/** Day and time, to the minute. */
export const moment = (time) => momentFormat.format(new Date(time));

/** A short time whose whole is shown on pointing. */
export function timeOf(time) {
  return time ? el('time', { datetime: time, title: fullTime(time), dir: 'auto' }, shortTime(time)) : words.never;
}

/** What a device called itself, in the words of a person if it is a usual browser. */
export function deviceOf(session) {
  const agent = session?.user_agent ?? '';
  const first = (names) => names.find(([, sign]) => sign.test(agent))?.[0];
  const browser = first([['Edge', /Edg\//], ['Opera', /OPR\//], ['Firefox', /Firefox\/|FxiOS\//], ['Chrome', /Chrome\/|CriOS\//], ['Safari', /Safari\//]]);
  const system = first([['Android', /Android/], ['iPhone', /iPhone/], ['iPad', /iPad/], ['Windows', /Windows/], ['macOS', /Mac OS X/], ['Linux', /Linux/]]);
  if (browser && system) return words.browserOn(browser, system);
  return agent || words.unknownDevice;
}
