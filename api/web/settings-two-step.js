// Settings: signing in with two steps, by codes from an app. The secret and the recovery codes are shown once.

import { api } from './api.js';
import { drawn, el } from './dom.js';
import { fetched, field, form } from './form.js';
import { t } from './strings.js';

export const twoStepSection = { id: 'two-step', icon: 'shield', title: t.twoStep, draw };

function draw({ store }) {
  const { username } = store.state.me;
  return [el('p', { class: 'muted' }, t.twoStepText), fetched(api.secondFactor, (state, again) => (state.on ? isOn(state, again, username) : isOff(again, username)))];
}

const passwordField = () =>
  field({ id: 'settings-factor-password', label: t.yourPassword, type: 'password', autocomplete: 'current-password', required: true, refusals: ['wrong_password'] });

const codeField = (hint) =>
  field({ id: 'settings-factor-code', label: t.code, hint, inputmode: 'text', autocomplete: 'one-time-code', autocapitalize: 'none', spellcheck: 'false', required: true, refusals: ['wrong_code', 'code'] });

function isOff(again, username) {
  const password = passwordField();
  const place = el('div', { class: 'fetched' });
  const begin = form({
    fields: [password],
    username,
    submit: t.turnOn,
    onSubmit: async () => {
      const enrollment = await api.beginSecondFactor(password.input.value);
      place.replaceChildren(...scan(enrollment, place, again));
      place.querySelector('input').focus();
    },
  });
  place.append(el('p', {}, t.twoStepIsOff), begin);
  return [place];
}

function scan({ secret, address, qr_size: size, qr_path: path }, place, again) {
  const code = codeField(t.codeOfApp);
  const confirm = form({
    fields: [code],
    submit: t.turnOn,
    onSubmit: async () => {
      const { recovery_codes: codes } = await api.confirmSecondFactor(code.input.value);
      place.replaceChildren(...keep(codes, again));
      place.querySelector('h4').focus();
    },
  });
  // Four letters of rest around it, as the standard wants it.
  const picture = drawn('qr', `-4 -4 ${size + 8} ${size + 8}`, path, t.qrCode);
  return [
    el('p', {}, t.scanThis),
    picture,
    el('p', { class: 'muted' }, t.orType),
    el('p', {}, el('a', { class: 'secret', href: address }, secret.match(/.{1,4}/g).join(' '))),
    confirm,
  ];
}

function keep(codes, again) {
  const copied = el('span', { class: 'done', role: 'status' });
  const copy = async () => {
    await navigator.clipboard.writeText(codes.join('\n'));
    copied.textContent = t.copied;
  };
  return [
    el('h4', { tabindex: '-1' }, t.twoStepIsOn),
    el('p', {}, t.keepCodes),
    el('ul', { class: 'codes' }, ...codes.map((code) => el('li', {}, code))),
    el('div', { class: 'buttons' }, copied, navigator.clipboard && el('button', { type: 'button', class: 'plain', onclick: copy }, t.copyCodes), el('button', { type: 'button', class: 'primary', onclick: again }, t.codesKept)),
  ];
}

function isOn({ recovery_codes: left }, again, username) {
  const password = passwordField();
  const code = codeField(t.codeOrRecovery);
  const off = form({
    fields: [password, code],
    username,
    submit: t.turnOff,
    danger: true,
    onSubmit: async () => {
      await api.removeSecondFactor(password.input.value, code.input.value);
      again();
    },
  });
  return [el('p', {}, t.twoStepIsOn, ' ', t.recoveryLeft(left)), off];
}
