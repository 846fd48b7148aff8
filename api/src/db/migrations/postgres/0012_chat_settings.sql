-- What a member has set for the chat. Additive: older programs go on beside it. No index names any of these
-- columns, or a message could not update its sender's row in place.

ALTER TABLE members
    ADD COLUMN muted BOOLEAN NOT NULL DEFAULT FALSE,
    ADD COLUMN pinned BOOLEAN NOT NULL DEFAULT FALSE,
    -- Put aside until a message comes after this event; NULL: not put aside. So no message writes to all members.
    ADD COLUMN archived_upto BIGINT,
    -- Shown as unread until the member marks something as read, or writes.
    ADD COLUMN marked_unread BOOLEAN NOT NULL DEFAULT FALSE;

INSERT INTO meta (key, value) VALUES ('oldest_program_12', '4');
