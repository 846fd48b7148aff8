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

-- When guests came last, to the hour, for those who may yet be removed.
CREATE TABLE guest_visits (
    user_id BIGINT PRIMARY KEY,
    seen_at BIGINT NOT NULL
);
CREATE INDEX guest_visits_by_time ON guest_visits (seen_at);
INSERT INTO guest_visits (user_id, seen_at) SELECT id, created_at FROM users WHERE guest;

-- What is removed when its time is over. A row of `meta` says until when whoever does that rests, and is
-- held by whoever does.
CREATE TABLE chores (
    name TEXT PRIMARY KEY,
    worked_at BIGINT NOT NULL, -- the newest step
    next_at BIGINT NOT NULL, -- the next one, at the earliest
    finished_at BIGINT NOT NULL, -- when nothing was left to be done
    place TEXT NOT NULL DEFAULT '' -- how far it has walked
);
INSERT INTO chores (name, worked_at, next_at, finished_at)
SELECT name, 0, 0, now FROM clock CROSS JOIN (
    SELECT 'members' AS name UNION ALL SELECT 'chats' UNION ALL SELECT 'sessions'
    UNION ALL SELECT 'guests' UNION ALL SELECT 'edits' UNION ALL SELECT 'departures'
    UNION ALL SELECT 'wakes') AS names;
INSERT INTO meta (key, value) VALUES ('retention_rests_until', '0');

CREATE INDEX edits_by_time ON edits (created_at);
CREATE INDEX chats_deleted ON chats (deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX chats_deleted_with_members ON chats (deleted_at)
    WHERE deleted_at IS NOT NULL AND member_count > 0;

INSERT INTO meta (key, value) VALUES ('oldest_program_7', '4');
