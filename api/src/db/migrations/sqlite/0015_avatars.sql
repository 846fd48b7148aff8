-- Uploaded pictures that may be in the store and that no account names: `accounts/avatar.rs` says how they come and go.
-- Additive: older programs go on beside it. An account names its picture in `users.avatar`, by the path on this server.

CREATE TABLE unused_avatars (
    avatar TEXT PRIMARY KEY,
    since INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX unused_avatars_since ON unused_avatars (since);

INSERT INTO meta (key, value) VALUES ('oldest_program_15', '4');
