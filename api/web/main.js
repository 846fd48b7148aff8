// Starts the page: finds out who is signed in, joins the parts, and follows the address.

import { Actions, explain } from './actions.js';
import { api } from './api.js';
import { byId, toast } from './dom.js';
import { beforeNextFrame } from './frame.js';
import { setUpShortcuts } from './shortcuts.js';
import { takeLink } from './link.js';
import { Store, listedChats, totalUnread } from './store.js';
import { t, translate } from './strings.js';
import { setUpAdministration } from './view-administration.js';
import { setUpAnnouncement } from './view-announcement.js';
import { setUpAccount } from './view-account.js';
import { setUpBanner } from './view-banner.js';
import { setUpChat } from './view-chat.js';
import { renderDetails, toggleDetails } from './view-details.js';
import { showNewPassword } from './view-lost-password.js';
import { setUpList } from './view-list.js';
import { setUpNotifications } from './view-notifications.js';
import { setUpSignIn, showSignIn } from './view-sign-in.js';
import { showUnread } from './view-unread.js';
import { setUpVisit } from './view-visit.js';

translate(document);

const store = new Store();
const actions = new Actions(
  store,
  (reason) => leave(t.stopped[reason] ?? t.stopped.unauthenticated),
  (chat) => {
    if (wanted() === chat.id) history.replaceState(null, '', '#/');
    chatView.leave(chat);
  },
);

const chatView = setUpChat(store, actions, {
  // In the chat's place: the browser's own "back" does not lead into it again.
  onBack: () => {
    history.replaceState(null, '', '#/');
    follow();
  },
  onDetails: () => toggleDetails(store, actions),
});
const visit = setUpVisit((chatId) => actions.find(chatId), enter);
const administration = setUpAdministration({ show, onBack: () => go(null) });
const views = [
  setUpAnnouncement(),
  (state) => administration.render(state),
  setUpBanner(actions),
  setUpList(store, actions, { enter, go, onNewChat: openNew }),
  setUpAccount(store, actions, signOut, () => leave(null, t.accountDeleted)),
  chatView.render,
  () => renderDetails(store, actions),
  (state) => showUnread(totalUnread(state)),
];
setUpNotifications(store, go);

// Many frames in one moment are drawn once.
let drawing = false;
store.subscribe(() => {
  if (drawing) return;
  drawing = true;
  beforeNextFrame(() => {
    drawing = false;
    follow();
    if (store.state.me) for (const view of views) view(store.state);
  });
});

// Asking who is signed in renews an old cookie: who leaves the page open for weeks stays signed in, too.
const RENEW_EVERY_MS = 12 * 3_600_000;
setInterval(() => store.state.me && api.me().catch(() => null), RENEW_EVERY_MS);

// Somebody who stopped typing says nothing about it.
setInterval(() => store.dispatch({ type: 'tick', now: Date.now() }), 1_000);

setUpShortcuts({
  chats: () => listedChats(store.state),
  open: () => store.state.open,
  go,
  goTo: () => store.state.me && openGoTo(),
  write: () => store.state.open && chatView.focus(),
});
window.addEventListener('hashchange', () => followLink() || follow());
window.addEventListener('online', () => actions.retryNow());
document.addEventListener('visibilitychange', () => {
  if (document.hidden) actions.pause();
  else actions.retryNow();
});
window.addEventListener('pagehide', () => actions.pause());
window.addEventListener('beforeunload', (event) => {
  if (actions.wouldLose) event.preventDefault();
});

// The page of a visitor came without a cookie: there is nobody to ask for until somebody signs in here.
const session = document.querySelector('meta[name=session]');
setUpSignIn(welcome);
if (!followLink()) enterPage();

function enterPage() {
  if (session?.content === 'none') leave(null);
  else api.me().then(welcome, (error) => leave(error.status === 401 ? null : explain(error)));
}

/** Does what a link is for; whether the address was one. */
function followLink() {
  const link = takeLink();
  if (!link) return false;
  if (link.purpose === 'email') {
    api.verifyEmail(link.token).then(() => toast(t.emailVerified), (error) => toast(explain(error)));
    if (!store.state.me) enterPage();
    return true;
  }
  leave(null);
  showNewPassword(link.token, (done) => (done ? showSignIn(null, done) : enterPage()));
  return true;
}

/** Loaded when it is wanted: most visits do without. */
async function openNew() {
  const view = await import('./view-new.js').catch(() => toast(t.unreachable));
  view?.openNew(store, actions, go);
}

/** The same. What is typed before the dialog is there belongs nowhere. */
async function openGoTo() {
  const focused = document.activeElement;
  focused.blur();
  const view = await import('./view-go-to.js').catch(() => toast(t.unreachable));
  // The dialog gives the focus back to it.
  focused.focus({ preventScroll: true });
  view?.openGoTo(store, actions, { go, enter });
}

/** Somebody is signed in. */
function welcome(user) {
  if (session) session.content = 'unknown';
  show('app');
  actions.start(user);
}

/** Nobody is signed in, or not any more. */
function leave(reason, done = null) {
  actions.stop();
  chatView.reset();
  administration.close();
  for (const dialog of document.querySelectorAll('dialog[open]')) dialog.close();
  showUnread(0);
  show('sign-in');
  showSignIn(reason, done);
}

async function signOut() {
  try {
    await actions.signOut();
    history.replaceState(null, '', '#/');
    leave(null);
  } catch (error) {
    toast(explain(error));
  }
}

function show(id) {
  for (const part of ['loading', 'sign-in', 'app', 'admin']) byId(part).hidden = part !== id;
}

/** Enters a public room, as a member unless one is. */
async function enter(roomId) {
  try {
    if (!store.state.chats.has(roomId)) await actions.join(roomId);
    go(roomId);
  } catch (error) {
    toast(explain(error));
  }
}

/** To a chat, or with `null` to the list. */
function go(chatId) {
  location.hash = chatId === null ? '#/' : `#/chat/${chatId}`;
}

/** The chat that the address names, or 0. */
function wanted() {
  return Number(/^#\/chat\/(\d+)$/.exec(location.hash)?.[1] ?? 0);
}

/** Shows what the address names, as soon as it is known. */
function follow() {
  if (!store.state.known || administration.follow(store.state)) return;
  const id = wanted();
  const target = store.state.chats.has(id) ? id : null;
  byId('app').dataset.screen = id === 0 ? 'list' : 'chat';
  visit(target === null && id > 0 ? id : null);
  if (target === store.state.open) return;
  actions.open(target);
  for (const view of views) view(store.state);
  if (target !== null && !matchMedia('(pointer: coarse)').matches) chatView.focus();
}
