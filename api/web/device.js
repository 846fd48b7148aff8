// What this device remembers of the person's choices, which the account knows nothing of. In the clear, and so nothing
// that somebody wrote. Where the browser keeps nothing (a private window), it lasts as long as the page.

const remembered = new Map();

/** What was remembered last, or null. */
export function recall(name) {
  if (remembered.has(name)) return remembered.get(name);
  try {
    return JSON.parse(localStorage.getItem(name));
  } catch {
    return null;
  }
}

export function remember(name, value) {
  try {
    localStorage.setItem(name, JSON.stringify(value));
  } catch {
    remembered.set(name, value);
  }
}
