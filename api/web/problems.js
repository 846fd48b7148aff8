// What went wrong with a call, in a person's words. Codes and names of the API's fields are for programs and
// never stand on the page.

import { t } from './strings.js';

/** A sentence about a refusal: `{status, code, fields, message, retryAfter}`. */
export function inWords({ status, code, fields, message, retryAfter }) {
  if (status === 0) return t.unreachable;
  if (code === 'rate_limited') return t.tooOften(retryAfter);
  if (fields.length > 0) return t.wrongField[fields[0].field] ?? t.failed;
  return t.problem[code] ?? (message || t.failed);
}
