-- What administration looks for. Additive: older programs go on beside it.

CREATE INDEX users_admins ON users (id) WHERE role = 'admin';
CREATE INDEX users_blocked ON users (id) WHERE blocked_at IS NOT NULL;
CREATE INDEX users_guests ON users (id) WHERE guest;

-- What administrators tell everybody who is connected: one text at a time.
CREATE TABLE announcement (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    text TEXT, -- NULL: withdrawn
    made_by INTEGER, -- NULL: the operator, on the command line
    made_at INTEGER NOT NULL,
    ends_at INTEGER -- NULL: it stays until it is withdrawn
) STRICT;

INSERT INTO meta (key, value) VALUES ('oldest_program_14', '4');
