-- What unread counts go by: each message knows its place among its chat's messages, each member the place
-- that they have seen. Additive: older programs go on beside it, and what they write is numbered later
-- (`chats/ordinals.rs`).

ALTER TABLE messages ADD COLUMN ordinal INTEGER; -- 1, 2, 3 … in its chat; NULL: not numbered yet

ALTER TABLE chats ADD COLUMN sent_count INTEGER NOT NULL DEFAULT 0; -- messages ever made: the newest one's ordinal
-- Numbered up to this event; all of it if that is last_seq.
ALTER TABLE chats ADD COLUMN sent_seq INTEGER NOT NULL DEFAULT 0;
ALTER TABLE chats ADD COLUMN newest INTEGER NOT NULL DEFAULT 0; -- the ordinal of the newest message that is not deleted

-- The ordinal up to which the member has seen, by a read mark or by having written. NULL: not known yet.
ALTER TABLE members ADD COLUMN seen INTEGER;

INSERT INTO meta (key, value) VALUES ('oldest_program_5', '4');

CREATE INDEX chats_unnumbered ON chats (id) WHERE sent_seq <> last_seq AND deleted_at IS NULL;
-- Pages, however many deleted messages lie between.
CREATE INDEX messages_living ON messages (chat_id, id) WHERE deleted_at IS NULL;
