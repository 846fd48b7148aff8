// Tells somebody who looks elsewhere of new messages: by the system's notifications and by a sound, each as chosen on
// this device. Nothing is asked before the person turns it on. Of several windows one tells, and none while another one
// shows the chat. Which messages these are, notifications.js knows.

import { recall, remember } from './device.js';
import { isOver, news, notices, together } from './notifications.js';
import { t } from './strings.js';

/** What comes within such a moment is told at once; meanwhile another window may say that it shows the chat. */
const MOMENT_MS = 500;
/** A chat that goes on changes its notification, and calls again, aloud or not, only after such a time. */
const QUIET_MS = 5_000;

const NAME = 'notifications';
/** `show`: notifications; `text`: with what was written; `sound`. */
const UNCHOSEN = { show: false, text: true, sound: false };

/** Some systems have notifications only for programs, which shows in the first one. */
let unable = !globalThis.isSecureContext || !('Notification' in globalThis);

export const choices = () => ({ ...UNCHOSEN, ...recall(NAME) });

/** Chooses; a sound is heard at once. */
export function choose(changes) {
  remember(NAME, { ...choices(), ...changes });
  if (changes.sound) chime();
}

/** Whether notifications can be shown: `yes`, `ask`, `denied`, or `never` by this browser. */
export function mayNotify() {
  if (unable) return 'never';
  return { granted: 'yes', denied: 'denied' }[Notification.permission] ?? 'ask';
}

/** Asks the browser, which asks the person, and shows a first one. */
export async function turnOn() {
  if ((await Notification.requestPermission()) !== 'granted') return;
  choose({ show: true });
  show({ tag: 'on', title: t.appName, body: t.notificationsWork });
}

/** `go(chatId)` shows a chat. */
export function setUpNotifications(store, go) {
  const others = new BroadcastChannel('switchboard notifications');
  /** Messages that another window shows, by their chats. */
  const seen = new Map();
  /** Notifications by their tags: `{notice, notification}`. */
  const shown = new Map();
  const calledAt = new Map();
  const turn = takeTurns();
  let waiting = [];
  let timer = null;

  others.onmessage = ({ data: { chatId, id } }) => seen.set(chatId, id);

  store.subscribe((state, before) => {
    if (state.me?.id !== before.me?.id) (state.me ? turn.take : turn.leave)();
    const found = news(state, before).filter((one) => !isWatched(one, state));
    if (found.length > 0) {
      waiting = together(waiting, found);
      timer ??= setTimeout(tell, MOMENT_MS);
    }
    if (shown.size > 0 && state.chats !== before.chats) closeRead(state);
  });

  /** Whether the message is before somebody's eyes here; the other windows are told so. */
  function isWatched({ chatId, id }, state) {
    const watched = state.open === chatId && document.visibilityState === 'visible' && document.hasFocus();
    if (watched) others.postMessage({ chatId, id });
    return watched;
  }

  function tell() {
    timer = null;
    const { state } = store;
    const found = waiting.filter(({ chatId, id }) => !(seen.get(chatId) >= id));
    waiting = [];
    const chosen = choices();
    const all = turn.isOurs() ? notices(found, state, chosen).filter((notice) => !isOver(notice, state)) : [];
    const calls = all.filter(({ tag }) => Date.now() - (calledAt.get(tag) ?? 0) > QUIET_MS);
    for (const { tag } of calls) calledAt.set(tag, Date.now());
    if (chosen.show) for (const notice of all) tellOf(notice, calls.includes(notice));
    if (chosen.sound && calls.length > 0) chime();
  }

  function tellOf(notice, renotify) {
    const notification = show(notice, renotify);
    if (!notification) return;
    shown.set(notice.tag, { notice, notification });
    notification.onclick = () => {
      window.focus();
      notification.close();
      if (store.state.chats.has(notice.chatId)) go(notice.chatId);
    };
    notification.onclose = () => {
      if (shown.get(notice.tag)?.notification === notification) shown.delete(notice.tag);
    };
  }

  function closeRead(state) {
    for (const { notice, notification } of shown.values()) if (isOver(notice, state)) notification.close();
  }
}

/** The notification, or null where there is none to be had. */
function show({ tag, title, body }, renotify = false) {
  if (mayNotify() !== 'yes') return null;
  try {
    return new Notification(title, { tag, body, renotify, silent: true, icon: document.querySelector('link[rel=icon]').href });
  } catch {
    unable = true;
    return null;
  }
}

/** Of the windows of a browser one has the turn, until it is closed or signs out. A page over plain http has no locks. */
function takeTurns() {
  const { locks } = navigator;
  let isOurs = !locks;
  let leave = () => {};
  return {
    isOurs: () => isOurs,
    take() {
      const end = new AbortController();
      leave = () => end.abort();
      const hold = () =>
        new Promise((resolve) => {
          isOurs = true;
          leave = () => {
            isOurs = false;
            resolve();
          };
        });
      locks?.request('switchboard notifications', { signal: end.signal }, hold).catch(() => {});
    },
    leave: () => leave(),
  };
}

/** Two short tones, made here: no file to load. A browser that waits for a first click or key stays silent. */
function chime() {
  if (navigator.userActivation && !navigator.userActivation.hasBeenActive) return;
  const context = new AudioContext();
  const volume = new GainNode(context, { gain: 0.08 });
  volume.connect(context.destination);
  const start = context.currentTime;
  volume.gain.setTargetAtTime(0, start + 0.18, 0.06);
  for (const [frequency, after] of [[660, 0], [880, 0.09]]) {
    const tone = new OscillatorNode(context, { frequency });
    tone.connect(volume);
    tone.start(start + after);
    tone.stop(start + after + 0.4);
    if (after > 0) tone.onended = () => context.close();
  }
}
