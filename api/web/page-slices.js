// Cuts a page of history into slices that a slow device draws in one frame each. Pure: a slice is a page for
// message-window.js like any other, and belongs beside the one before it.

/** Rows that are built and laid out in one frame. */
const SLICE = 10;

/** The slices of a page beside the window, the one next to the window first. */
export function slices(page, size = SLICE) {
  const { edge, messages } = page;
  const { length } = messages;
  const found = [];
  let { from } = page;
  for (let done = 0; done === 0 || done < length; done += size) {
    const isLast = done + size >= length;
    const part = edge === 'older' ? messages.slice(Math.max(0, length - done - size), length - done) : messages.slice(done, done + size);
    found.push({ ...page, messages: part, from, older: page.older || !isLast, newer: page.newer || !isLast, isLast });
    from = part.at(edge === 'older' ? 0 : -1)?.id;
  }
  return found;
}
