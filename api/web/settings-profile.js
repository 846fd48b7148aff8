// Settings: the name and the picture that others see.

import { api } from './api.js';
import { el } from './dom.js';
import { field, form } from './form.js';
import { pictureField } from './settings-picture.js';
import { t } from './strings.js';

export const profileSection = { id: 'profile', icon: 'person', title: t.profile, draw };

function draw({ store }) {
  const { me } = store.state;
  const name = field({ id: 'settings-name', label: t.displayName, hint: t.displayNameHint, value: me.name, autocomplete: 'name', maxlength: '64', dir: 'auto', required: true, refusals: ['name'] });
  const save = form({
    fields: [name],
    submit: t.save,
    onSubmit: async () => {
      const { name: kept } = await api.changeProfile({ name: name.input.value.trim() });
      store.dispatch({ type: 'me', changes: { name: kept } });
      return t.saved;
    },
  });
  return [pictureField(store), save, el('p', { class: 'hint' }, t.usernameStays(me.username))];
}
