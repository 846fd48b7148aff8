// Every word that the page shows, in one place, so that it can be translated. Static words stand in
// index.html as `data-t` (text), `data-t-label` (aria-label), `data-t-hint` (placeholder) or
// `data-t-tip` (title).

const plural = (count, one, many) => (count === 1 ? one : many);

export const t = {
  appName: 'Switchboard',
  tagline: 'Talk to everyone, right now.',
  loading: 'Loading…',

  signIn: 'Sign in',
  register: 'Create account',
  signOut: 'Sign out',
  username: 'Username',
  password: 'Password',
  newHere: 'New here?',
  haveAccount: 'Have an account already?',
  showPassword: 'Show password',
  usernameHint: 'This is the name that others see.',
  fillIn: 'Please fill in both fields.',

  chats: 'Chats',
  chatList: 'Chats and rooms',
  yourChats: 'Your chats',
  publicRooms: 'Public rooms',
  moreRooms: 'Show more rooms',
  noChats: 'No chats yet. Enter a room below, or start a chat.',
  newChat: 'New chat',
  invitations: 'Invitations',
  invitation: 'Invitation',
  invited: (who, type) => (type === 'private' ? `@${who} wants to write to you.` : `@${who} invites you to this chat.`),
  invitedText: 'You share no chat yet. Writing here accepts, too.',
  accept: 'Accept',
  decline: 'Decline',
  block: (who) => `Block @${who}`,
  blocked: (who) => `@${who} is blocked.`,
  sureBlock: (who) => `Block @${who}? They cannot write to you or invite you any more.`,
  account: (name) => `Signed in as ${name}`,
  skip: 'Skip to the message field',
  welcome: 'Welcome to Switchboard',
  welcomeText: 'Choose a chat, or enter the lobby and say hello.',
  enterLobby: 'Enter the lobby',
  enter: (name) => `Enter ${name}`,
  unread: (count) => `${unreadCount(count)} unread`,
  unreadCount,
  kind: { private: 'Private chat', group: 'Group', room: 'Public room' },
  draft: 'Not sent:',
  you: 'You',
  guest: 'guest',
  guestTip: 'Somebody without an account, who chose this name',
  said: (name, text) => `${name}: ${text}`,

  back: 'Back to the chats',
  details: 'Chat details',
  online: 'Online',
  offline: 'Offline',
  members: (count, more) => `${count}${more ? '+' : ''} ${plural(count, 'member', 'members')}`,
  onlineCount: (count) => `${count} online`,
  typing: (names) => {
    if (names.length === 1) return `${names[0]} is typing…`;
    if (names.length === 2) return `${names[0]} and ${names[1]} are typing…`;
    return 'Several people are typing…';
  },
  typingCount: (count) => `${count} ${plural(count, 'person is', 'people are')} typing…`,

  messages: 'Messages',
  message: 'Message',
  messageHint: (name) => `Message ${name}`,
  send: 'Send',
  today: 'Today',
  yesterday: 'Yesterday',
  newMessages: 'New messages',
  newBelow: (count) => (count > 0 ? `${unreadCount(count)} new ${plural(count, 'message', 'messages')}` : 'Jump to the newest'),
  start: (name) => `This is the beginning of ${name}.`,
  loadingOlder: 'Loading earlier messages…',
  historyFailed: 'The messages could not be loaded.',
  tryAgain: 'Try again',
  discard: 'Discard',
  edited: 'edited',
  sending: 'Sending…',
  sent: 'Sent',
  seen: 'Seen',
  notSent: (reason) => `Not sent: ${reason}`,
  reply: 'Reply',
  edit: 'Edit',
  delete: 'Delete',
  copy: 'Copy text',
  copied: 'Copied',
  actions: 'Message actions',
  replyingTo: (name) => `Replying to ${name}`,
  editing: 'Editing your message',
  cancel: 'Cancel',
  earlierMessage: 'An earlier message',
  note: {
    joined: (who, by) => (by ? `${by} added ${who}` : `${who} joined`),
    left: (who) => `${who} left`,
    removed: (who, by) => (by ? `${by} removed ${who}` : `${who} was removed`),
    renamed: (name, by) => (by ? `${by} renamed the chat to ${name}` : `The chat is now called ${name}`),
    owner: (who) => `${who} is the owner now`,
  },

  close: 'Close',
  goTo: 'Go to a chat or person',
  goToHint: 'Type a part of a name',
  nothingFound: (query) => `Nothing found for “${query}”.`,
  shortcuts: 'Keyboard shortcuts',
  keyControl: 'Ctrl',
  keyShift: 'Shift',
  keyPrevious: 'Previous chat',
  keyNext: 'Next chat',
  keyNextUnread: 'Next chat with unread messages',
  keyWrite: 'To the message field',
  keyEditLast: 'Edit your last message, from an empty field',
  keySend: 'Send',
  keyNewLine: 'New line',
  privateChat: 'Private',
  group: 'Group',
  room: 'Room',
  kindOfChat: 'Kind of chat',
  groupName: 'Group name',
  roomName: 'Room name',
  roomText: 'Everyone who is signed in can find and enter it.',
  findPeople: 'Find people',
  findHint: 'Type a username',
  nobodyFound: (query) => `Nobody found for “${query}”.`,
  create: 'Create',
  addPerson: (name) => `Add ${name}`,
  removePerson: (name) => `Remove ${name}`,
  chatWith: (name) => `Chat with ${name}`,
  memberList: 'Members',
  addPeople: 'Add people',
  moreMembers: 'Show more members',
  owner: 'Owner',
  chatName: 'Name',
  rename: 'Rename',
  leave: 'Leave chat',
  deleteChat: 'Delete chat',
  sureDeleteMessage: 'Delete this message for everyone?',
  sureDeleteChat: (name) => `Delete “${name}” with all its messages, for everyone?`,
  sureLeave: (name) => `Leave “${name}”?`,
  sureRemove: (who) => `Remove ${who} from this chat?`,

  connecting: 'Connecting…',
  reconnecting: (seconds) => (seconds > 0 ? `Connection lost. Trying again in ${seconds} s.` : 'Connection lost. Trying again…'),
  deviceOffline: 'You are offline. Messages are sent when the connection is back.',
  retryNow: 'Try now',

  stopped: {
    session_ended: 'You were signed out. Please sign in again.',
    too_many_connections: 'You have too many windows open. Close some, then reload this one.',
    blocked: 'This account is blocked. Ask an administrator.',
    wrong_origin: 'This page may not connect to the server: its address is not allowed.',
    unauthenticated: 'Please sign in again.',
  },
  unreachable: 'The server cannot be reached. Please try again.',
  failed: 'That did not work. Please try again.',
};

function unreadCount(count) {
  return count >= 100 ? '99+' : String(count);
}

const ATTRIBUTES = { tLabel: 'aria-label', tHint: 'placeholder', tTip: 'title' };

/** Fills the static words of the page in. */
export function translate(root) {
  for (const element of root.querySelectorAll('[data-t]')) element.textContent = t[element.dataset.t];
  for (const [key, attribute] of Object.entries(ATTRIBUTES)) {
    const selector = `[data-${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}]`;
    for (const element of root.querySelectorAll(selector)) element.setAttribute(attribute, t[element.dataset[key]]);
  }
}
