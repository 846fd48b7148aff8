// Settings: deleting one's account, after saying what becomes of everything.

import { api } from './api.js';
import { el } from './dom.js';
import { field, form } from './form.js';
import { t } from './strings.js';
import { confirm } from './view-confirm.js';

export const deleteSection = { id: 'delete', icon: 'delete', title: t.deleteAccount, draw };

function draw({ store, onDeleted }) {
  const password = field({ id: 'settings-delete-password', label: t.yourPassword, type: 'password', autocomplete: 'current-password', required: true, refusals: ['wrong_password'] });
  const remove = form({
    fields: [password],
    submit: t.deleteAccount,
    danger: true,
    username: store.state.me.username,
    onSubmit: async () => {
      if (!(await confirm(t.sureDeleteAccount(store.state.me.username), t.deleteAccount))) return null;
      // Each request leaves some of the chats.
      while (!(await api.deleteAccount(password.input.value)).deleted);
      onDeleted();
      return null;
    },
  });
  return [el('ul', { class: 'facts' }, ...t.deleteFacts(store.state.me.username).map((fact) => el('li', {}, fact))), remove];
}
