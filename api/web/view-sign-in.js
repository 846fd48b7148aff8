// The screen for signing in and for making an account.

import { explain } from './actions.js';
import { api } from './api.js';
import { byId } from './dom.js';
import { languageChoice } from './language-choice.js';
import { t } from './strings.js';
import { showForgot } from './view-lost-password.js';
import { showSecondStep } from './view-second-step.js';

const form = byId('sign-in-form');
const error = byId('sign-in-error');
const nameField = byId('sign-in-name');
const passwordField = byId('sign-in-password');

let registering = false;

/** `onSignedIn(user)` is called when the cookie is there. */
export function setUpSignIn(onSignedIn) {
  const enter = async () => {
    const user = await api.me();
    form.reset();
    passwordField.type = 'password';
    onSignedIn(user);
  };
  byId('sign-in-switch').addEventListener('click', () => setMode(!registering, true));
  byId('sign-in-forgot').addEventListener('click', () => showForgot(() => showSignIn(null)));
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
      await enter();
    } catch (problem) {
      busy(false);
      if (problem.code === 'second_step_required') showSecondStep(problem.secondStep, enter, () => showSignIn(null));
      else refuse(problem);
    } finally {
      busy(false);
    }
  });
  byId('sign-in-language').append(languageChoice({ 'aria-label': t.language }));
  setMode(false, false);
}

/** Shows the screen, with a sentence about why one is here again, or about what is done. */
export function showSignIn(reason, done = null) {
  byId('lost-password').hidden = true;
  byId('sign-in-card').hidden = false;
  setMode(false, false);
  complain(reason);
  byId('sign-in-note').textContent = done ?? '';
  byId('sign-in-note').hidden = !done;
  nameField.focus();
}

function setMode(register, focus) {
  registering = register;
  form.querySelector('[type=submit]').textContent = register ? t.register : t.signIn;
  byId('sign-in-switch').textContent = register ? t.signIn : t.register;
  byId('sign-in-switch').previousElementSibling.textContent = register ? t.haveAccount : t.newHere;
  form.querySelector('label').textContent = register ? t.username : t.nameOrEmail;
  byId('sign-in-forgot').hidden = register;
  byId('sign-in-note').hidden = true;
  byId('sign-in-hint').hidden = !register;
  byId('sign-in-password-hint').hidden = !register;
  passwordField.autocomplete = register ? 'new-password' : 'current-password';
  complain(null);
  if (focus) nameField.focus();
}

/** Says what was wrong beside the fields that it is about; the focus is where it can be put right. */
function refuse(problem) {
  const ofPassword = problem.fields?.some(({ field }) => field === 'password');
  if (problem.code === 'invalid_credentials') complain(explain(problem), passwordField, nameField);
  else if (problem.fields?.length || problem.status === 400) complain(explain(problem), ofPassword ? passwordField : nameField);
  else complain(explain(problem), null);
}

/** A sentence about these fields, the first of which is to be put right; without any it is about none. */
function complain(text, ...fields) {
  error.textContent = text ?? '';
  error.hidden = !text;
  for (const input of [nameField, passwordField]) input.removeAttribute('aria-invalid');
  if (!text) return;
  const wrong = fields.filter(Boolean);
  for (const field of wrong) field.setAttribute('aria-invalid', 'true');
  (wrong[0] ?? passwordField).focus();
  wrong[0]?.select();
}

function busy(on) {
  for (const control of form.elements) control.disabled = on;
}
