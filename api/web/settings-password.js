// Settings: another password, which signs out every other device.

import { api } from './api.js';
import { el } from './dom.js';
import { field, form } from './form.js';
import { t } from './strings.js';

export const passwordSection = { id: 'password', icon: 'key', title: t.password, draw };

function draw({ store }) {
  const current = field({ id: 'settings-current', label: t.currentPassword, type: 'password', autocomplete: 'current-password', required: true, refusals: ['wrong_password'] });
  const next = field({ id: 'settings-new', label: t.newPassword, hint: t.passwordRule, type: 'password', autocomplete: 'new-password', required: true, refusals: ['new_password'] });
  const change = form({
    username: store.state.me.username,
    fields: [current, next],
    submit: t.changePassword,
    onSubmit: async () => {
      await api.changePassword(current.input.value, next.input.value);
      change.reset();
      return t.passwordChanged;
    },
  });
  return [el('p', { class: 'muted' }, t.passwordText), change];
}
