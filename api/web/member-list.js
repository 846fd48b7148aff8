// The members of the open chat, in its details: a page of them, more when asked for, and those whose name has a text in
// it. The server finds nobody in a chat by name: who is looked for is looked for among those that are there, and more are
// fetched meanwhile.

import { explain } from './actions.js';
import { mayManage } from './chat.js';
import { avatar, el, iconButton, reconcile, toast } from './dom.js';
import { matches } from './list-filter.js';
import { nameOf } from './names.js';
import { t } from './strings.js';

/** Rows that are drawn at first, and with each wish for more. */
const SHOWN = 50;
/** Among so few one is found at a glance. */
const FEW = 10;
/** Members that are fetched at once to look for a name: as many as the server gives. */
const MANY = 500;
/** Pages that are fetched for one text before somebody has to wish for more: a second's work, and not all of a huge room. */
const MAX_PAGES = 10;

/** Its element, and `draw()` after the state has changed. `onRemove(member)` takes somebody out of the chat. */
export function memberList(store, actions, chatId, onRemove) {
  const field = el('input', { id: 'details-find', type: 'search', autocomplete: 'off', autocapitalize: 'none', spellcheck: 'false', oninput: onInput });
  const find = el('div', { class: 'field' }, el('label', { for: 'details-find' }, t.findMembers), field);
  const note = el('p', { class: 'hint', role: 'status' });
  const list = el('ul', { class: 'people', id: 'details-members' });
  const more = el('button', { type: 'button', class: 'link', onclick: onMore }, t.moreMembers);
  let shown = SHOWN;
  let pages = 0;
  let looking = false;

  const chat = () => store.state.chats.get(chatId);
  const text = () => field.value.trim();
  const found = () => (chat()?.members ?? []).filter((member) => matches(text(), member.username, nameOf(member)));

  function onInput() {
    shown = SHOWN;
    pages = 0;
    draw();
    look();
  }

  function onMore() {
    shown += SHOWN;
    pages = 0;
    draw();
    look();
  }

  /** Fetches more, until there are as many as are drawn. */
  async function look() {
    if (looking) return;
    looking = true;
    while (chat()?.nextMembers && found().length < shown && pages < MAX_PAGES) {
      pages += 1;
      try {
        await actions.moreMembers(chatId, text() ? MANY : SHOWN);
      } catch (error) {
        toast(explain(error));
        break;
      }
    }
    looking = false;
    draw();
  }

  function draw() {
    const { me, online } = store.state;
    const mayRemove = mayManage(chat(), me) && chat().type === 'group';
    const rows = found().slice(0, shown);
    find.hidden = !text() && !chat().nextMembers && chat().members.length <= FEW;
    reconcile(list, rows.map((member) => ({ ...member, online: online.has(member.id), mayRemove: mayRemove && member.id !== me.id })), {
      key: (member) => member.id,
      version: JSON.stringify,
      make: row,
    });
    more.hidden = looking || (!chat().nextMembers && found().length <= shown);
    note.textContent = rows.length > 0 ? '' : looking ? t.loading : t.nobodyFound(text());
  }

  function row(member) {
    return el(
      'li',
      {},
      el(
        'span',
        { class: 'person' },
        avatar(nameOf(member), { online: member.online, picture: member.avatar }),
        el('span', { dir: 'auto' }, nameOf(member), el('small', {}, `@${member.username} · ${member.online ? t.online : t.offline}`)),
      ),
      member.role === 'owner' && el('span', { class: 'tag' }, t.owner),
      member.mayRemove && iconButton('close', t.removePerson(nameOf(member)), () => onRemove(member), 'danger'),
    );
  }

  return { element: el('div', { class: 'members' }, find, note, list, more), draw };
}
