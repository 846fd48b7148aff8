// The screen for signing in and for making an account.

import { explain } from './actions.js';
import { api } from './api.js';
import { byId } from './dom.js';
import { t } from './strings.js';

const form = byId('sign-in-form');
const error = byId('sign-in-error');
const nameField = byId('sign-in-name');
const passwordField = byId('sign-in-password');

let registering = false;

/** `onSignedIn(user)` is called when the cookie is there. */
export function setUpSignIn(onSignedIn) {
  byId('sign-in-switch').addEventListener('click', () => setMode(!registering, true));
  byId('sign-in-show').addEventListener('change', (event) => {
    passwordField.type = event.target.checked ? 'text' : 'password';
  });
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    const username = nameField.value.trim();
    const password = passwordField.value;
    if (!username || !password) {
      complain(t.fillIn, username ? passwordField : nameField);
      return;
    }
    busy(true);
    try {
      if (registering) await api.register(username, password);
      await api.login(username, password);
      const user = await api.me();
      form.reset();
      passwordField.type = 'password';
      onSignedIn(user);
    } catch (problem) {
      const field = problem.fields?.some(({ field: name }) => name === 'password') ? passwordField : nameField;
      complain(explain(problem), field);
    } finally {
      busy(false);
    }
  });
  setMode(false, false);
}

/** Shows the screen, with a sentence about why one is here again. */
export function showSignIn(reason) {
  byId('sign-in').hidden = false;
  if (reason) complain(reason, nameField);
  else error.hidden = true;
  nameField.focus();
}

function setMode(register, focus) {
  registering = register;
  form.querySelector('[type=submit]').textContent = register ? t.register : t.signIn;
  byId('sign-in-switch').textContent = register ? t.signIn : t.register;
  byId('sign-in-switch').previousElementSibling.textContent = register ? t.haveAccount : t.newHere;
  byId('sign-in-hint').hidden = !register;
  passwordField.autocomplete = register ? 'new-password' : 'current-password';
  complain(null);
  if (focus) nameField.focus();
}

function complain(text, field) {
  error.textContent = text ?? '';
  error.hidden = !text;
  for (const input of [nameField, passwordField]) input.toggleAttribute('aria-invalid', false);
  if (text && field) {
    field.setAttribute('aria-invalid', 'true');
    field.focus();
  }
}

function busy(on) {
  for (const control of form.elements) control.disabled = on;
}
