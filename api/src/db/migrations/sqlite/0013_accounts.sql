-- What people do about their accounts by themselves. Additive: older programs go on beside it.

-- Links that work once: for a password that was lost, for an e-mail address that is to be verified. The link
-- holds the token, the database its hash.
CREATE TABLE account_links (
    token_hash TEXT PRIMARY KEY,
    user_id INTEGER NOT NULL REFERENCES users,
    purpose TEXT NOT NULL CHECK (purpose IN ('password', 'email')),
    email TEXT, -- the address to be verified
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX account_links_of_user ON account_links (user_id, purpose, created_at);
CREATE INDEX account_links_by_time ON account_links (expires_at);

-- When the address was verified: NULL, it was not.
ALTER TABLE users ADD COLUMN email_verified_at INTEGER;

-- The secrets with which people's apps make codes for the second step of signing in. Programs from before do not
-- ask for it, for as long as they run.
CREATE TABLE second_factors (
    user_id INTEGER PRIMARY KEY REFERENCES users,
    secret TEXT NOT NULL,
    confirmed_at INTEGER, -- NULL: it does not count yet
    last_step INTEGER NOT NULL DEFAULT 0 -- of the newest code that was used: it and those before it count no more
) STRICT;

-- Hashes of the codes that sign in once in place of the app.
CREATE TABLE recovery_codes (
    user_id INTEGER NOT NULL REFERENCES users,
    code_hash TEXT NOT NULL,
    PRIMARY KEY (user_id, code_hash)
) STRICT, WITHOUT ROWID;

INSERT INTO chores (name, worked_at, next_at, finished_at) SELECT 'links', 0, 0, now FROM clock;
INSERT INTO meta (key, value) VALUES ('oldest_program_13', '4');
