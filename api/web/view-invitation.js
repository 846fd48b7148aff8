// What stands above a chat that a stranger put one into: accept, decline, or block the stranger.

import { explain } from './actions.js';
import { byId, el, toast } from './dom.js';
import { t } from './strings.js';
import { confirm } from './view-confirm.js';

/** Answers the function that draws it for the open chat. */
export function setUpInvitation(actions) {
  const place = byId('invitation');
  let shown = null;

  const attempt = async (work, done) => {
    try {
      await work;
      if (done) toast(done);
    } catch (error) {
      toast(explain(error));
    }
  };
  const button = (className, label, onclick) => el('button', { type: 'button', class: className, onclick }, label);

  return (chat) => {
    const invitation = chat?.invitedBy ? chat.id : null;
    place.hidden = invitation === null;
    if (invitation === shown) return;
    shown = invitation;
    if (invitation === null) return;
    const { id, username } = chat.invitedBy;
    const block = async () => {
      if (await confirm(t.sureBlock(username), t.block(username))) attempt(actions.block(id), t.blocked(username));
    };
    place.replaceChildren(
      el('p', {}, el('strong', {}, t.invited(username, chat.type)), ' ', el('span', { class: 'muted' }, t.invitedText)),
      el(
        'div',
        { class: 'buttons' },
        button('primary', t.accept, () => attempt(actions.join(invitation))),
        // A private chat has nobody else: there is only the person to decline.
        chat.type !== 'private' && button('plain', t.decline, () => attempt(actions.decline(invitation))),
        button('plain', t.block(username), block),
      ),
    );
  };
}
