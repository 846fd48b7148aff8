// The dialog for starting a chat: private with one person, a group of several, or a public room.

import { explain } from './actions.js';
import { byId, el, icon, iconButton } from './dom.js';
import { nameOf } from './names.js';
import { peopleSearch } from './people-search.js';
import { t } from './strings.js';

const KINDS = { private: t.privateChat, group: t.group, room: t.room };

/** Opens it; `onCreated(chatId)` when there is a chat to show. */
export function openNew(store, actions, onCreated) {
  const dialog = byId('new-dialog');
  const chosen = new Map();
  let kind = 'private';

  const error = el('p', { class: 'error', role: 'alert' });
  const nameLabel = el('label', { for: 'new-name' });
  const name = el('input', { id: 'new-name', autocomplete: 'off', maxlength: '100' });
  const nameBlock = el('div', { class: 'field' }, nameLabel, name);
  const roomText = el('p', { class: 'hint' }, t.roomText);
  const chips = el('div', { class: 'chips' });
  const create = el('button', { type: 'submit', class: 'primary wide' }, t.create);
  const search = peopleSearch({
    id: 'new-people',
    title: t.findPeople,
    label: (user) => (kind === 'private' ? t.chatWith(nameOf(user)) : t.addPerson(nameOf(user))),
    isShown: (user) => user.id !== store.state.me.id && !chosen.has(user.id),
    onChoose: choose,
  });

  const segments = el(
    'fieldset',
    { class: 'segments' },
    el('legend', { class: 'visually-hidden' }, t.kindOfChat),
    ...Object.entries(KINDS).map(([value, text]) =>
      el('label', {}, el('input', { type: 'radio', name: 'kind', value, checked: value === kind, onchange: () => setKind(value) }), text),
    ),
  );

  function setKind(value) {
    kind = value;
    nameLabel.textContent = kind === 'room' ? t.roomName : t.groupName;
    nameBlock.hidden = kind === 'private';
    create.hidden = kind === 'private';
    chips.hidden = kind !== 'group';
    search.element.hidden = kind === 'room';
    roomText.hidden = kind !== 'room';
    error.textContent = '';
  }

  function choose(user) {
    if (kind === 'private') {
      submit([user.id], user);
      return;
    }
    chosen.set(user.id, user);
    drawChips();
    search.clear();
  }

  function drawChips() {
    const chip = (user) =>
      el(
        'button',
        {
          type: 'button',
          class: 'chip',
          'aria-label': t.removePerson(nameOf(user)),
          onclick: () => {
            chosen.delete(user.id);
            drawChips();
          },
        },
        nameOf(user),
        icon('close'),
      );
    chips.replaceChildren(...[...chosen.values()].map(chip));
  }

  async function submit(memberIds) {
    error.textContent = '';
    create.disabled = true;
    try {
      const id = await actions.create(kind, kind === 'private' ? undefined : name.value.trim(), memberIds);
      dialog.close();
      onCreated(id);
    } catch (problem) {
      error.textContent = explain(problem);
    } finally {
      create.disabled = false;
    }
  }

  const form = el('form', { class: 'content' }, segments, nameBlock, roomText, chips, search.element, error, create);
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    if (kind !== 'private') submit(kind === 'group' ? [...chosen.keys()] : []);
  });
  dialog.replaceChildren(
    el('header', {}, el('h2', { id: 'new-title' }, t.newChat), iconButton('close', t.close, () => dialog.close())),
    form,
  );
  setKind(kind);
  dialog.showModal();
  // What one types goes into the field, and not to the button that closes.
  search.focus();
}
