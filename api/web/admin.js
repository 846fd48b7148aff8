// The administration: a full view beside the chats, with a section for each thing that is governed. Loaded when an
// administrator opens it. The address names the section, so that "back" works.

import { setUpAnnouncement } from './admin-announcement.js';
import { setUpAudit } from './admin-audit.js';
import { setUpChats } from './admin-chats.js';
import { setUpNodes } from './admin-nodes.js';
import { setUpPeople } from './admin-people.js';
import { setUpSettings } from './admin-settings.js';
import { words } from './admin-strings.js';
import { byId, el, iconButton } from './dom.js';

const SECTIONS = {
  people: setUpPeople,
  chats: setUpChats,
  nodes: setUpNodes,
  audit: setUpAudit,
  announcement: setUpAnnouncement,
  settings: setUpSettings,
};

/** Builds the view once; the result shows the section of an address such as `#/admin/chats/owner/7`. */
export async function setUpAdministration({ me, onBack }) {
  await style();
  const root = byId('admin');
  const links = Object.keys(SECTIONS).map((name) => el('a', { href: `#/admin/${name}`, 'data-section': name }, words[name]));
  const content = el('div', { class: 'admin-content', id: 'admin-content', tabindex: '0' });
  root.replaceChildren(
    el('header', { class: 'bar' }, iconButton('back', words.back, onBack), el('h1', {}, words.title)),
    el('nav', { class: 'admin-sections', 'aria-label': words.sections }, ...links),
    content,
  );
  const built = new Map();
  let shown = null;

  return {
    show(hash) {
      const [, , wanted, ...rest] = hash.split('/');
      const name = wanted in SECTIONS ? wanted : 'people';
      if (!built.has(name)) built.set(name, SECTIONS[name]({ me }));
      const section = built.get(name);
      if (shown !== section) {
        shown?.hide?.();
        shown = section;
        content.replaceChildren(el('h2', { class: 'visually-hidden' }, words[name]), section.element);
        content.scrollTop = 0;
      }
      for (const link of links) {
        if (link.dataset.section === name) link.setAttribute('aria-current', 'page');
        else link.removeAttribute('aria-current');
      }
      links.find((link) => link.dataset.section === name).scrollIntoView({ block: 'nearest', inline: 'nearest' });
      section.show(rest);
    },
    hide() {
      shown?.hide?.();
    },
  };
}

/** The styles of this view; the page's own ones come first. */
function style() {
  const link = el('link', { rel: 'stylesheet', href: new URL('./admin.css', import.meta.url).href });
  document.head.append(link);
  return new Promise((resolve) => {
    link.addEventListener('load', resolve, { once: true });
    // Without its styles the view is ugly, and works.
    link.addEventListener('error', resolve, { once: true });
  });
}
