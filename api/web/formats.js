// Dates, times, numbers and lists, as they are written in the page's language where the reader lives. No other file
// asks the browser how. What needs words, such as "today", is `text.js`'s.

import { localeOf, spoken } from './language.js';

const locale = localeOf(spoken(), globalThis.navigator?.languages ?? []);

/** Made when it is first used: most visits need few of them. */
const lazily = (Format, options) => {
  let made = null;
  return () => (made ??= new Format(locale, options));
};

const dates = (options) => {
  const format = lazily(Intl.DateTimeFormat, options);
  return (time) => format().format(new Date(time));
};

/** The hour and minute. */
export const clockTime = dates({ timeStyle: 'short' });
/** A day for a heading, with its weekday. */
export const longDay = dates({ weekday: 'long', day: 'numeric', month: 'long', year: 'numeric' });
/** A day where there is little room: without the year. */
export const shortDay = dates({ day: 'numeric', month: 'short' });
/** A day within a sentence, a table, or the list of chats. */
export const day = dates({ dateStyle: 'medium' });
/** The same, to the minute. */
export const moment = dates({ dateStyle: 'medium', timeStyle: 'short' });
/** All that there is to say of a time: shown on pointing. */
export const fullTime = dates({ dateStyle: 'full', timeStyle: 'medium' });

const numbers = lazily(Intl.NumberFormat, { maximumFractionDigits: 2 });
/** `5,000`. */
export const number = (value) => numbers().format(value);

const lists = lazily(Intl.ListFormat, { type: 'conjunction' });
/** `Ann, Bob and Eve`. */
export const list = (names) => lists().format(names);

const [seconds, minutes, hours] = ['second', 'minute', 'hour'].map((unit) => {
  const format = lazily(Intl.NumberFormat, { style: 'unit', unit, unitDisplay: 'long' });
  return (value) => format().format(value);
});

/** A time to wait, in the largest unit that says enough: `4 minutes`. */
export function span(wait) {
  if (wait < 100) return seconds(wait);
  const rounded = Math.ceil(wait / 60);
  return rounded < 100 ? minutes(rounded) : hours(Math.ceil(rounded / 60));
}

const past = lazily(Intl.RelativeTimeFormat, { style: 'short' });
/** `5 sec. ago`. */
export const secondsAgo = (count) => past().format(-count, 'second');
