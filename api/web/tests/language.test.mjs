// The page in several languages: which one is chosen, and that none lacks a word.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { words as english } from '../admin-strings.js';
import { FIRST, LANGUAGES, inLanguage, languageOf, localeOf } from '../language.js';
import { t } from '../strings.js';

const PARTS = { strings: t, 'admin-strings': english };
const OTHERS = Object.keys(LANGUAGES).filter((language) => language !== FIRST);

/** What is the same in English: words, and the names of functions. */
const SAME = {
  de: [
    ...['Switchboard', 'Chat', 'Chats', 'Name', 'Online', 'Offline', 'Code', 'Text', 'Person', 'Version', 'Api', 'Gateway', 'Administration', '–'],
    ...['onlineCount', 'said', 'unreadCount', 'chatNumber', 'mib'],
  ],
};

/** Every word as `[path, value]`, group by group. */
function leaves(words, path = '') {
  return Object.entries(words).flatMap(([key, value]) => (typeof value === 'object' ? leaves(value, `${path}${key}.`) : [[`${path}${key}`, value]]));
}

const isWhole = (text) => typeof text === 'string' && text.trim() !== '' && !/undefined|NaN|\[object/.test(text);

/** What a word says of one and of several, of people and of names; null where it is asked for something else. */
function said(word) {
  if (typeof word === 'string') return [word];
  return [[1, 1], [2, 2], [-1, -1], ['ann', 'bob'], ['ann', null], [['ann', 'bob']], [['ann']]].map((given) => {
    try {
      const text = [word(...given)].flat().join(' ');
      return isWhole(text) ? text : null;
    } catch {
      return null;
    }
  });
}

for (const language of OTHERS) {
  for (const [part, first] of Object.entries(PARTS)) {
    const { words } = await import(`../${part}-${language}.js`);

    test(`${part}-${language}.js has the words of ${part}.js and no others`, () => {
      const shape = (of) => leaves(of).map(([path, value]) => `${path} ${typeof value} ${value.length * (typeof value === 'function')}`);
      assert.deepEqual(shape(words).sort(), shape(first).sort());
    });

    test(`${part}-${language}.js is translated`, () => {
      const theirs = Object.fromEntries(leaves(words));
      for (const [path, word] of leaves(first)) {
        const [one, other] = [said(word), said(theirs[path])];
        assert.ok(other.some(isWhole), `${path} says nothing`);
        assert.deepEqual(one.map((text) => text === null), other.map((text) => text === null), path);
        const same = one.filter((text, at) => text !== null && text === other[at]);
        const isMeant = SAME[language].includes(path.split('.').at(-1)) || same.every((text) => SAME[language].includes(text));
        assert.ok(isMeant, `${path} is still English: ${same}`);
      }
    });
  }
}

test('one of a thing and several are told apart', async () => {
  const { words } = await import('../strings-de.js');
  assert.deepEqual([1, 2, 0].map((count) => t.newCount(count)), ['1 new message', '2 new messages', '0 new messages']);
  assert.deepEqual([1, 2, 0].map(words.newCount), ['1 neue Nachricht', '2 neue Nachrichten', '0 neue Nachrichten']);
  assert.deepEqual([1, 50].map(words.members), ['1 Mitglied', '50 Mitglieder']);
  assert.deepEqual([-1, -2, 3].map(t.charactersLeft), ['1 character too many', '2 characters too many', '3 left']);
});

test('the language is the chosen one, else the first of the browser that the page speaks', () => {
  assert.equal(languageOf('de', ['en-US']), 'de');
  assert.equal(languageOf('system', ['fr-CH', 'de-CH', 'en']), 'de');
  assert.equal(languageOf('system', ['DE-at']), 'de');
  assert.equal(languageOf('system', ['ja']), 'en');
  assert.equal(languageOf('system', []), 'en');
  assert.equal(languageOf('toString', ['constructor']), 'en');
});

test('dates and numbers are written as where the reader lives', () => {
  assert.equal(localeOf('de', ['de-AT', 'en']), 'de-AT');
  assert.equal(localeOf('de', ['de']), 'de');
  assert.equal(localeOf('en', ['en-GB', 'de-DE']), 'en-GB');
  assert.equal(localeOf('en', ['de-AT', 'de', 'en-US', 'en']), 'en-AT');
  assert.equal(localeOf('en', ['de']), 'en-DE');
  assert.equal(localeOf('de', []), 'de');
  assert.equal(localeOf('de', ['tlh']), 'de');
  assert.equal(localeOf('de', ['not a language']), 'de');
  const time = new Intl.DateTimeFormat(localeOf('en', ['de-AT']), { timeStyle: 'short', timeZone: 'UTC' });
  assert.equal(time.format(new Date('2026-11-30T15:05:00Z')), '15:05');
});

test('what a language lacks is English, and so is everything when its file is not to be had', async () => {
  const below = { a: 'one', group: { b: 'two', c: 'three' } };
  globalThis.document = { documentElement: { lang: 'de' } };
  try {
    const words = await inLanguage(below, async () => ({ words: { group: { b: 'zwei' } } }));
    assert.deepEqual(words, { a: 'one', group: { b: 'zwei', c: 'three' } });
    assert.equal(await inLanguage(below, async () => Promise.reject(new Error('404'))), below);
  } finally {
    delete globalThis.document;
  }
});

/** What programs get wrong and no person can: the page never asks for it. */
const PROGRAMS = [
  ...['already_greeted', 'bad_request', 'client_message_id_reused', 'hello_required', 'invalid_client_message_id', 'invalid_frame', 'invalid_id'],
  ...['malformed_json', 'text_only', 'unknown_type', 'room_mismatch', 'identity_mismatch', 'bearer_only', 'method_not_allowed'],
  ...['unsupported_media_type', 'invalid_refresh_token', 'invalid_token', 'token_expired', 'other_session', 'demo_refused', 'guests_off'],
  // Asked for by other clients only, or answered by the page itself.
  ...['cannot_ban_yourself', 'too_many_bans', 'not_a_room', 'other_user', 'recipient_is_yourself', 'private_chat_exists', 'second_step_required'],
  ...['avatar_not_found', 'invalid_username', 'validation_failed', 'wrong_origin'],
];

test('every refusal that a person may meet has words', () => {
  const table = readFileSync(new URL('../../../shared/protocol/src/code.rs', import.meta.url), 'utf8');
  const codes = [...table.matchAll(/^ {4}(\w+) = \d{3}, \w+,/gm)].map(([, name]) => name.replace(/(?!^)[A-Z]/g, '_$&').toLowerCase());
  assert.ok(codes.length > 70, `only ${codes.length} codes were read`);
  assert.deepEqual(codes.filter((code) => !(code in t.problem) && !PROGRAMS.includes(code)), []);
  assert.deepEqual(PROGRAMS.filter((code) => !codes.includes(code)), []);
});
