-- What keeps strangers from costing anybody anything. Additive: older programs go on beside it.

-- Who has put this member into the chat, as long as the member has not accepted: an invitation.
ALTER TABLE members ADD COLUMN invited_by BIGINT;
-- This member of a private chat writes nothing there: the other one has blocked it.
ALTER TABLE members ADD COLUMN silenced BOOLEAN NOT NULL DEFAULT FALSE;

-- Who is kept out of a room.
CREATE TABLE bans (
    chat_id BIGINT NOT NULL REFERENCES chats,
    user_id BIGINT NOT NULL REFERENCES users,
    banned_at BIGINT NOT NULL,
    ends_at BIGINT, -- NULL: it does not end by itself
    banned_by BIGINT NOT NULL REFERENCES users,
    reason TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (chat_id, user_id)
);
CREATE INDEX bans_by_time ON bans (banned_at);

-- Whom a person does not want to hear from.
CREATE TABLE blocklist (
    user_id BIGINT NOT NULL REFERENCES users, -- whose list it is
    blocked_id BIGINT NOT NULL REFERENCES users,
    blocked_at BIGINT NOT NULL,
    PRIMARY KEY (user_id, blocked_id)
);

-- Programs from before go on beside it: they know no bans, and take invitations for members.
INSERT INTO meta (key, value) VALUES ('oldest_program_6', '4');
