-- What makes repeats and repairs complete. Additive: older programs go on beside it.

-- A chat's events that are neither messages nor members who come and go. No foreign keys, as for
-- `messages`.
CREATE TABLE chat_events (
    chat_id BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    change TEXT NOT NULL CHECK (change IN ('renamed', 'owner')),
    user_id BIGINT, -- the new owner
    name TEXT, -- the new one
    by_user BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (chat_id, seq)
);

-- Edits that their clients named, so that one that is sent again is not made again.
CREATE TABLE edits (
    chat_id BIGINT NOT NULL,
    message_id BIGINT NOT NULL,
    fingerprint TEXT NOT NULL, -- of the client's name for the edit and the text
    seq BIGINT NOT NULL, -- the event that it made
    created_at BIGINT NOT NULL,
    PRIMARY KEY (chat_id, message_id, fingerprint)
);

-- Who left a room in the last day: departures from rooms make no event.
CREATE TABLE departures (
    chat_id BIGINT NOT NULL,
    user_id BIGINT NOT NULL,
    parted_at BIGINT NOT NULL,
    PRIMARY KEY (chat_id, user_id)
);
CREATE INDEX departures_by_time ON departures (parted_at);
