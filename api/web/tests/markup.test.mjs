// What people type, and what becomes of it. The cases of emphasis are those of CommonMark's rules.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { blocks, inline, plainText } from '../markup.js';

/** Parts in a notation with one spelling. */
function spelled(parts) {
  return parts
    .map((part) => {
      if (typeof part === 'string') return part;
      if (part.kind === 'code') return `<code ${part.text}>`;
      if (part.kind === 'link') return `<link ${part.url}>`;
      return `<${part.kind} ${spelled(part.parts)}>`;
    })
    .join('');
}

const formats = (text) => spelled(inline(text));

test('emphasis follows the rules of CommonMark', () => {
  const cases = {
    'plain': 'plain',
    '*one* and _two_': '<emphasis one> and <emphasis two>',
    '**strong** and __strong__': '<strong strong> and <strong strong>',
    '***both***': '<emphasis <strong both>>',
    '**strong *and* more**': '<strong strong <emphasis and> more>',
    '*a **b** c*': '<emphasis a <strong b> c>',
    '~~gone~~ ~one~ ~~~three~~~': '<strike gone> ~one~ ~~~three~~~',
    'a * b * c': 'a * b * c',
    '2*3*4': '2<emphasis 3>4',
    'snake_case_name and __init__': 'snake_case_name and <strong init>',
    '*not closed': '*not closed',
    '**half closed*': '*<emphasis half closed>',
    '*foo**bar*': '<emphasis foo**bar>',
    '**foo*bar**baz*': '<strong foo*bar>baz*',
    '*foo**bar**baz*': '<emphasis foo<strong bar>baz>',
    '"*quoted*"': '"<emphasis quoted>"',
    '*(*foo*)*': '<emphasis (<emphasis foo>)>',
    '**Привет**, мир': '<strong Привет>, мир',
    '*a*_b_': '<emphasis a><emphasis b>',
    '\\*plain\\*': '*plain*',
    'a\\b \\q': 'a\\b \\q',
  };
  for (const [text, expected] of Object.entries(cases)) assert.equal(formats(text), expected, text);
});

test('nothing is formatted in code and addresses', () => {
  const cases = {
    '`*code*` *text*': '<code *code*> <emphasis text>',
    '`` a`b ``': '<code a`b>',
    '`open': '`open',
    '``open`': '``open`',
    '*a `*` b*': '<emphasis a <code *> b>',
    'https://example.com/_a_*b*c': '<link https://example.com/_a_*b*c>',
    '*see https://example.com/x*': '<emphasis see <link https://example.com/x>>',
  };
  for (const [text, expected] of Object.entries(cases)) assert.equal(formats(text), expected, text);
});

/** Blocks in short. */
function short(list) {
  return list.map((block) => {
    if (block.kind === 'paragraph') return spelled(block.parts);
    if (block.kind === 'code') return { code: block.text, language: block.language };
    if (block.kind === 'quote') return { quote: short(block.blocks) };
    return { list: block.items.map(short), start: block.start };
  });
}

test('blocks are found line by line', () => {
  const cases = [
    ['one\ntwo\n\nthree', ['one\ntwo', 'three']],
    ['```rust\nfn a() {}\n\n  *x*\n```\nafter', [{ code: 'fn a() {}\n\n  *x*', language: 'rust' }, 'after']],
    ['```\nnever closed', [{ code: 'never closed', language: '' }]],
    ['~~~\n```\n~~~', [{ code: '```', language: '' }]],
    ['``` not `a` fence', ['``` not <code a> fence']],
    ['> said\n> more\nanswer', [{ quote: ['said\nmore'] }, 'answer']],
    ['> > deep', [{ quote: [{ quote: ['deep'] }] }]],
    ['- a\n- b\n  more\n* c', [{ list: [['a'], ['b\nmore']], start: null }, { list: [['c']], start: null }]],
    ['3. c\n4. d', [{ list: [['c'], ['d']], start: 3 }]],
    ['- a\n  - b\n\n  c', [{ list: [['a', { list: [['b']], start: null }, 'c']], start: null }]],
    ['in the year\n1999. That was', ['in the year\n1999. That was']],
    ['-5 degrees', ['-5 degrees']],
    ['# not a heading', ['# not a heading']],
    ['', []],
  ];
  for (const [text, expected] of cases) assert.deepEqual(short(blocks(text)), expected, text);
});

test('the text alone is left for previews', () => {
  assert.equal(plainText('**Hi** `x`\n> quoted\n- a\n- b\n```\ncode\n```'), 'Hi x quoted a b code');
});

/** Numbers that are the same at each run (xorshift). */
function random(seed) {
  let state = seed;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

test('no text loses a letter, whatever its signs', () => {
  const letters = ['a', 'b', ' ', '*', '**', '_', '~~', '`', '``', '\n', '> ', '- ', '1. ', '```', '(', '.', '😀', 'é'];
  const kept = (text) => text.replace(/[^abé😀]/gu, '');
  for (let seed = 1; seed <= 3_000; seed += 1) {
    const next = random(seed * 7_919);
    const text = Array.from({ length: next(40) }, () => letters[next(letters.length)]).join('');
    const language = (list) => list.flatMap((block) => (block.kind === 'code' ? [block.language] : language(block.blocks ?? block.items?.flat() ?? []))).join('');
    const [lost, named] = [kept(text).length - kept(plainText(text)).length, kept(language(blocks(text))).length];
    // Only the words behind a fence are not shown.
    assert.ok(lost >= named && (lost === 0 || /```|~~~/.test(text)), JSON.stringify(text));
  }
});

test('the longest texts of signs are read at once', { timeout: 10_000 }, () => {
  const signs = ['*', '_', '**a ', '*a_', '`', '``a`', '> ', '- ', '~~a', '[', '\\', '*_~~`', '>', '1. '];
  const worst = signs.map((sign) => sign.repeat(4_000).slice(0, 4_000));
  worst.push(Array.from({ length: 88 }, (_, count) => '`'.repeat(count + 1)).join(' '), '- '.repeat(10) + '\n'.repeat(3_900));
  for (const text of worst) assert.ok(Array.isArray(blocks(text)), text.slice(0, 10));
});
