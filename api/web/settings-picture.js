// Settings: one's picture. It is chosen, dropped or pasted, looked at, and only then uploaded.

import { ApiError, api } from './api.js';
import { avatar, el, isUploaded } from './dom.js';
import { fetched } from './form.js';
import { nameOf } from './names.js';
import { TYPES, pictureIn, prepare } from './picture.js';
import { inWords } from './problems.js';
import { t } from './strings.js';

/** Its elements. Without a store for pictures there is nothing to choose, and nothing to say of it. */
export function pictureField(store) {
  return fetched(() => api.pictureLimits().catch(orNone), (limits) => (limits ? parts(store, limits) : []));
}

function orNone(problem) {
  if (problem.code === 'avatars_off') return null;
  throw problem;
}

function parts(store, limits) {
  const face = el('div', { class: 'picture-face' });
  const buttons = el('div', { class: 'buttons' });
  const error = el('p', { class: 'error', role: 'alert', hidden: true });
  const done = el('p', { class: 'picture-done', role: 'status' });
  const input = el('input', { type: 'file', id: 'settings-picture', accept: TYPES.join(','), hidden: true, onchange: () => look(input.files) });
  const choose = button(t.choosePicture, 'plain', () => input.click());
  const place = el(
    'section',
    { class: 'picture', 'aria-label': t.picture },
    face,
    el('div', { class: 'picture-lines' }, el('p', { class: 'label' }, t.picture), buttons, el('p', { class: 'hint' }, t.pictureHint), error, done, input),
  );

  /** As it is now. */
  function rest() {
    const { me } = store.state;
    const shown = avatar(nameOf(me), { picture: me.avatar });
    shown.classList.add('large');
    face.replaceChildren(shown);
    buttons.replaceChildren(choose, ...(isUploaded(me.avatar) ? [button(t.removePicture, 'plain', () => carryOut(removeIt))] : []));
    input.value = '';
  }

  async function look(files) {
    clear();
    const file = pictureIn(files);
    const prepared = file && (await prepare(file, limits));
    if (!prepared) {
      if (files.length > 0) complain(t.problem.unreadable_picture);
      return;
    }
    prepared.canvas.setAttribute('role', 'img');
    prepared.canvas.setAttribute('aria-label', t.picturePreview);
    face.replaceChildren(prepared.canvas);
    const use = button(t.usePicture, 'primary', () => carryOut(() => upload(prepared.file)));
    const cancel = button(t.cancel, 'plain', () => {
      clear();
      rest();
      choose.focus();
    });
    buttons.replaceChildren(use, cancel);
    use.focus();
  }

  async function upload(file) {
    const { avatar: picture } = await api.changePicture(file);
    store.dispatch({ type: 'me', changes: { avatar: picture } });
    return t.pictureChanged;
  }

  async function removeIt() {
    await api.removePicture();
    store.dispatch({ type: 'me', changes: { avatar: undefined } });
    return t.pictureRemoved;
  }

  /** One thing at a time. What was refused can be tried again. */
  async function carryOut(work) {
    if (place.hasAttribute('aria-busy')) return;
    clear();
    place.setAttribute('aria-busy', 'true');
    done.textContent = t.working;
    try {
      const words = await work();
      rest();
      done.textContent = words;
      choose.focus();
    } catch (problem) {
      if (!(problem instanceof ApiError)) throw problem;
      complain(inWords(problem));
    } finally {
      place.removeAttribute('aria-busy');
    }
  }

  function complain(words) {
    done.textContent = '';
    error.textContent = words;
    error.hidden = false;
  }

  function clear() {
    error.hidden = true;
    done.textContent = '';
  }

  rest();
  takeDrops(place, look);
  takePastes(place, look);
  return [place];
}

function button(text, className, onclick) {
  return el('button', { type: 'button', class: className, onclick }, text);
}

function takeDrops(place, look) {
  const over = (event) => {
    event.preventDefault();
    event.stopPropagation();
    place.classList.add('drop');
  };
  place.addEventListener('dragenter', over);
  place.addEventListener('dragover', over);
  place.addEventListener('dragleave', (event) => {
    if (!place.contains(event.relatedTarget)) place.classList.remove('drop');
  });
  place.addEventListener('drop', (event) => {
    event.preventDefault();
    // A message takes no files: the rest of the page would say so.
    event.stopPropagation();
    place.classList.remove('drop');
    look(event.dataTransfer.files);
  });
}

/** Pasting goes wherever the focus is: all of the page is listened to, before its parts, for as long as the place is in it. */
function takePastes(place, look) {
  const onPaste = (event) => {
    if (!place.isConnected) {
      document.removeEventListener('paste', onPaste, true);
      return;
    }
    const { files } = event.clipboardData;
    if (!place.closest('dialog[open]') || !pictureIn(files)) return;
    event.preventDefault();
    event.stopPropagation();
    look(files);
  };
  document.addEventListener('paste', onPaste, true);
}
