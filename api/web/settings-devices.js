// Settings: the devices that are signed in, and signing them out.

import { api } from './api.js';
import { deviceName } from './device-name.js';
import { el, icon } from './dom.js';
import { fetched } from './form.js';
import { day, moment } from './formats.js';
import { t } from './strings.js';
import { confirm } from './view-confirm.js';

export const devicesSection = { id: 'devices', icon: 'device', title: t.devices, draw };

function draw() {
  return [el('p', { class: 'muted' }, t.devicesText), fetched(api.sessions, list)];
}

function list(sessions, again) {
  const others = sessions.filter((session) => !session.current);
  const own = sessions.filter((session) => session.current);
  const end = async (question, work) => {
    if (!(await confirm(question, t.signOut))) return;
    // Whatever came of it, the list tells.
    await work().catch(() => null);
    again();
  };
  const row = (session) => {
    const name = deviceName(session.user_agent) || t.unknownDevice;
    const times = [t.deviceSince(day(session.created_at)), t.deviceSeen(moment(session.last_used_at))];
    return el(
      'li',
      { class: 'device' },
      icon('device'),
      el('span', { class: 'device-lines' }, el('strong', { title: session.user_agent }, el('bdi', {}, name)), session.current && el('span', { class: 'tag' }, t.thisDevice), ...times.map((text) => el('small', { class: 'muted' }, text))),
      !session.current && el('button', { type: 'button', class: 'plain', 'aria-label': t.signOutDevice(name), onclick: () => end(t.sureSignOutDevice(name), () => api.endSession(session.id)) }, t.signOut),
    );
  };
  const all = el('button', { type: 'button', class: 'danger-button', onclick: () => end(t.sureSignOutOthers, api.endOtherSessions) }, t.signOutOthers);
  return [el('ul', { class: 'devices' }, ...[...own, ...others].map(row)), others.length > 0 && el('div', { class: 'buttons' }, all)].filter(Boolean);
}
