// The stretch of a chat's messages that is in memory: a window with two edges, `{items, complete, later}`.
// `items` are messages and notes without holes, the oldest first. `complete` tells whether they reach back to
// the chat's beginning. `later` is null while they reach to the newest message. Else it holds what is known of
// the messages behind the lower edge: all of those after the number `after`, and perhaps nothing of those before it.
// Pure. What is deleted or edited is the business of chat.js.

/** Items in memory and on the screen for one chat: a screen shows some 20. */
export const MAX_ITEMS = 300;
/** What is left at the newest when there are more, so that not each message costs a removal. */
const KEPT_ITEMS = 200;
/** Items remembered behind the lower edge: more than come while a page is on its way. */
const MAX_LATER = 100;

/** Nothing is loaded; everything after `seq` will be told by events. */
export function emptyWindow(seq) {
  return { items: [], complete: false, later: { items: [], after: seq } };
}

/** The same chat with no items before the newest ones: another page is about to be shown. */
export function forgetItems(view) {
  return { items: [], complete: false, later: laterOf(view) };
}

/** Puts an item in its place, if the window has its place. `follows`: somebody looks at the newest, or nobody looks. */
export function put(view, item, follows) {
  const { items, complete, later } = view;
  const isInside = items.length > 0 && item.id <= items.at(-1).id;
  if (isInside && item.id < items[0].id && !complete) return view;
  if (later && !isInside) return item.id > later.after ? { items, complete, later: keep(later, item) } : view;
  const next = insert(items, item);
  if (next.length <= MAX_ITEMS) return { items: next, complete, later };
  return follows && !later ? { items: next.slice(-KEPT_ITEMS), complete: false, later } : dropNewest({ items: next, complete, later });
}

export function remove(view, id) {
  const without = (items) => (items.some((item) => item.id === id) ? items.filter((item) => item.id !== id) : items);
  const { items, complete, later } = view;
  return { items: without(items), complete, later: later && { ...later, items: without(later.items) } };
}

/**
 * Shows a page instead of what is there. `older`, `newer`: whether the chat may have more on that side; `coversTo`: the
 * event up to which a page without more behind it is complete.
 */
export function replace(view, { messages, older, newer, coversTo }) {
  const page = { items: messages, complete: !older, later: laterOf(view) };
  return join(page, newer ? (messages.at(-1)?.id ?? 0) : coversTo);
}

/** Adds the page before the item `from`. What is too much is dropped at the other edge. */
export function extendOlder(view, { messages, older, from }) {
  // The edge has moved since the page was asked for: it would leave a hole.
  if (view.items[0]?.id !== from) return view;
  const items = messages.reduceRight(insert, view.items);
  const next = { items, complete: view.complete || !older, later: view.later };
  return items.length > MAX_ITEMS ? dropNewest(next) : next;
}

/** Adds the page behind the item `from`. */
export function extendNewer(view, { messages, newer, coversTo, from }) {
  if (!view.later || view.items.at(-1)?.id !== from) return view;
  const items = messages.reduce(insert, view.items);
  const next = join({ ...view, items }, newer ? (messages.at(-1)?.id ?? 0) : coversTo);
  const isTooLong = next.items.length > MAX_ITEMS;
  return isTooLong ? { ...next, items: next.items.slice(-MAX_ITEMS), complete: false } : next;
}

/** Every item that is known, the oldest first; between the two parts there may be a hole. */
export function known({ items, later }) {
  return later ? [...items, ...later.items] : items;
}

/** Whether everything after a number is known. */
export function knowsAllAfter({ items, complete, later }, id) {
  if (later) return id >= later.after;
  return complete || (items.length > 0 && id >= items[0].id - 1);
}

/** Whether everything between two numbers is known, the first one left out. */
export function knowsAllBetween({ items, complete, later }, from, to) {
  if (items.length === 0) return false;
  return (complete || from >= items[0].id - 1) && (later === null || to <= items.at(-1).id);
}

/** Once the window reaches what is known behind it, the two are one. */
function join({ items, complete, later }, coversTo) {
  if (coversTo < later.after) return { items, complete, later };
  // What an event told is never older than what a page told.
  return { items: later.items.reduce(insert, items), complete, later: null };
}

function dropNewest({ items, complete, later }) {
  const left = items.slice(0, MAX_ITEMS);
  if (later) return { items: left, complete, later };
  return { items: left, complete, later: laterOf({ items: items.slice(MAX_ITEMS), complete: false, later, after: left.at(-1).id }) };
}

/** What is known of the newest messages, as if the window did not reach them. */
function laterOf({ items, complete, later, after }) {
  if (later) return later;
  const first = items.length - MAX_LATER;
  if (first > 0) return { items: items.slice(first), after: items[first - 1].id };
  return { items, after: after ?? (complete || items.length === 0 ? 0 : items[0].id - 1) };
}

function keep(later, item) {
  const items = insert(later.items, item);
  return items.length > MAX_LATER ? { items: items.slice(1), after: items[0].id } : { ...later, items };
}

function insert(items, item) {
  let at = items.length;
  while (at > 0 && items[at - 1].id > item.id) at -= 1;
  const replaced = at > 0 && items[at - 1].id === item.id ? 1 : 0;
  return [...items.slice(0, at - replaced), item, ...items.slice(at)];
}
