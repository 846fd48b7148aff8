// The other one of a private chat, beside the chat or over it: who it is, and that one wants to hear nothing of them.

import { explain } from './actions.js';
import { avatar, el, toast } from './dom.js';
import { nameOf } from './names.js';
import { t } from './strings.js';
import { confirm } from './view-confirm.js';

/** Its elements. */
export function profile(peer, online, actions) {
  const face = avatar(nameOf(peer), { online, picture: peer.avatar });
  face.classList.add('large');
  const block = async () => {
    if (!(await confirm(t.sureBlock(peer.username), t.block(peer.username)))) return;
    try {
      await actions.block(peer.id);
      toast(t.blocked(peer.username));
    } catch (error) {
      toast(explain(error));
    }
  };
  return [
    el('div', { class: 'profile' }, face, el('h3', { dir: 'auto' }, nameOf(peer)), el('p', { class: 'muted' }, el('bdi', {}, `@${peer.username}`), ` · ${online ? t.online : t.offline}`)),
    el('div', { class: 'buttons list-end' }, el('button', { type: 'button', class: 'danger-button', onclick: block }, t.block(peer.username))),
  ];
}
