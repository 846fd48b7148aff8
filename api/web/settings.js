// The settings: one dialog with a section for each subject. On a phone it fills the screen, and shows either
// the list of sections or one of them.

import { byId, el, icon, iconButton } from './dom.js';
import { appearanceSection } from './settings-appearance.js';
import { blockedSection } from './settings-blocked.js';
import { deleteSection } from './settings-delete.js';
import { devicesSection } from './settings-devices.js';
import { emailSection } from './settings-email.js';
import { notificationsSection } from './settings-notifications.js';
import { passwordSection } from './settings-password.js';
import { profileSection } from './settings-profile.js';
import { twoStepSection } from './settings-two-step.js';
import { t } from './strings.js';

/** Each has an `id`, an `icon`, a `title`, and `draw(context)`, which answers its elements. */
const SECTIONS = [profileSection, emailSection, passwordSection, twoStepSection, devicesSection, blockedSection, notificationsSection, appearanceSection, deleteSection];

/** Opens them, at a section or, on a phone, at their list. `context` is `{store, actions, onDeleted}`. */
export function openSettings(context, first) {
  const dialog = byId('settings-dialog');
  const panel = el('section', { class: 'settings-panel', 'aria-labelledby': 'settings-section' });
  const back = iconButton('back', t.backToSettings, () => {
    dialog.dataset.screen = 'list';
    nav.querySelector('[aria-current]')?.focus();
  }, 'settings-back');
  const nav = el('nav', { class: 'settings-nav', 'aria-labelledby': 'settings-title' }, el('ul', {}, ...SECTIONS.map((section) => el('li', {}, link(section)))));

  function link(section) {
    return el('button', { type: 'button', 'data-section': section.id, onclick: () => show(section, true) }, icon(section.icon), section.title);
  }

  function show(section, focus) {
    dialog.dataset.screen = 'section';
    for (const button of nav.querySelectorAll('button')) {
      if (button.dataset.section === section.id) button.setAttribute('aria-current', 'page');
      else button.removeAttribute('aria-current');
    }
    const heading = el('h3', { id: 'settings-section', tabindex: '-1' }, section.title);
    panel.replaceChildren(heading, ...section.draw(context));
    panel.scrollTop = 0;
    if (focus) heading.focus();
  }

  dialog.replaceChildren(
    el('header', {}, back, el('h2', { id: 'settings-title' }, t.settings), iconButton('close', t.close, () => dialog.close())),
    el('div', { class: 'settings-body' }, nav, panel),
  );
  show(SECTIONS.find((section) => section.id === first) ?? SECTIONS[0], false);
  if (!first) dialog.dataset.screen = 'list';
  dialog.showModal();
  (first ? panel.querySelector('input:not([hidden]), select') : nav.querySelector('[aria-current]'))?.focus();
}
