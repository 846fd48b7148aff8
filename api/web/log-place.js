// Where a reader is in the log, measured and kept: the rows in sight, the end, and what of the scrolling was the
// reader's. It knows elements in a column, and nothing of what they show.

/** Closer to the end than this counts as being at the end. */
const NEAR_END_PX = 60;
/** Closer to an edge than this and there should be more. */
const NEAR_EDGE_PX = 600;
/** Where reading begins, so far below the top. */
const LEAD_PX = 88;

/** `isAnchor(element)`: it stays the same row while others come and go. */
export function setUpPlace(log, list, isAnchor) {
  /** Rows in sight, `{element, top, isWhole}`, the first one first: one of them can be put where it was. */
  let sight = [];
  let atEnd = true;
  // What is known of the log: other numbers in an event of scrolling were made by somebody else.
  let { scrollTop, clientHeight } = log;

  /** The first row of which something is below a height. */
  function firstBelow(y) {
    let [from, to] = [0, list.children.length];
    while (from < to) {
      const middle = (from + to) >> 1;
      if (list.children[middle].getBoundingClientRect().bottom > y) to = middle;
      else from = middle + 1;
    }
    return from;
  }

  function inSight() {
    const { top, bottom } = log.getBoundingClientRect();
    const found = [];
    for (let at = firstBelow(top); at < list.children.length; at += 1) {
      const element = list.children[at];
      const place = element.getBoundingClientRect();
      if (place.top >= bottom) break;
      found.push({ element, top: place.top, isWhole: place.bottom <= bottom + 1 });
    }
    return found;
  }

  function note() {
    ({ scrollTop, clientHeight } = log);
    sight = inSight();
  }

  /** After drawing: the same rows are where they were. */
  function restore() {
    const anchor = sight.find(({ element }) => element.isConnected && isAnchor(element));
    const distance = () => anchor.element.getBoundingClientRect().top - anchor.top;
    if (anchor) log.scrollTop += distance();
    measureEnd();
    // A log scrolls by whole pixels. What is missing is kept in mind, or it would add up.
    const left = anchor ? distance() : 0;
    if (Math.abs(left) < 1) for (const row of sight) row.top -= left;
  }

  function toEnd() {
    log.scrollTop = log.scrollHeight;
    atEnd = true;
    note();
  }

  function measureEnd() {
    atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < NEAR_END_PX;
    note();
  }

  /** To where reading begins. */
  function toStartAt(element) {
    log.scrollTop += element.getBoundingClientRect().top - log.getBoundingClientRect().top - LEAD_PX;
    measureEnd();
  }

  function toMiddle(element) {
    const { top, height } = element.getBoundingClientRect();
    log.scrollTop += top - log.getBoundingClientRect().top - Math.max(0, (log.clientHeight - height) / 2);
    measureEnd();
  }

  /** After an event of scrolling: the edge that the reader scrolls to, `older` or `newer`; null if it was no reader. */
  function direction() {
    const moved = log.scrollTop - scrollTop;
    if (log.clientHeight !== clientHeight || Math.abs(moved) < 1) return null;
    measureEnd();
    return moved < 0 ? 'older' : 'newer';
  }

  function isNear(edge) {
    return (edge === 'older' ? log.scrollTop : log.scrollHeight - log.scrollTop - log.clientHeight) < NEAR_EDGE_PX;
  }

  // The composer grows, the window is made smaller, texts get other lines.
  new ResizeObserver(() => (atEnd ? toEnd() : restore())).observe(log);
  new ResizeObserver(() => (atEnd ? toEnd() : restore())).observe(list);

  return {
    get atEnd() {
      return atEnd;
    },
    restore,
    toEnd,
    toStartAt,
    toMiddle,
    direction,
    isNear,
    /** The last row of these of which the end is in sight, and the first one in sight; or undefined. */
    lastWhole: (selector) => sight.findLast(({ element, isWhole }) => isWhole && element.matches(selector))?.element,
    /** Whether one of these is among the first rows in sight. */
    beginsWith: (selector) => sight.slice(0, 3).some(({ element }) => element.matches(selector)),
    first: () => sight.find(({ element }) => isAnchor(element))?.element,
  };
}
