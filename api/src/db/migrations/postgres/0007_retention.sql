-- What lets old rows go. Additive: older programs go on beside it.

-- Who was woken by a message in the last day, and after which of the chat's events: for gateways that the
-- bus did not reach.
CREATE TABLE wakes (
    woken_at BIGINT NOT NULL,
    chat_id BIGINT NOT NULL,
    user_id BIGINT NOT NULL,
    after BIGINT NOT NULL,
    PRIMARY KEY (woken_at, chat_id, user_id)
);
