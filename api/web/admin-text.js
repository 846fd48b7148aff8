// How people and times are written in the administration.

import { words } from './admin-strings.js';
import { deviceName } from './device-name.js';
import { el } from './dom.js';
import { fullTime } from './formats.js';
import { shortTime } from './text.js';

/** How administrators tell people apart: anybody may be called anything. */
export function handleOf(person) {
  return `@${person.username}`;
}

/** A short time whose whole is shown on pointing. */
export function timeOf(time) {
  return time ? el('time', { datetime: time, title: fullTime(time), dir: 'auto' }, shortTime(time)) : words.never;
}

/** What a device is called. */
export function deviceOf(session) {
  return deviceName(session?.user_agent ?? '') || words.unknownDevice;
}
