// What the administration asks for, and what is announced, without elements.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { filterOf } from '../admin-audit.js';
import { words } from '../admin-strings.js';
import { delayAfterClose } from '../backoff.js';
import { initial, reduce } from '../store.js';

const fields = (values) => Object.fromEntries(['actor', 'user', 'action', 'from', 'until'].map((name) => [name, { value: values[name] ?? '' }]));

test('an empty filter asks for everything', () => {
  assert.deepEqual(filterOf(fields({})), { actor: null, user: null, action: null, from: null, until: null });
});

test('names are written with or without @, and days are whole', () => {
  const filter = filterOf(fields({ actor: ' @admin ', user: 'ann', action: 'block_user', from: '2026-11-30', until: '2026-11-30' }));
  assert.deepEqual([filter.actor, filter.user, filter.action], ['admin', 'ann', 'block_user']);
  assert.equal(new Date(filter.until) - new Date(filter.from), 86_400_000);
});

test('what is announced comes with ready and by a frame, and goes', () => {
  const me = { id: 1, username: 'ann', name: 'Ann', role: 'user' };
  const ready = (announcement) => ({ type: 'ready', user: me, epoch: 'e', heartbeat_ms: 1, chats: [], ...(announcement && { announcement }) });
  const after = (state, frame) => reduce(state, { type: 'frame', frame, now: 0 });
  const text = { id: 3, text: 'tonight', ends_at: null };
  let state = after(reduce(initial, { type: 'signed_in', user: me }), ready(text));
  assert.deepEqual(state.announcement, text);
  state = after(state, { type: 'announcement', announcement: null });
  assert.equal(state.announcement, null);
  state = after(state, { type: 'announcement', announcement: text });
  assert.equal(after(state, ready()).announcement, null, 'it was withdrawn while one was away');
});

test('who was disconnected does not come back by itself', () => {
  assert.equal(delayAfterClose('disconnected', 0, Math.random), null);
});

test('every act has a word, and every question names whom it is about', () => {
  for (const [kind, question] of Object.entries(words.sure)) {
    if (typeof question === 'function') assert.match(question('@ann', 'team'), /@ann/, kind);
  }
});

test('every act of the audit log has a word', () => {
  const source = readFileSync(new URL('../../src/audit.rs', import.meta.url), 'utf8');
  const [, variants] = /pub enum AuditAction \{(.*?)\n\}/s.exec(source);
  const names = [...variants.matchAll(/^ {4}([A-Z]\w+),$/gm)].map(([, name]) => name.replace(/(?!^)[A-Z]/g, '_$&').toLowerCase());
  assert.ok(names.includes('block_user') && names.length > 20, names.join());
  assert.deepEqual(Object.keys(words.actions).sort(), names.sort());
});
