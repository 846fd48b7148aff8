// How many messages are unread, where somebody sees it who looks elsewhere: in the window's title, as a dot on its icon,
// and on the icon of the installed page.

import { t } from './strings.js';

let shown = 0;

export function showUnread(count) {
  document.title = count > 0 ? `(${t.unreadCount(count)}) ${t.appName}` : t.appName;
  if (count === shown) return;
  shown = count;
  const icon = document.querySelector('link[rel=icon]');
  icon.href = icon.href.replace(/icon[a-z-]*\.svg$/, count > 0 ? 'icon-unread.svg' : 'icon.svg');
  // 0 takes it away. Systems without such numbers refuse.
  navigator.setAppBadge?.(count).catch(() => {});
}
