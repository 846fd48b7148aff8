// Who one is, in the foot of the list, and the menu behind it: profile, settings, theme, signing out.

import { CHOICES, appearance, setAppearance } from './appearance.js';
import { avatar, byId, el, icon, reconcile, toast } from './dom.js';
import { nameOf } from './names.js';
import { t } from './strings.js';
import { confirm } from './view-confirm.js';

/** `onSignOut` signs out; whoever has messages that are not sent yet is asked first. `onDeleted`: the account is gone. */
export function setUpAccount(store, actions, onSignOut, onDeleted) {
  const menu = byId('account-menu');
  const context = { store, actions, onDeleted };
  // Loaded when they are wanted: most visits do without.
  const open = async (section) => {
    const settings = await import('./settings.js').catch(() => toast(t.unreachable));
    settings?.openSettings(context, section);
  };
  const choose = (work) => () => {
    menu.hidePopover();
    work();
  };
  const entry = (name, sign, text, work) => el('button', { type: 'button', role: 'menuitem', tabindex: '-1', 'data-do': name, onclick: choose(work) }, icon(sign), text);
  menu.append(
    entry('profile', 'person', t.profile, () => open('profile')),
    entry('settings', 'gear', t.settings, () => open(null)),
    themes(),
    entry('sign-out', 'exit', t.signOut, async () => {
      if (!actions.unsent || (await confirm(t.sureSignOut, t.signOut))) onSignOut();
    }),
  );
  menu.addEventListener('keydown', walk);
  menu.addEventListener('toggle', (event) => {
    const open = event.newState === 'open';
    byId('account').querySelector('.account-row')?.setAttribute('aria-expanded', String(open));
    if (open) {
      drawThemes(menu);
      items(menu)[0].focus();
    }
  });
  return ({ me }) => {
    reconcile(byId('account'), me ? [me] : [], {
      key: (one) => one.id,
      version: (one) => `${one.name} ${one.avatar}`,
      make: opener,
    });
    comeBack(open);
  };
}

/** To the section of the settings that had the page loaded again. */
function comeBack(open) {
  const section = history.state?.settings;
  if (!section) return;
  history.replaceState(null, '');
  open(section);
}

function opener(me) {
  return el(
    'button',
    { type: 'button', class: 'account-row', popovertarget: 'account-menu', 'aria-haspopup': 'menu', 'aria-expanded': 'false', title: t.accountMenu(nameOf(me)) },
    avatar(nameOf(me), { picture: me.avatar }),
    el('span', { class: 'who', dir: 'auto' }, nameOf(me), el('small', { dir: 'ltr' }, `@${me.username}`)),
    icon('up'),
  );
}

function themes() {
  const one = (theme) =>
    el('button', { type: 'button', role: 'menuitemradio', tabindex: '-1', 'data-theme-choice': theme, onclick: (event) => {
      setAppearance({ theme });
      drawThemes(event.currentTarget.closest('[role=menu]'));
    } }, icon('check'), t.themes[theme]);
  return el('div', { role: 'group', 'aria-label': t.theme }, el('p', { 'aria-hidden': 'true' }, t.theme), ...CHOICES.theme.map(one));
}

function drawThemes(menu) {
  const { theme } = appearance();
  for (const item of menu.querySelectorAll('[data-theme-choice]')) {
    item.setAttribute('aria-checked', String(item.dataset.themeChoice === theme));
  }
}

const items = (menu) => [...menu.querySelectorAll('button')];

/** Arrows, Home and End, as in every menu. */
function walk(event) {
  const all = items(event.currentTarget);
  const at = all.indexOf(document.activeElement);
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 }[event.key];
  if (event.key === 'Tab' || event.key === 'Escape') event.currentTarget.hidePopover();
  if (to === undefined) return;
  event.preventDefault();
  all.at(to % all.length).focus();
}
