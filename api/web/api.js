// The REST calls of the page. The session cookie goes along by itself; no token is ever seen here.

import { spoken } from './language.js';

/** A refusal or a server that cannot be reached (`status` 0); `message` may be shown. */
export class ApiError extends Error {
  constructor(status, body, retryAfter = null) {
    super(body?.message ?? '');
    this.status = status;
    this.code = body?.code ?? 'unreachable';
    /** Seconds after which to try again, where the server says. */
    this.retryAfter = retryAfter;
    /** The fields concerned: `{field, message}`. */
    this.fields = body?.errors ?? [];
    /** With `private_chat_exists`: that chat. */
    this.chatId = body?.chat_id;
    /** With `second_step_required`: the token for the second step. */
    this.secondStep = body?.second_step;
  }
}

/** One call. A body is sent as JSON, a `Blob` as it is. Mails that it causes are written in the language of the page. */
export async function call(method, path, body) {
  const request = { method, credentials: 'same-origin', cache: 'no-store', headers: { Accept: 'application/json', 'Accept-Language': spoken() } };
  if (body !== undefined) {
    const isFile = body instanceof Blob;
    request.headers['Content-Type'] = isFile ? body.type : 'application/json';
    request.body = isFile ? body : JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(path, request);
  } catch {
    throw new ApiError(0);
  }
  const answer = await response.json().catch(() => null);
  if (!response.ok) throw new ApiError(response.status, answer, Number(response.headers.get('Retry-After')) || null);
  return answer;
}

export function query(parameters) {
  const given = Object.entries(parameters).filter(([, value]) => value !== undefined && value !== null);
  return given.length ? `?${new URLSearchParams(given)}` : '';
}

/** How many rooms, members, users or messages are asked for at once. */
export const PAGE = 50;
/** And chats: some screens of the list. */
export const CHATS_PAGE = 100;

export const api = {
  me: () => call('GET', '/me'),
  register: (username, password) => call('POST', '/register', { username, password }),
  login: (username, password) => call('POST', '/login', { username, password }),
  forgotPassword: (email) => call('POST', '/password/forgot', { email }),
  resetPassword: (token, next) => call('POST', '/password/reset', { token, new_password: next }),
  secondStep: (token, code) => call('POST', '/login/second-step', { token, code }),
  logout: () => call('POST', '/logout'),

  changeProfile: (changes) => call('PATCH', '/me', changes),
  pictureLimits: () => call('GET', '/avatars'),
  changePicture: (file) => call('PUT', '/me/avatar', file),
  removePicture: () => call('DELETE', '/me/avatar'),
  changePassword: (current, next) => call('POST', '/me/password', { current_password: current, new_password: next }),
  email: () => call('GET', '/me/email'),
  changeEmail: (email, password) => call('PUT', '/me/email', { email, password }),
  verifyEmail: (token) => call('POST', '/email/verify', { token }),
  secondFactor: () => call('GET', '/me/second-factor'),
  beginSecondFactor: (password) => call('POST', '/me/second-factor', { password }),
  confirmSecondFactor: (code) => call('POST', '/me/second-factor/confirm', { code }),
  removeSecondFactor: (password, code) => call('POST', '/me/second-factor/remove', { password, code }),
  deleteAccount: (password) => call('POST', '/me/delete', { password }),
  sessions: () => call('GET', '/me/sessions'),
  endSession: (id) => call('DELETE', `/me/sessions/${id}`),
  endOtherSessions: () => call('DELETE', '/me/sessions'),

  // These three answer `{items, next}`; `next` is the `after` of the next page, or null.
  rooms: (after, text) => call('GET', `/rooms${query({ limit: PAGE, after, query: text })}`),
  users: (text) => call('GET', `/users${query({ query: text, limit: 20 })}`),
  members: (id, after, limit = PAGE) => call('GET', `/chats/${id}/members${query({ limit, after })}`),

  /** The chats of the list behind this one. */
  chats: (before) => call('GET', `/chats${query({ limit: CHATS_PAGE, before })}`),
  setChat: (id, change) => call('PATCH', `/chats/${id}/me`, change),

  createChat: (chat) => call('POST', '/chats', chat),
  rename: (id, name) => call('PATCH', `/chats/${id}`, { name }),
  deleteChat: (id) => call('DELETE', `/chats/${id}`),
  join: (id) => call('POST', `/chats/${id}/join`),
  leave: (id) => call('POST', `/chats/${id}/leave`),
  unblock: (userId) => call('DELETE', `/me/blocklist/${userId}`),
  blocklist: (after) => call('GET', `/me/blocklist${query({ limit: PAGE, after })}`),
  block: (userId) => call('PUT', `/me/blocklist/${userId}`),

  addMember: (id, userId) => call('POST', `/chats/${id}/members`, { user_id: userId }),
  removeMember: (id, userId) => call('DELETE', `/chats/${id}/members/${userId}`),

  chat: (id) => call('GET', `/chats/${id}`),

  /**
   * Messages before one, after one, around one or the newest, oldest first, and whether there may be `older` and `newer`
   * ones. Around one are half of them up to it and half behind it.
   */
  history: async (id, where, limit = PAGE) => {
    const messages = (await call('GET', `/chats/${id}/messages${query({ limit, ...where })}`)).map(message);
    const isFull = messages.length === limit;
    if (where.around === undefined) return { messages, older: isFull, newer: isFull && where.after !== undefined };
    const upTo = messages.filter((one) => one.id <= where.around).length;
    const behind = messages.length - upTo;
    // A server of the version before knows no `around` and answers the newest.
    return { messages, older: upTo === limit / 2 || behind > limit / 2, newer: behind === limit / 2 };
  },
};

function message(row) {
  return {
    kind: 'message',
    id: row.id,
    sender: { id: row.sender_id, username: row.username, name: row.name, avatar: row.avatar, guest: row.guest || undefined },
    text: row.text,
    timestamp: row.timestamp,
    clientId: row.client_message_id ?? undefined,
    replyTo: row.reply_to ?? undefined,
    editedAt: row.edited_at ?? undefined,
  };
}
