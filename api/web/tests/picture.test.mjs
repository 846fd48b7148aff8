// Which file goes as it is, which of several is a picture, and whose face is new.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isUploaded } from '../dom.js';
import { goesAsItIs, pictureIn } from '../picture.js';
import { afterEvent, summaryOf } from '../summary.js';

const limits = { max_bytes: 5 << 20, max_pixels: 12_000_000 };

test('a small file of a known kind goes as it is', () => {
  const file = (type, size) => ({ type, size });
  assert.ok(goesAsItIs(file('image/png', 1000), 640 * 480, limits));
  assert.ok(!goesAsItIs(file('image/png', 4 << 20), 640 * 480, limits));
  assert.ok(!goesAsItIs(file('image/png', 1000), 8000 * 6000, limits));
  assert.ok(!goesAsItIs(file('image/png', 1000), 640 * 480, { ...limits, max_bytes: 999 }));
  for (const type of ['image/svg+xml', 'image/heic', '']) assert.ok(!goesAsItIs(file(type, 1000), 640 * 480, limits), type);
});

test('of a drop the first picture is taken, and a text is none', () => {
  const [text, picture] = [{ type: 'text/plain' }, { type: 'image/webp' }];
  assert.equal(pictureIn([text, picture]), picture);
  assert.equal(pictureIn([text]), undefined);
  assert.equal(pictureIn(undefined), undefined);
});

test('only pictures of this server are shown', () => {
  assert.ok(isUploaded('/avatars/7-mEo0Vx2bQ1aZ'));
  for (const other of ['https://example.com/a.png', '//example.com/avatars/7', '', null, undefined]) assert.ok(!isUploaded(other), other);
});

test('the newest message tells what its writer looks like', () => {
  const settings = {};
  const peer = { id: 2, username: 'bob', name: 'Bob', avatar: '/avatars/2-old' };
  const chat = { ...summaryOf({ peer, member_count: 2 }), settings, counted: 0 };
  const by = (avatar) => ({ type: 'message', id: 5, seq: 5, sender: { id: 2, username: 'bob', avatar }, text: 'hi', timestamp: 't' });
  assert.equal(afterEvent(chat, by('/avatars/2-new'), 1).peer.avatar, '/avatars/2-new');
  assert.equal(afterEvent(chat, by(undefined), 1).peer.avatar, undefined);
});
