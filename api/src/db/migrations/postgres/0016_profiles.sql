-- Counts the changes of what messages show of people. They have no number in any chat, so a read replica that has a
-- chat's newest event may still lack them: `db/replicas.rs` compares this count, too. Additive: older programs go on
-- beside it, and what they change is counted.

INSERT INTO meta (key, value) VALUES ('profiles', '0');

CREATE FUNCTION note_profile() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    UPDATE meta SET value = CAST(CAST(value AS BIGINT) + 1 AS TEXT) WHERE key = 'profiles';
    RETURN NULL;
END$$;

-- With the commit, so that whoever holds the count's row waits for nobody.
CREATE CONSTRAINT TRIGGER users_note_profile AFTER UPDATE OF username, name, avatar, guest ON users
    DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN ((OLD.username, OLD.name, OLD.avatar, OLD.guest)
        IS DISTINCT FROM (NEW.username, NEW.name, NEW.avatar, NEW.guest))
    EXECUTE FUNCTION note_profile();

INSERT INTO meta (key, value) VALUES ('oldest_program_16', '4');
