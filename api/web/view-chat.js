// The open chat as a whole: its head line, who is typing, and what is done with its messages.

import { explain } from './actions.js';
import { mayManage } from './chat.js';
import { confirm } from './view-confirm.js';
import { avatar, byId, el, icon, reconcile, toast } from './dom.js';
import { nameOf } from './names.js';
import { t } from './strings.js';
import { setUpComposer } from './view-composer.js';
import { setUpInvitation } from './view-invitation.js';
import { setUpMessages } from './view-messages.js';
import { notify } from './view-notice.js';

export function setUpChat(store, actions, { onBack, onDetails }) {
  const chatId = () => store.state.open;
  const orToast = (work) => work.catch((error) => toast(explain(error)));

  const composer = setUpComposer({
    submit: ({ chatId: id, text, replyTo, editing }) => {
      if (!editing) orToast(actions.send(id, text, replyTo));
      else if (text !== editing.was) orToast(change(id, { ...editing, text }));
    },
    onDraft: (id, draft) => actions.draft(id, draft),
    onLeave: (id, draft) => actions.leaveDraft(id, draft),
    onTyping: (id) => actions.typing(id),
    onEditLast: () => {
      const { me, chats } = store.state;
      const last = chats.get(chatId())?.items.findLast((item) => item.sender?.id === me.id);
      if (last) composer.edit(last);
    },
  });

  /** Changes a sent message; what was refused goes back to where it was written. */
  async function change(id, edit) {
    try {
      await actions.edit(id, edit.id, edit.text);
    } catch (error) {
      const chat = store.state.chats.get(id);
      if (chat && !composer.changeAgain(id, edit)) actions.leaveDraft(id, { text: '', replyTo: null, ...chat.draft, edit });
      throw error;
    }
  }

  const renderMessages = setUpMessages(actions.reading, {
    reply: composer.reply,
    edit: composer.edit,
    copy: (row) => copy(row.text),
    remove: async (row) => {
      if (await confirm(t.sureDeleteMessage, t.delete)) orToast(actions.deleteMessage(chatId(), row.id));
    },
    retry: (row) => actions.retry(chatId(), row),
    discard: (row) => actions.discard(chatId(), row.clientId),
    takeBack: (row) => {
      actions.discard(chatId(), row.clientId);
      composer.takeBack(row.text, row.quoted);
    },
    firstSteps,
    failed: orToast,
    gone: () => toast(t.messageGone),
  });

  byId('back').append(icon('back'));
  byId('back').addEventListener('click', onBack);
  byId('chat-details').append(icon('info'));
  byId('chat-details').addEventListener('click', onDetails);

  /** What one can do first in a chat in which nobody has said anything. */
  function firstSteps(chat) {
    const isBegun = chat.pending.length > 0 || chat.items.some((item) => item.kind === 'message');
    if (isBegun) return [];
    const mayAdd = chat.type === 'group' && mayManage(chat, store.state.me);
    const addPeople = () => byId('details-dialog').open || onDetails();
    return [{ text: t.sayHello, act: () => composer.begin('👋') }, mayAdd && { text: t.addPeople, act: addPeople }].filter(Boolean);
  }

  const renderInvitation = setUpInvitation(actions);

  function render(state) {
    const chat = state.chats.get(state.open);
    byId('welcome').hidden = Boolean(chat) || !byId('visit').hidden;
    byId('chat').hidden = !chat;
    if (chat) drawHead(chat, state);
    renderInvitation(chat);
    renderMessages(state);
    composer.show(chat);
  }

  /** One is not in this chat any more: says so, with what was written there and not sent. */
  function leave(chat) {
    const inField = composer.draft();
    const draft = inField.chatId === chat.id ? inField.draft : chat.draft;
    const texts = [...chat.pending.map(({ text }) => text), draft?.edit?.text, draft?.text];
    notify(t.removedFrom(chat.name), texts.filter(Boolean));
  }

  return { render, leave, reset: composer.reset, focus: composer.focus };
}

function drawHead(chat, state) {
  const { peer } = chat;
  const online = peer ? state.online.has(peer.id) : null;
  byId('chat-name').textContent = chat.name;
  byId('chat-state').textContent = stateOf(chat, state, peer, online);
  reconcile(byId('chat-face'), [{ id: chat.id, name: chat.name, type: chat.type, online, picture: peer?.avatar }], {
    key: (face) => face.id,
    version: JSON.stringify,
    make: (face) => avatar(face.name, face),
  });

  const typing = byId('typing');
  typing.hidden = chat.typing.length === 0;
  if (chat.typing.length === 0) return;
  const dots = el('i', { 'aria-hidden': 'true' }, el('b'), el('b'), el('b'));
  const many = chat.typing.find((user) => user.count);
  const text = many ? t.typingCount(many.count) : t.typing(chat.typing.map(nameOf));
  if (typing.textContent !== text) typing.replaceChildren(dots, text);
}

function stateOf(chat, state, peer, online) {
  // The name above is what the other chose to be called: anybody may be called so.
  if (peer) return `@${peer.username} · ${online ? t.online : t.offline}`;
  if (chat.memberCount === 0) return t.kind[chat.type];
  const count = t.members(chat.memberCount);
  // Who is online is known only of the members that were loaded; of none when they could not be had.
  if (!chat.members?.length || chat.nextMembers) return count;
  return `${count} · ${t.onlineCount(chat.members.filter((member) => state.online.has(member.id)).length)}`;
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    toast(t.copied);
  } catch {
    toast(t.failed);
  }
}
