// The card for the second step of signing in: a code from the app, or a recovery code.

import { api } from './api.js';
import { field, form } from './form.js';
import { t } from './strings.js';
import { showCard } from './view-lost-password.js';

/** Asks for the code; `token` is from the first step. `onDone()` when the cookie is there. */
export function showSecondStep(token, onDone, onBack) {
  const code = field({ id: 'second-step-code', label: t.code, hint: t.codeOrRecovery, autocomplete: 'one-time-code', autocapitalize: 'none', spellcheck: 'false', required: true, refusals: ['wrong_code', 'code'] });
  const step = form({
    fields: [code],
    submit: t.signIn,
    onSubmit: async () => {
      await api.secondStep(token, code.input.value);
      await onDone();
    },
  });
  showCard(t.secondStepTitle, t.secondStepText, step, onBack);
  code.input.focus();
}
