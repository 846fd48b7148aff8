-- The schema's first state. Times are milliseconds since 1970 by the database's clock. All that
-- belongs to a chat is keyed by chat_id first, so that its tables can be partitioned or distributed
-- by it.

CREATE VIEW clock AS SELECT CAST(round(unixepoch('subsec') * 1000) AS INTEGER) AS now;

CREATE TABLE meta (
    key TEXT PRIMARY KEY NOT NULL,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
-- Names this database: cursors of another one mean nothing here.
INSERT INTO meta (key, value) VALUES ('epoch', lower(hex(randomblob(16))));

CREATE TABLE users (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    username TEXT NOT NULL,
    username_key TEXT NOT NULL UNIQUE, -- in lower case
    email TEXT,
    email_key TEXT UNIQUE, -- in lower case
    name TEXT NOT NULL,
    avatar TEXT NOT NULL DEFAULT '',
    role TEXT NOT NULL DEFAULT 'user' CHECK (role IN ('user', 'admin')),
    password_hash TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    blocked_at INTEGER,
    deactivated_at INTEGER
) STRICT;

CREATE TABLE sessions (
    id TEXT PRIMARY KEY NOT NULL,
    user_id INTEGER NOT NULL REFERENCES users,
    refresh_hash TEXT NOT NULL UNIQUE,
    previous_refresh_hash TEXT, -- one that comes back was copied
    user_agent TEXT NOT NULL DEFAULT '',
    created_at INTEGER NOT NULL,
    last_used_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    ended_at INTEGER,
    end_reason TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_by_user ON sessions (user_id);
CREATE INDEX sessions_by_previous ON sessions (previous_refresh_hash)
    WHERE previous_refresh_hash IS NOT NULL;
CREATE INDEX sessions_by_end ON sessions (ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE chats (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    chat_type TEXT NOT NULL CHECK (chat_type IN ('private', 'group', 'room')),
    name TEXT NOT NULL,
    pair_key TEXT UNIQUE, -- private: '3:9', the lower user first
    created_by INTEGER REFERENCES users,
    created_at INTEGER NOT NULL,
    changed_at INTEGER NOT NULL, -- the newest event, or the deletion
    last_seq INTEGER NOT NULL DEFAULT 0,
    message_count INTEGER NOT NULL DEFAULT 0, -- without deleted ones
    member_count INTEGER NOT NULL DEFAULT 0,
    deleted_at INTEGER
) STRICT;
CREATE INDEX chats_by_change ON chats (changed_at);
CREATE INDEX chats_rooms ON chats (id) WHERE chat_type = 'room' AND deleted_at IS NULL;

CREATE TABLE members (
    chat_id INTEGER NOT NULL REFERENCES chats,
    user_id INTEGER NOT NULL REFERENCES users,
    role TEXT NOT NULL DEFAULT 'member' CHECK (role IN ('owner', 'member')),
    joined_at INTEGER NOT NULL,
    last_read INTEGER NOT NULL DEFAULT 0,
    dormant INTEGER NOT NULL DEFAULT FALSE, -- this user's connections may not hold the chat live
    PRIMARY KEY (chat_id, user_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX members_by_user ON members (user_id, chat_id);
CREATE INDEX members_by_join ON members (joined_at);
CREATE INDEX members_dormant ON members (chat_id) WHERE dormant;

-- No foreign keys on the two tables that every event is written to: their rows are made only under
-- the lock of their chat's row and with their users read, and neither is ever removed.
CREATE TABLE messages (
    chat_id INTEGER NOT NULL,
    id INTEGER NOT NULL, -- the seq of its creation
    seq INTEGER NOT NULL, -- of its last change
    sender_id INTEGER NOT NULL,
    client_message_id TEXT NOT NULL,
    text TEXT NOT NULL, -- empty when deleted
    reply_to INTEGER,
    created_at INTEGER NOT NULL,
    edited_at INTEGER,
    deleted_at INTEGER,
    deleted_by INTEGER,
    PRIMARY KEY (chat_id, id),
    UNIQUE (chat_id, sender_id, client_message_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX messages_changed ON messages (chat_id, seq) WHERE seq <> id;

CREATE TABLE member_events (
    chat_id INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    user_id INTEGER NOT NULL,
    change TEXT NOT NULL CHECK (change IN ('joined', 'left', 'removed')),
    by_user INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (chat_id, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX member_events_by_time ON member_events (created_at);

INSERT INTO chats (chat_type, name, created_at, changed_at)
SELECT 'room', 'lobby', now, now FROM clock;
