// The line at the top that tells when there is no connection, and when the next try is.

import { byId } from './dom.js';
import { t } from './strings.js';

/** A connection that is back sooner than this was never worth a word. */
const PATIENCE_MS = 1_200;

const banner = byId('banner');

export function setUpBanner(actions) {
  let since = null;
  let timer = null;
  let status = { state: 'stopped' };

  banner.querySelector('button').addEventListener('click', () => actions.retryNow());

  function draw() {
    clearTimeout(timer);
    const fine = status.state === 'online' || status.state === 'stopped';
    const waited = since === null ? 0 : Date.now() - since;
    banner.hidden = fine || waited < PATIENCE_MS;
    if (fine) return;
    banner.querySelector('span').textContent = words(status);
    banner.querySelector('button').hidden = status.state !== 'waiting';
    timer = setTimeout(draw, waited < PATIENCE_MS ? PATIENCE_MS - waited : 1_000);
  }

  return (state) => {
    if (state.connection === status) return;
    status = state.connection;
    if (status.state === 'online' || status.state === 'stopped') since = null;
    else since ??= Date.now();
    draw();
  };
}

function words({ state, retryAt }) {
  if (!navigator.onLine) return t.deviceOffline;
  if (state === 'connecting') return t.connecting;
  return t.reconnecting(Math.ceil((retryAt - Date.now()) / 1000));
}
