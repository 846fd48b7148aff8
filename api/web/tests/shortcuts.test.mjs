// Keys and where they lead.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { neighbor, wish } from '../shortcuts.js';
import { matching } from '../view-go-to.js';

const key = (name, more = {}) => ({ key: name, altKey: false, shiftKey: false, ctrlKey: false, metaKey: false, ...more });

test('keys mean something, and nothing while one types', () => {
  assert.equal(wish(key('k', { ctrlKey: true }), true), 'goTo');
  assert.equal(wish(key('K', { metaKey: true }), false), 'goTo');
  assert.equal(wish(key('k', { ctrlKey: true, shiftKey: true }), false), null, 'that is the browser’s');
  assert.deepEqual(wish(key('ArrowDown', { altKey: true }), true), { step: 1, unread: false });
  assert.deepEqual(wish(key('ArrowUp', { altKey: true, shiftKey: true }), false), { step: -1, unread: true });
  assert.equal(wish(key('?', { shiftKey: true }), false), 'help');
  assert.equal(wish(key('?', { shiftKey: true }), true), null, 'that is a question mark');
  assert.equal(wish(key('Escape'), false), 'write');
  assert.equal(wish(key('Escape'), true), null);
  assert.equal(wish(key('a'), false), null);
});

test('the next chat is the next one in the list, round its end', () => {
  const chats = [1, 2, 3].map((id) => ({ id, unread: id === 3 ? 2 : 0 }));
  const next = (open, step, unread = false) => neighbor(chats, open, { step, unread });
  assert.deepEqual([next(1, 1), next(3, 1), next(1, -1), next(3, -1)], [2, 1, 3, 2]);
  assert.deepEqual([next(null, 1), next(null, -1)], [1, 3]);
  assert.deepEqual([next(1, 1, true), next(1, -1, true), next(3, 1, true)], [3, 3, null]);
  assert.equal(neighbor([], null, { step: 1, unread: false }), null);
});

test('beginnings come before other parts of names, and few of many', () => {
  const named = (...names) => ({ names });
  const found = (text, ...targets) => matching(text, targets).map((target) => target.names[0]);
  assert.deepEqual(found('AN', named('Roman'), named('Anna'), named('Bob', 'bob'), named('Боб', 'andrei')), ['Anna', 'Боб', 'Roman']);
  assert.deepEqual(found('боб', named('Анна'), named('БОБ')), ['БОБ']);
  assert.equal(found('', ...Array.from({ length: 30 }, (_, number) => named(`chat ${number}`))).length, 8);
});
