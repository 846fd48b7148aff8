// How times and texts are shown. Pure, in the reader's language and time zone.

import { t } from './strings.js';

const DAY_MS = 86_400_000;
const timeFormat = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const dayFormat = new Intl.DateTimeFormat(undefined, { weekday: 'long', day: 'numeric', month: 'long', year: 'numeric' });
const shortDayFormat = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' });
const fullFormat = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'medium' });

export const clockTime = (timestamp) => timeFormat.format(new Date(timestamp));
export const fullTime = (timestamp) => fullFormat.format(new Date(timestamp));

/** The same for all times of one local day. */
export const dayKey = (timestamp) => new Date(timestamp).toDateString();

/** The heading over a day's messages. */
export function dayName(timestamp, now = Date.now()) {
  const day = dayKey(timestamp);
  if (day === dayKey(now)) return t.today;
  if (day === dayKey(now - DAY_MS)) return t.yesterday;
  return dayFormat.format(new Date(timestamp));
}

/** For the list of chats: the time today, else the day. */
export function shortTime(timestamp, now = Date.now()) {
  return dayKey(timestamp) === dayKey(now) ? clockTime(timestamp) : shortDayFormat.format(new Date(timestamp));
}

/** Splits a text into plain pieces and web addresses: `[{text, url?}]`. */
export function pieces(text) {
  const found = [];
  let from = 0;
  for (const match of text.matchAll(/https?:\/\/[^\s<>"]+/g)) {
    // A sentence's full stop or bracket after an address is not part of it.
    const url = match[0].replace(/[.,;:!?'")\]]+$/, '');
    if (!URL.canParse?.(url)) continue;
    if (match.index > from) found.push({ text: text.slice(from, match.index) });
    found.push({ text: url, url });
    from = match.index + url.length;
  }
  if (from < text.length) found.push({ text: text.slice(from) });
  return found;
}

/** Whether a text is one to three emoji and nothing else: shown large. */
export function isEmoji(text) {
  return /^(?:\p{Extended_Pictographic}(?:\uFE0F|\u200D\p{Extended_Pictographic}|\p{Emoji_Modifier})*\s*){1,3}$/u.test(text);
}
