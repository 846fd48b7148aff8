-- Ties that keep what is over from being removed, and indexes that no query uses. Older programs go on
-- without them. SQLite cannot drop a constraint: the tables are made anew.

-- The log outlives what it tells of: chats are removed, and guests.
CREATE TABLE audit_log_untied (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    actor_id INTEGER, -- NULL: the operator, on the command line
    action TEXT NOT NULL,
    user_id INTEGER, -- to whom
    chat_id INTEGER, -- in which chat
    message_id INTEGER,
    reason TEXT NOT NULL DEFAULT ''
) STRICT;
INSERT INTO audit_log_untied (id, at, actor_id, action, user_id, chat_id, message_id, reason)
SELECT id, at, actor_id, action, user_id, chat_id, message_id, reason FROM audit_log ORDER BY id;
DROP TABLE audit_log;
ALTER TABLE audit_log_untied RENAME TO audit_log;
CREATE TRIGGER audit_log_stays BEFORE UPDATE ON audit_log
BEGIN SELECT RAISE(ABORT, 'the audit log is only appended to'); END;
CREATE TRIGGER audit_log_keeps BEFORE DELETE ON audit_log
BEGIN SELECT RAISE(ABORT, 'the audit log is only appended to'); END;

-- Each guest that is removed is looked for among those who made chats: too much refers to that table for
-- making it anew, as would be needed to drop the foreign key.
CREATE INDEX chats_by_creator ON chats (created_by);

-- Refresh tokens are found by their session. Without these, renewing one changes no index.
CREATE TABLE sessions_untied (
    id TEXT PRIMARY KEY NOT NULL,
    user_id INTEGER NOT NULL REFERENCES users,
    refresh_hash TEXT NOT NULL,
    previous_refresh_hash TEXT, -- one that comes back was copied
    user_agent TEXT NOT NULL DEFAULT '',
    created_at INTEGER NOT NULL,
    last_used_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    ended_at INTEGER,
    end_reason TEXT
) STRICT, WITHOUT ROWID;
INSERT INTO sessions_untied (id, user_id, refresh_hash, previous_refresh_hash, user_agent, created_at,
    last_used_at, expires_at, ended_at, end_reason)
SELECT id, user_id, refresh_hash, previous_refresh_hash, user_agent, created_at,
    last_used_at, expires_at, ended_at, end_reason FROM sessions ORDER BY id;
DROP TABLE sessions;
ALTER TABLE sessions_untied RENAME TO sessions;
CREATE INDEX sessions_by_user ON sessions (user_id);
CREATE INDEX sessions_by_end ON sessions (ended_at) WHERE ended_at IS NOT NULL;

INSERT INTO meta (key, value) VALUES ('oldest_program_8', '4');
