-- What unread counts go by: each message knows its place among its chat's messages, each member the place
-- that they have seen. Additive: older programs go on beside it, and what they write is numbered later
-- (`chats/ordinals.rs`). The indexes that belong to it are made beside the writers (`db/indexes.rs`).

ALTER TABLE messages ADD COLUMN ordinal BIGINT; -- 1, 2, 3 … in its chat; NULL: not numbered yet

ALTER TABLE chats
    ADD COLUMN sent_count BIGINT NOT NULL DEFAULT 0, -- messages ever made: the newest one's ordinal
    ADD COLUMN sent_seq BIGINT NOT NULL DEFAULT 0, -- numbered up to this event; all of it if that is last_seq
    ADD COLUMN newest BIGINT NOT NULL DEFAULT 0; -- the ordinal of the newest message that is not deleted

-- The ordinal up to which the member has seen, by a read mark or by having written. NULL: not known yet.
ALTER TABLE members ADD COLUMN seen BIGINT;

INSERT INTO meta (key, value) VALUES ('oldest_program_5', '4');
