-- Ties that keep what is over from being removed, and indexes that no query uses. Older programs go on
-- without them.

-- The log outlives what it tells of: chats are removed, and guests.
ALTER TABLE audit_log
    DROP CONSTRAINT audit_log_actor_id_fkey,
    DROP CONSTRAINT audit_log_user_id_fkey,
    DROP CONSTRAINT audit_log_chat_id_fkey;

-- Each guest that is removed would be looked for in all chats, and guests make none.
ALTER TABLE chats DROP CONSTRAINT chats_created_by_fkey;

-- Refresh tokens are found by their session. Without these, renewing one changes no index.
ALTER TABLE sessions DROP CONSTRAINT sessions_refresh_hash;
DROP INDEX sessions_by_previous;

INSERT INTO meta (key, value) VALUES ('oldest_program_8', '4');
