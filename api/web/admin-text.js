// How people and times are written in the administration.

import { words } from './admin-strings.js';
import { deviceName } from './device-name.js';
import { el } from './dom.js';
import { fullTime, shortTime } from './text.js';

/** How administrators tell people apart: anybody may be called anything. */
export function handleOf(person) {
  return `@${person.username}`;
}

const momentFormat = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' });

/** Day and time, to the minute. */
export const moment = (time) => momentFormat.format(new Date(time));

/** A short time whose whole is shown on pointing. */
export function timeOf(time) {
  return time ? el('time', { datetime: time, title: fullTime(time), dir: 'auto' }, shortTime(time)) : words.never;
}

/** What a device is called. */
export function deviceOf(session) {
  return deviceName(session?.user_agent ?? '') || words.unknownDevice;
}
