// When to come back after a connection was lost. Pure: time and chance are arguments.

/** The first wait is at most this long, and each further one at most twice the one before. */
export const BASE_MS = 500;
/** No wait is longer: a person looking at the page should not wait for much more than this. */
export const CAP_MS = 15_000;

/** Exponential backoff with full jitter, so that clients of one dead node do not return together. */
export function backoff(attempt, random) {
  return Math.floor(random() * Math.min(CAP_MS, BASE_MS * 2 ** Math.min(attempt, 16)));
}

// The server's table of closes, by reason. Everything that is not listed: with backoff.
const NEVER = new Set(['bye', 'unauthenticated', 'session_ended', 'blocked', 'wrong_origin', 'too_many_connections', 'disconnected']);
const NOW = new Set(['token_expired', 'silent', 'restart', 'resync']);

/**
 * What to do after a close: `null` is never by itself, otherwise milliseconds to wait. "Now" is
 * meant once: a server that closes again and again is met with backoff.
 */
export function delayAfterClose(reason, attempt, random) {
  if (NEVER.has(reason)) return null;
  if (NOW.has(reason) && attempt === 0) return 0;
  return backoff(attempt, random);
}
