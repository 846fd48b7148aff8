// How times and texts are shown. Pure, in the reader's language and time zone.

import { clockTime, day, longDay, shortDay } from './formats.js';
import { t } from './strings.js';

const DAY_MS = 86_400_000;

/** The same for all times of one local day. */
export const dayKey = (timestamp) => new Date(timestamp).toDateString();

/** The heading over a day's messages. */
export function dayName(timestamp, now = Date.now()) {
  const day = dayKey(timestamp);
  if (day === dayKey(now)) return t.today;
  if (day === dayKey(now - DAY_MS)) return t.yesterday;
  return longDay(timestamp);
}

/** For the list of chats: the time today, else the day, with its year if that is another one. */
export function shortTime(timestamp, now = Date.now()) {
  if (dayKey(timestamp) === dayKey(now)) return clockTime(timestamp);
  const isThisYear = new Date(timestamp).getFullYear() === new Date(now).getFullYear();
  return isThisYear ? shortDay(timestamp) : day(timestamp);
}

/** Longest message, in characters as the server counts them. */
export const MAX_TEXT_CHARS = 4_000;

/** Characters as the server counts them: an emoji may be one where JavaScript sees two. */
export function charsIn(text) {
  let count = 0;
  for (const _ of text) count += 1;
  return count;
}

// Where an address may begin, and what ends it in any case: no address has quotation marks or the signs that end a
// sentence in scripts that write no spaces.
const ADDRESS = /(?<![\p{L}\p{N}])(?:https?:\/\/|www\.)[^\s<>"“”„«»「」『』。、，！？；：]+/giu;
const CLOSING = { ')': '(', ']': '[', '}': '{', '）': '（', '】': '【', '》': '《' };

/** Splits a text into plain pieces and web addresses, by the rules of GitHub's autolinks: `[{text, url?}]`. */
export function pieces(text) {
  const found = [];
  let from = 0;
  for (const match of text.matchAll(ADDRESS)) {
    const address = withoutSentence(match[0]);
    const url = /^www\./i.test(address) ? `http://${address}` : address;
    if (!URL.canParse?.(url) || (url !== address && !new URL(url).hostname.includes('.', 'www.'.length))) continue;
    if (match.index > from) found.push({ text: text.slice(from, match.index) });
    found.push({ text: address, url });
    from = match.index + address.length;
  }
  if (from < text.length) found.push({ text: text.slice(from) });
  return found;
}

/** Without what is the sentence's: punctuation at the end, and closing brackets that open outside of the address. */
function withoutSentence(address) {
  const unopened = {};
  let end = address.length;
  for (; end > 0; end -= 1) {
    const last = address[end - 1];
    const opening = CLOSING[last];
    if (opening) {
      unopened[last] ??= count(address, last) - count(address, opening);
      unopened[last] -= 1;
      if (unopened[last] < 0) break;
    } else if (!/[?!.,:;*_~']|(?![\p{ASCII}])\p{P}/u.test(last)) break;
  }
  return address.slice(0, end);
}

function count(text, sign) {
  return text.split(sign).length - 1;
}

/** Whether a text is one to three emoji and nothing else: shown large. */
export function isEmoji(text) {
  return /^(?:\p{Extended_Pictographic}(?:\uFE0F|\u200D\p{Extended_Pictographic}|\p{Emoji_Modifier})*\s*){1,3}$/u.test(text);
}
