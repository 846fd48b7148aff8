// Refusals in a person's words: no code and no field of the API among them.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inWords } from '../problems.js';

const refusal = (more) => ({ status: 422, code: 'validation_failed', fields: [], message: '', retryAfter: null, ...more });

test('a field of the API is never named', () => {
  for (const field of ['username', 'password', 'new_password', 'name', 'email', 'members[3].id']) {
    const said = inWords(refusal({ fields: [{ field, message: 'must not be empty' }], message: `${field}: must not be empty` }));
    assert.ok(!said.includes(`${field}:`) && !said.includes('_'), said);
  }
});

test('what people meet has words of its own', () => {
  assert.match(inWords(refusal({ status: 401, code: 'invalid_credentials', message: 'Invalid credentials' })), /do not belong together/);
  assert.match(inWords(refusal({ status: 429, code: 'rate_limited', retryAfter: 240 })), /in 4 minutes/);
  assert.match(inWords(refusal({ status: 429, code: 'rate_limited', retryAfter: 1 })), /in 1 second\./);
  assert.match(inWords(refusal({ status: 0, code: 'unreachable' })), /cannot be reached/);
  assert.equal(inWords(refusal({ status: 400, code: 'moon_is_full', message: 'The moon is full.' })), 'The moon is full.');
});
