-- Two functions that store messages which nothing is odd about, in one call: `post_one` a single one, as most
-- are that come alone, and `post_plain` any number. `chats/post/plain.rs` says which messages these are. A chat
-- that is odd for all who write to it is declined at once: all answers are NULL. Anything else is taken for
-- granted; what is wrong with it raises SB001, or violates the unique key of `messages` when it was sent before,
-- and then nothing is stored. Why is not for them to say. Members who are marked dormant between that look and
-- the lock are for `changed` to find, as those are who are marked a moment later.
--
-- The update is what locks a chat. What follows it reads a later state, and a later time, than whoever held the
-- chat before has left. The sender has read the chat up to the message. `members.marked_unread` comes with the next
-- script: nobody calls these before.

CREATE FUNCTION post_one(
    patience TEXT, -- waits for the chat no longer than this; NULL: than the session does
    chat BIGINT, sender BIGINT, key TEXT, body TEXT, answered BIGINT, -- the message that it replies to
    OUT sent_at BIGINT,
    OUT last_seqs BIGINT[], -- of the chat
    OUT usernames TEXT[], -- of the sender
    OUT names TEXT[], -- the sender's display name
    OUT avatars TEXT[] -- what the sender names as its picture
) LANGUAGE plpgsql
AS $$
DECLARE
    made BIGINT;
    place BIGINT;
    is_room BOOLEAN;
    username TEXT;
    name TEXT;
    avatar TEXT;
BEGIN
    IF EXISTS (SELECT FROM statistics k WHERE k.chat_id = chat)
        OR EXISTS (SELECT FROM members d WHERE d.chat_id = chat AND d.dormant)
    THEN
        RETURN;
    END IF;
    IF patience IS NOT NULL THEN
        PERFORM set_config('lock_timeout', patience, TRUE);
    END IF;
    UPDATE chats c SET
        last_seq = c.last_seq + 1, message_count = c.message_count + 1, sent_count = c.sent_count + 1,
        sent_seq = c.sent_seq + 1, newest = c.sent_count + 1,
        changed_at = (extract(epoch FROM clock_timestamp()) * 1000)::BIGINT
    WHERE c.id = chat AND c.deleted_at IS NULL AND c.sent_seq = c.last_seq
    RETURNING c.last_seq, c.sent_count, c.chat_type = 'room' INTO made, place, is_room;
    IF made IS NULL THEN
        RETURN;
    END IF;
    SELECT u.username, u.name, u.avatar INTO username, name, avatar
    FROM users u LEFT JOIN members m ON m.chat_id = chat AND m.user_id = u.id
    WHERE u.id = sender AND u.blocked_at IS NULL AND u.deactivated_at IS NULL AND NOT u.guest
        AND CASE WHEN m.user_id IS NOT NULL THEN NOT m.silenced
            ELSE is_room AND NOT EXISTS (
                SELECT FROM bans b WHERE b.chat_id = chat AND b.user_id = u.id) END
        AND (answered IS NULL OR EXISTS (
            SELECT FROM messages x WHERE x.chat_id = chat AND x.id = answered));
    IF username IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'SB001', MESSAGE = 'the message is not plain';
    END IF;
    sent_at := (extract(epoch FROM clock_timestamp()) * 1000)::BIGINT;
    INSERT INTO messages (chat_id, id, seq, sender_id, client_message_id, text, reply_to, ordinal, created_at)
    VALUES (chat, made, made, sender, key, body, answered, place, sent_at);
    UPDATE members m SET seen = place, last_read = made, marked_unread = FALSE, invited_by = NULL
    WHERE m.chat_id = chat AND m.user_id = sender;
    last_seqs := ARRAY[made];
    usernames := ARRAY[username];
    names := ARRAY[name];
    avatars := ARRAY[avatar];
    INSERT INTO changes (at, chats, seqs) VALUES (sent_at, ARRAY[chat], last_seqs);
END$$;

-- The chats come in the order of their ids, each once, and the update locks them in that order.
CREATE FUNCTION post_plain(
    patience TEXT, -- waits for no chat longer than this; NULL: than the session does
    chat_ids BIGINT[],
    chat_counts BIGINT[], -- messages in each
    -- Each message: its chat, that chat's place in the list, and which of those in the chat it is, from 1 on.
    message_chats BIGINT[], message_places BIGINT[], message_numbers BIGINT[],
    message_senders BIGINT[], message_keys TEXT[], message_texts TEXT[], message_answered BIGINT[],
    -- Each sender's newest message in a chat, by chat and sender: everybody locks members in this order.
    seen_chats BIGINT[], seen_users BIGINT[], seen_places BIGINT[], seen_numbers BIGINT[],
    OUT sent_at BIGINT,
    OUT last_seqs BIGINT[], -- of each chat
    OUT usernames TEXT[], -- of each message's sender
    OUT names TEXT[], -- the display name of each message's sender
    OUT avatars TEXT[] -- what each message's sender names as its picture
) LANGUAGE plpgsql
-- An index scan takes the chats in the order of their ids, a bitmap scan as they lie on the disk.
SET enable_bitmapscan = off
AS $$
DECLARE
    ordinals BIGINT[];
    are_rooms BOOLEAN[];
BEGIN
    IF EXISTS (SELECT FROM statistics k WHERE k.chat_id = ANY (chat_ids))
        OR EXISTS (SELECT FROM members d WHERE d.chat_id = ANY (chat_ids) AND d.dormant)
    THEN
        RETURN;
    END IF;
    IF patience IS NOT NULL THEN
        PERFORM set_config('lock_timeout', patience, TRUE);
    END IF;
    -- No join, which would walk over all chats when it is planned while there are few.
    WITH numbered AS (
        UPDATE chats c SET
            last_seq = c.last_seq + chat_counts[array_position(chat_ids, c.id)],
            message_count = c.message_count + chat_counts[array_position(chat_ids, c.id)],
            sent_count = c.sent_count + chat_counts[array_position(chat_ids, c.id)],
            sent_seq = c.sent_seq + chat_counts[array_position(chat_ids, c.id)],
            newest = c.sent_count + chat_counts[array_position(chat_ids, c.id)],
            changed_at = (extract(epoch FROM clock_timestamp()) * 1000)::BIGINT
        WHERE c.id = ANY (chat_ids) AND c.deleted_at IS NULL AND c.sent_seq = c.last_seq
        RETURNING c.id, c.last_seq, c.sent_count, c.chat_type = 'room' AS is_room)
    SELECT array_agg(o.last_seq), array_agg(o.sent_count), array_agg(o.is_room)
    INTO last_seqs, ordinals, are_rooms
    FROM (SELECT * FROM numbered ORDER BY id) o;
    sent_at := (extract(epoch FROM clock_timestamp()) * 1000)::BIGINT;
    IF cardinality(last_seqs) IS DISTINCT FROM cardinality(chat_ids) THEN
        RAISE EXCEPTION USING ERRCODE = 'SB001', MESSAGE = 'not all of the chats are plain';
    END IF;
    WITH plain AS (
        SELECT r.*, u.username, u.name, u.avatar
        FROM UNNEST(message_chats, message_places, message_numbers, message_senders, message_keys, message_texts,
            message_answered) WITH ORDINALITY AS r (chat_id, place, number, sender_id, key, text, reply_to, turn)
        LEFT JOIN users u ON u.id = r.sender_id
        LEFT JOIN members m ON m.chat_id = r.chat_id AND m.user_id = r.sender_id
        WHERE u.blocked_at IS NULL AND u.deactivated_at IS NULL AND NOT COALESCE(u.guest, TRUE)
            AND CASE WHEN m.user_id IS NOT NULL THEN NOT m.silenced
                ELSE are_rooms[r.place] AND NOT EXISTS (
                    SELECT FROM bans b WHERE b.chat_id = r.chat_id AND b.user_id = r.sender_id) END
            -- No EXISTS, for which all messages may be read.
            AND (r.reply_to IS NULL OR (
                SELECT TRUE FROM messages x WHERE x.chat_id = r.chat_id AND x.id = r.reply_to))),
    stored AS (
        INSERT INTO messages
            (chat_id, id, seq, sender_id, client_message_id, text, reply_to, ordinal, created_at)
        SELECT p.chat_id, s.id, s.id, p.sender_id, p.key, p.text, p.reply_to,
            ordinals[p.place] - chat_counts[p.place] + p.number, sent_at
        FROM plain p CROSS JOIN LATERAL (
            SELECT last_seqs[p.place] - chat_counts[p.place] + p.number AS id OFFSET 0) s),
    seen AS (
        UPDATE members m SET seen = ordinals[r.place] - chat_counts[r.place] + r.number,
            last_read = last_seqs[r.place] - chat_counts[r.place] + r.number, marked_unread = FALSE, invited_by = NULL
        FROM UNNEST(seen_chats, seen_users, seen_places, seen_numbers) AS r (chat_id, user_id, place, number)
        WHERE m.chat_id = r.chat_id AND m.user_id = r.user_id),
    noted AS (INSERT INTO changes (at, chats, seqs) VALUES (sent_at, chat_ids, last_seqs))
    SELECT array_agg(p.username ORDER BY p.turn), array_agg(p.name ORDER BY p.turn),
        array_agg(p.avatar ORDER BY p.turn)
    INTO usernames, names, avatars
    FROM plain p;
    IF cardinality(usernames) IS DISTINCT FROM cardinality(message_senders) THEN
        RAISE EXCEPTION USING ERRCODE = 'SB001', MESSAGE = 'not all of the messages are plain';
    END IF;
END$$;

INSERT INTO meta (key, value) VALUES ('oldest_program_11', '4');
