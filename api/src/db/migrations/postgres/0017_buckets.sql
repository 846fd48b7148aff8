-- What lets chats lie on several servers. A chat's id carries its bucket: `n * 4096 + bucket`. Nothing ties the rows of a
-- chat to rows that may be elsewhere. Additive: older programs go on beside it, and the ids of their chats carry random
-- buckets.

-- In one go, and all of them, because dropping the ties takes them one after the other. Whoever holds one and waits
-- for another one gives up, or this does and is tried again.
LOCK TABLE chats, members, bans, users IN ACCESS EXCLUSIVE MODE;

-- Of this server's chats: what makes their ids unique together with the bucket, which is on one server at a time. The
-- newest one is found by its index, however small the table is: nobody writes meanwhile.
CREATE SEQUENCE chat_numbers;
SET LOCAL enable_seqscan = off;
SELECT setval('chat_numbers', (SELECT max(id) / 4096 + 1 FROM chats), FALSE);

-- Programs choose the bucket: that of a pair for a private chat, which makes `pair_key` unique in its bucket.
CREATE FUNCTION next_chat_id(bucket BIGINT) RETURNS BIGINT LANGUAGE sql AS
    $$SELECT nextval('chat_numbers') * 4096 + bucket$$;

ALTER TABLE chats
    ALTER COLUMN id DROP IDENTITY,
    ALTER COLUMN id SET DEFAULT next_chat_id(floor(random() * 4096)::BIGINT);

-- Members and bans are written under the lock of their chat's row, which is there and not deleted, with their users
-- read in the same transaction, or in one before it; the chat's row goes after them (`retention/chore.rs`). Users stay,
-- but for guests who have not written and are not banned, and guests become members of nothing.
ALTER TABLE members
    DROP CONSTRAINT members_chat_id_fkey,
    DROP CONSTRAINT members_user_id_fkey;
ALTER TABLE bans
    DROP CONSTRAINT bans_chat_id_fkey,
    DROP CONSTRAINT bans_user_id_fkey,
    DROP CONSTRAINT bans_banned_by_fkey;

INSERT INTO meta (key, value) VALUES ('oldest_program_17', '4');
