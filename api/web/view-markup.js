// Draws a formatted text (`markup.js`) as elements.

import { el } from './dom.js';
import { blocks } from './markup.js';

const TAGS = { strong: 'strong', emphasis: 'em', strike: 's' };

/** The elements of a text. */
export function drawMarkup(text) {
  return blocks(text).map(block);
}

function block({ kind, ...rest }) {
  switch (kind) {
    case 'code':
      // Programs are read from left to right, whatever language the page is in.
      return el('pre', { dir: 'ltr', tabindex: '0', 'data-language': rest.language || null }, el('code', {}, rest.text));
    case 'quote':
      return el('blockquote', {}, ...rest.blocks.map(block));
    case 'list':
      return el(rest.start === null ? 'ul' : 'ol', { start: rest.start }, ...rest.items.map((item) => el('li', {}, ...item.map(block))));
    default:
      return el('p', {}, ...rest.parts.map(part));
  }
}

function part(piece) {
  if (typeof piece === 'string') return piece;
  if (piece.kind === 'code') return el('code', { dir: 'ltr' }, piece.text);
  if (piece.kind === 'link') return el('a', { href: piece.url, target: '_blank', rel: 'noopener noreferrer nofollow' }, piece.text);
  return el(TAGS[piece.kind], {}, ...piece.parts.map(part));
}
