// Links from mails and from administrators, which work once. The token stands in the part of the address that
// browsers send nobody; it is taken out of there at once, so that neither the history nor a picture has it.

const PLACES = { 'new-password': 'password', 'verify-email': 'email' };

/** What the address leads to: `{purpose, token}`, or null. */
export function takeLink() {
  const [, place, token] = /^#\/([a-z-]+)\/([\w-]{20,})$/.exec(location.hash) ?? [];
  const purpose = PLACES[place];
  if (!purpose) return null;
  history.replaceState(null, '', '#/');
  return { purpose, token };
}
