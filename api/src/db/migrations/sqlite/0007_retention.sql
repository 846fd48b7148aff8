-- What lets old rows go. Additive: older programs go on beside it.

-- Who was woken by a message in the last day, and after which of the chat's events: for gateways that the
-- bus did not reach.
CREATE TABLE wakes (
    woken_at INTEGER NOT NULL,
    chat_id INTEGER NOT NULL,
    user_id INTEGER NOT NULL,
    after INTEGER NOT NULL,
    PRIMARY KEY (woken_at, chat_id, user_id)
) STRICT, WITHOUT ROWID;
