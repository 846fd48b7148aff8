// The structure of a formatted text, for `view-markup.js` to draw: a subset of CommonMark, as people use it in
// chats. Pure. There are no headings, images, HTML, or links whose words differ from their address; each line
// break counts. Whatever is not formatting stays as it was typed. The time is linear in the text's length, but for
// the nesting of quotes and lists, which is bounded.
//
// A block is {kind: 'paragraph' | 'code' | 'quote' | 'list', …}; an inline part is a string, or
// {kind: 'strong' | 'emphasis' | 'strike' | 'code' | 'link', …}.

import { pieces } from './text.js';

/** Quotes and lists within each other; deeper ones are plain text. */
const MAX_DEPTH = 5;

const FENCE = /^ {0,3}(`{3,}|~{3,})[ \t]*([^\s`]*)[^`]*$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^( {0,3})([-*+]|\d{1,9}[.)])( {1,4})(?=\S)/;

/** The blocks of a text. */
export function blocks(text) {
  return read(text.split('\n'), 0);
}

function read(lines, depth) {
  const found = [];
  let at = 0;
  while (at < lines.length) {
    const start = begin(lines[at], depth);
    if (start) {
      const { block, next } = start(lines, at, depth);
      found.push(block);
      at = next;
    } else if (lines[at].trim() === '') {
      at += 1;
    } else {
      const from = at;
      do at += 1;
      while (at < lines.length && lines[at].trim() !== '' && !interrupts(lines[at], depth));
      found.push({ kind: 'paragraph', parts: inline(lines.slice(from, at).join('\n')) });
    }
  }
  return found;
}

/** The reader of the block that begins with this line, unless that is a paragraph. */
function begin(line, depth) {
  if (FENCE.test(line)) return readCode;
  if (depth >= MAX_DEPTH) return null;
  if (QUOTE.test(line)) return readQuote;
  return ITEM.test(line) ? readList : null;
}

/** As in CommonMark, a number other than 1 does not end a paragraph: "… in the year\n1999. That was". */
function interrupts(line, depth) {
  const item = ITEM.exec(line);
  return begin(line, depth) && !(item && /^\d/.test(item[2]) && parseInt(item[2], 10) !== 1);
}

/** Code up to the closing fence, or to the end of the text. */
function readCode(lines, at) {
  const [, fence, language] = FENCE.exec(lines[at]);
  const closes = (line) => line.trim().length >= fence.length && line.trim() === fence[0].repeat(line.trim().length) && /^ {0,3}\S/.test(line);
  let next = at + 1;
  while (next < lines.length && !closes(lines[next])) next += 1;
  return { block: { kind: 'code', language, text: lines.slice(at + 1, next).join('\n') }, next: next + 1 };
}

function readQuote(lines, at, depth) {
  let next = at;
  while (next < lines.length && QUOTE.test(lines[next])) next += 1;
  const inner = lines.slice(at, next).map((line) => line.replace(QUOTE, ''));
  return { block: { kind: 'quote', blocks: read(inner, depth + 1) }, next };
}

/** Items of one kind; what is indented as far as an item's text belongs to it. */
function readList(lines, at, depth) {
  const kind = (sign) => sign.at(-1);
  const [, , sign] = ITEM.exec(lines[at]);
  const items = [];
  let next = at;
  while (next < lines.length) {
    const item = ITEM.exec(lines[next]);
    if (!item || kind(item[2]) !== kind(sign)) break;
    const indent = item[0].length;
    const inner = [lines[next].slice(indent)];
    for (next += 1; next < lines.length && belongs(lines, next, indent); next += 1) inner.push(lines[next].slice(indent));
    items.push(read(inner, depth + 1));
  }
  const ordered = /\d/.test(sign);
  return { block: { kind: 'list', start: ordered ? parseInt(sign, 10) : null, items }, next };
}

function belongs(lines, at, indent) {
  const isIndented = (line) => line !== undefined && line.trim() !== '' && line.slice(0, indent).trim() === '';
  return isIndented(lines[at]) || (lines[at].trim() === '' && isIndented(lines[at + 1]));
}

/** The parts of a paragraph. */
export function inline(text) {
  return nest(tokens(text));
}

/**
 * Splits a paragraph: into plain strings, finished parts (code and links, in which nothing else is formatting), and
 * runs of the characters that may begin or end a format: {sign, count, opens, closes}.
 */
function tokens(text) {
  const found = [];
  let plain = '';
  let at = 0;
  const links = linksIn(text);
  const add = (token) => {
    if (plain) found.push(plain);
    plain = '';
    found.push(token);
  };
  const missing = new Set();
  while (at < text.length) {
    const url = links.get(at);
    const run = /^(?:`+|\*+|_+|~+)/.exec(text.slice(at, at + 32))?.[0];
    if (url) {
      add({ kind: 'link', url: url.url, text: url.text });
      at += url.text.length;
    } else if (text[at] === '\\' && /[\\`*_~>#+.!()[\]{}|-]/.test(text[at + 1] ?? '')) {
      plain += text[at + 1];
      at += 2;
    } else if (run?.startsWith('`')) {
      const end = missing.has(run.length) ? -1 : closing(text, at + run.length, run);
      if (end < 0) {
        missing.add(run.length);
        plain += run;
        at += run.length;
      } else {
        add({ kind: 'code', text: trimmed(text.slice(at + run.length, end)) });
        at = end + run.length;
      }
    } else if (run) {
      add(delimiter(text, at, run));
      at += run.length;
    } else {
      plain += text[at];
      at += 1;
    }
  }
  if (plain) found.push(plain);
  return found;
}

function linksIn(text) {
  const found = new Map();
  let at = 0;
  for (const piece of pieces(text)) {
    if (piece.url) found.set(at, piece);
    at += piece.text.length;
  }
  return found;
}

/** Where a run of exactly these backticks comes next; -1 if nowhere. */
function closing(text, from, run) {
  for (let at = text.indexOf(run, from); at >= 0; ) {
    let end = at;
    while (text[end] === '`') end += 1;
    if (end - at === run.length) return at;
    at = text.indexOf(run, end);
  }
  return -1;
}

/** One space within both ends lets code begin or end with a backtick. */
function trimmed(code) {
  return /^ .*[^ ].* $/s.test(code) ? code.slice(1, -1) : code;
}

const isSpace = (char) => char === undefined || /\s/u.test(char);
const isSign = (char) => char !== undefined && /[\p{P}\p{S}]/u.test(char);

/** What a run may do: the rules of left- and right-flanking runs (CommonMark 0.31, 6.2). */
function delimiter(text, at, run) {
  const [before, after] = [[...text.slice(Math.max(0, at - 2), at)].at(-1), [...text.slice(at + run.length, at + run.length + 2)][0]];
  const left = !isSpace(after) && (!isSign(after) || isSpace(before) || isSign(before));
  const right = !isSpace(before) && (!isSign(before) || isSpace(after) || isSign(after));
  const sign = run[0];
  // An underscore within a word, as in file names, is plain text; so is one tilde, or more than two.
  const opens = sign === '_' ? left && (!right || isSign(before)) : left;
  const closes = sign === '_' ? right && (!left || isSign(after)) : right;
  const formats = sign !== '~' || run.length === 2;
  return { sign, count: run.length, length: run.length, opens: opens && formats, closes: closes && formats };
}

/** Makes formats of the runs that belong together, and plain text of the others. */
function nest(list) {
  const out = [];
  // The places in `out` of runs that may open, per kind of format.
  const openers = [];
  for (const token of list) {
    if (token.sign === undefined) {
      out.push(token);
      continue;
    }
    if (token.closes) close(token, out, openers);
    if (token.count > 0) {
      if (token.opens) openers.push(out.length);
      out.push(token);
    }
  }
  return joined(out);
}

function close(token, out, openers) {
  while (token.count > 0) {
    let place = openers.length - 1;
    while (place >= 0 && !matches(out[openers[place]], token)) place -= 1;
    if (place < 0) return;
    const opener = out[openers[place]];
    const used = Math.min(opener.count, token.count, 2);
    const kind = token.sign === '~' ? 'strike' : used === 2 ? 'strong' : 'emphasis';
    const inner = out.splice(openers[place] + 1);
    // Runs between the two can match nothing any more.
    openers.length = place + 1;
    opener.count -= used;
    token.count -= used;
    if (opener.count === 0) {
      out.pop();
      openers.pop();
    }
    out.push({ kind, parts: joined(inner) });
  }
}

/** With the rule of three (CommonMark 0.31, 6.2, rules 9 and 10). */
function matches(opener, closer) {
  if (opener.sign !== closer.sign) return false;
  const both = (opener.closes || closer.opens) && (opener.length + closer.length) % 3 === 0;
  return !both || (opener.length % 3 === 0 && closer.length % 3 === 0);
}

/** The runs that are left become text, and neighboring texts one. */
function joined(parts) {
  const found = [];
  for (const part of parts) {
    const next = part.sign === undefined ? part : part.sign.repeat(part.count);
    if (typeof next === 'string' && typeof found.at(-1) === 'string') found.push(found.pop() + next);
    else found.push(next);
  }
  return found;
}

/** The text without its formatting, on one line: for lists, quotes, and notifications. */
export function plainText(text) {
  const flat = (part) => (typeof part === 'string' ? part : (part.text ?? part.parts.map(flat).join('')));
  const words = (block) => {
    if (block.kind === 'paragraph') return block.parts.map(flat).join('');
    if (block.kind === 'code') return block.text;
    return (block.blocks ?? block.items.flat()).map(words).join(' ');
  };
  return blocks(text).map(words).join(' ').replace(/\s+/g, ' ').trim();
}
