// The administrators' REST calls. Each list answers `{items, next}`.

import { call, query } from './api.js';

const PAGE = 50;

export const adminApi = {
  people: ({ text, show }, before) => call('GET', `/admin/users${query({ query: text || null, show, before, limit: PAGE })}`),
  person: (id) => call('GET', `/admin/users/${id}`),
  setRole: (id, role, reason) => call('PUT', `/admin/users/${id}/role`, { role, reason }),
  passwordLink: (id) => call('POST', `/admin/users/${id}/password-link`),
  block: (name, reason) => call('POST', `/blockuser${query({ username: name, reason })}`),
  unblock: (name, reason) => call('POST', `/unblockuser${query({ username: name, reason })}`),
  removePicture: (id, reason) => call('DELETE', `/admin/users/${id}/avatar${query({ reason })}`),
  sessions: (id) => call('GET', `/admin/users/${id}/sessions`),
  endSessions: (id, reason) => call('DELETE', `/admin/users/${id}/sessions${query({ reason })}`),
  endSession: (id, session, reason) => call('DELETE', `/admin/users/${id}/sessions/${session}${query({ reason })}`),
  connections: (id) => call('GET', `/admin/users/${id}/connections`),
  disconnect: (id, connection, reason) => call('DELETE', `/admin/users/${id}/connections${query({ connection, reason })}`),

  chats: ({ text, kind, owner }, before) => call('GET', `/admin/chats${query({ query: text || null, kind: kind || null, owner, before, limit: PAGE })}`),
  members: (id, after) => call('GET', `/admin/chats/${id}/members${query({ after, limit: PAGE })}`),

  nodes: () => call('GET', '/admin/nodes'),
  audit: (filter, before) => call('GET', `/admin/audit${query({ ...filter, before, limit: PAGE })}`),
  /** Of a gateway, or of the api that answers. */
  settings: (node) => call('GET', `/admin/settings${query({ node })}`),

  announcement: () => call('GET', '/admin/announcement'),
  announce: (text, hours) => call('PUT', '/admin/announcement', hours ? { text, hours } : { text }),
  withdraw: () => call('DELETE', '/admin/announcement'),
};
