-- What a member has set for the chat. Additive: older programs go on beside it.

ALTER TABLE members ADD COLUMN muted INTEGER NOT NULL DEFAULT FALSE;
ALTER TABLE members ADD COLUMN pinned INTEGER NOT NULL DEFAULT FALSE;
-- Put aside until a message comes after this event; NULL: not put aside. So no message writes to all members.
ALTER TABLE members ADD COLUMN archived_upto INTEGER;
-- Shown as unread until the member marks something as read, or writes.
ALTER TABLE members ADD COLUMN marked_unread INTEGER NOT NULL DEFAULT FALSE;

INSERT INTO meta (key, value) VALUES ('oldest_program_12', '4');
