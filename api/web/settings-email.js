// Settings: the e-mail address, which counts once the link that was mailed to it is opened.

import { api } from './api.js';
import { el } from './dom.js';
import { fetched, field, form } from './form.js';
import { t } from './strings.js';

export const emailSection = { id: 'email', icon: 'mail', title: t.email, draw };

function draw({ store }) {
  return [el('p', { class: 'muted' }, t.emailText), fetched(api.email, (state, again) => forms(state, again, store.state.me.username))];
}

function forms({ email, verified }, again, username) {
  const address = field({ id: 'settings-email', label: t.newEmail, type: 'email', autocomplete: 'email', value: verified ? '' : email, required: true, refusals: ['email', 'email_taken'] });
  const password = field({ id: 'settings-email-password', label: t.yourPassword, type: 'password', autocomplete: 'current-password', required: true, refusals: ['wrong_password'] });
  const change = form({
    fields: [address, password],
    submit: t.verifyThis,
    username,
    onSubmit: async () => {
      const wanted = address.input.value.trim();
      await api.changeEmail(wanted, password.input.value);
      password.input.value = '';
      return t.emailSent(wanted);
    },
  });
  const remove = el('button', { type: 'button', class: 'link', onclick: () => drop(password, again) }, t.removeEmail);
  return [el('p', { id: 'settings-email-is' }, email ? t.emailIs(email, verified) : t.noEmail), change, email && remove].filter(Boolean);
}

/** The password is asked for in the same field. */
async function drop(password, again) {
  password.complain(null);
  if (!password.input.value) {
    password.complain(t.fillThis);
    password.input.focus();
    return;
  }
  await password.attempt(() => api.changeEmail('', password.input.value), again);
}
