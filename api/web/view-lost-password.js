// The cards in place of signing in: for a password that was lost they ask for a link, or, where the link has led, for
// the new password.

import { api } from './api.js';
import { byId, el } from './dom.js';
import { field, form } from './form.js';
import { t } from './strings.js';

/** Asks where the link shall go. `onBack` leads to signing in. */
export function showForgot(onBack) {
  const email = field({ id: 'forgot-email', label: t.email, type: 'email', autocomplete: 'email', required: true, refusals: ['email'] });
  const ask = form({
    fields: [email],
    submit: t.sendLink,
    onSubmit: async () => {
      await api.forgotPassword(email.input.value.trim());
      return t.linkSent;
    },
  });
  showCard(t.forgotTitle, t.forgotText, ask, onBack);
  email.input.focus();
}

/** Asks for the new password. `onDone(sentence)` leads to signing in. */
export function showNewPassword(token, onDone) {
  const password = field({ id: 'new-password', label: t.newPassword, hint: t.passwordRule, type: 'password', autocomplete: 'new-password', required: true, refusals: ['new_password'] });
  const choose = form({
    fields: [password],
    submit: t.changePassword,
    onSubmit: async () => {
      await api.resetPassword(token, password.input.value);
      onDone(t.passwordReset);
    },
  });
  showCard(t.newPasswordTitle, t.newPasswordText, choose, () => onDone(null));
  password.input.focus();
}

/** Shows another card in place of the one for signing in. */
export function showCard(title, text, content, onBack) {
  const back = el('button', { type: 'button', class: 'link', onclick: onBack }, t.backToSignIn);
  byId('lost-password').replaceChildren(el('h1', {}, title), el('p', { class: 'muted' }, text), content, el('p', { class: 'switch' }, back));
  byId('lost-password').hidden = false;
  byId('sign-in-card').hidden = true;
}
