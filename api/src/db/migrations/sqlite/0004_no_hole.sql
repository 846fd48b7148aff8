-- What makes repeats and repairs complete. Additive: older programs go on beside it.

-- A chat's events that are neither messages nor members who come and go. No foreign keys, as for
-- `messages`.
CREATE TABLE chat_events (
    chat_id INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    change TEXT NOT NULL CHECK (change IN ('renamed', 'owner')),
    user_id INTEGER, -- the new owner
    name TEXT, -- the new one
    by_user INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (chat_id, seq)
);

-- Edits that their clients named, so that one that is sent again is not made again.
CREATE TABLE edits (
    chat_id INTEGER NOT NULL,
    message_id INTEGER NOT NULL,
    fingerprint TEXT NOT NULL, -- of the client's name for the edit and the text
    seq INTEGER NOT NULL, -- the event that it made
    created_at INTEGER NOT NULL,
    PRIMARY KEY (chat_id, message_id, fingerprint)
);

-- Who left a room in the last day: departures from rooms make no event.
CREATE TABLE departures (
    chat_id INTEGER NOT NULL,
    user_id INTEGER NOT NULL,
    parted_at INTEGER NOT NULL,
    PRIMARY KEY (chat_id, user_id)
);
CREATE INDEX departures_by_time ON departures (parted_at);
