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

INSERT INTO chores (name, worked_at, next_at, finished_at) SELECT 'links', 0, 0, now FROM clock;
INSERT INTO meta (key, value) VALUES ('oldest_program_13', '4');
