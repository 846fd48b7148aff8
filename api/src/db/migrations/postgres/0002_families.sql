-- What the five client families need: guests, the lobby's statistics, the log of administrators' acts.

-- Somebody without an account, who chose a name in the lobby. Its username_key begins with '@',
-- which no account's does, so a guest's name takes nothing from anybody.
ALTER TABLE users ADD COLUMN guest BOOLEAN NOT NULL DEFAULT FALSE;

-- A row for each chat whose numbers are kept: the lobby. Changed in the transaction that changes
-- the messages, under the lock of the chat's row.
CREATE TABLE statistics (
    chat_id BIGINT PRIMARY KEY,
    sender_count BIGINT NOT NULL, -- with at least one message
    text_chars BIGINT NOT NULL, -- of all messages together
    day BIGINT NOT NULL, -- days since 1970, UTC
    day_count BIGINT NOT NULL -- messages of that day
);

-- Messages of each sender in such a chat, without deleted ones.
CREATE TABLE senders (
    chat_id BIGINT NOT NULL,
    user_id BIGINT NOT NULL,
    message_count BIGINT NOT NULL,
    PRIMARY KEY (chat_id, user_id)
);
CREATE INDEX senders_by_count ON senders (chat_id, message_count DESC, user_id);

-- Messages of each stretch of 4096 ids in such a chat, without deleted ones: where an offset lies is
-- found by adding these up, not by walking over millions of messages.
CREATE TABLE stretches (
    chat_id BIGINT NOT NULL,
    stretch BIGINT NOT NULL, -- id / 4096
    message_count BIGINT NOT NULL,
    PRIMARY KEY (chat_id, stretch)
);

INSERT INTO senders (chat_id, user_id, message_count)
SELECT chat_id, sender_id, count(*) FROM messages WHERE chat_id = 1 AND deleted_at IS NULL
GROUP BY chat_id, sender_id;
INSERT INTO stretches (chat_id, stretch, message_count)
SELECT chat_id, id / 4096, count(*) FROM messages WHERE chat_id = 1 AND deleted_at IS NULL
GROUP BY chat_id, id / 4096;
INSERT INTO statistics (chat_id, sender_count, text_chars, day, day_count)
SELECT 1, count(DISTINCT m.sender_id), COALESCE(SUM(length(m.text)), 0), c.now / 86400000,
    count(*) FILTER (WHERE m.created_at / 86400000 = c.now / 86400000)
FROM (SELECT now FROM clock) c LEFT JOIN messages m ON m.chat_id = 1 AND m.deleted_at IS NULL
GROUP BY c.now;

-- One person's messages in the lobby. Only there anybody asks for them.
CREATE INDEX messages_of_sender_in_lobby ON messages (sender_id, id) WHERE chat_id = 1;

-- What administrators did. Only ever appended to.
CREATE TABLE audit_log (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at BIGINT NOT NULL,
    actor_id BIGINT REFERENCES users, -- NULL: the operator, on the command line
    action TEXT NOT NULL,
    user_id BIGINT REFERENCES users, -- to whom
    chat_id BIGINT REFERENCES chats, -- in which chat
    message_id BIGINT,
    reason TEXT NOT NULL DEFAULT ''
);
CREATE FUNCTION audit_log_stays() RETURNS TRIGGER LANGUAGE plpgsql AS
    $$BEGIN RAISE EXCEPTION 'the audit log is only appended to'; END$$;
CREATE TRIGGER audit_log_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION audit_log_stays();
