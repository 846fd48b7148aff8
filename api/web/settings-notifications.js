// Settings: how this device tells of new messages.

import { el } from './dom.js';
import { t } from './strings.js';
import { choices, choose, mayNotify, turnOn } from './view-notifications.js';

export const notificationsSection = { id: 'notifications', icon: 'bell', title: t.notifications, draw };

function draw() {
  const place = el('div', { class: 'fetched' });
  redraw(place);
  return [el('p', {}, t.notificationsText), place, el('p', { class: 'hint' }, t.appearanceText)];
}

function redraw(place) {
  const { show, text, sound } = choices();
  const may = mayNotify();
  const shows = show && may === 'yes';
  const change = async (name, wanted) => {
    if (name === 'show' && wanted) await turnOn();
    else choose({ [name]: wanted });
    redraw(place);
    place.querySelector(`[name=${name}]`).focus();
  };
  const choice = (name, label, checked, disabled, hint) =>
    el(
      'div',
      { class: 'field' },
      el(
        'label',
        { class: 'check' },
        el('input', { type: 'checkbox', role: 'switch', name, checked, disabled, 'aria-describedby': hint && `settings-${name}-hint`, onchange: (event) => change(name, event.target.checked) }),
        el('span', {}, label),
      ),
      hint && el('p', { class: 'hint', id: `settings-${name}-hint` }, hint),
    );
  const trouble = { denied: t.notificationsDenied, never: t.notificationsNever }[may] ?? null;
  place.replaceChildren(
    choice('show', t.notificationsShow, shows, trouble !== null, trouble),
    choice('text', t.notificationsWithText, text, !shows, null),
    choice('sound', t.notificationsSound, sound, false, t.notificationsSoundText),
  );
}
