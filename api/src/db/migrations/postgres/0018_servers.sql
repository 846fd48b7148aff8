-- What lets chats lie on several servers while people stay on one: the others have copies of people, which programs
-- keep up to date by when somebody changed (`db/people_copy.rs`). Additive: older programs go on beside it, and whom
-- they change is found.

ALTER TABLE users ADD COLUMN changed_at BIGINT NOT NULL DEFAULT 0;

CREATE FUNCTION note_person() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    NEW.changed_at := (SELECT now FROM clock);
    RETURN NEW;
END$$;

CREATE TRIGGER users_note_new BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION note_person();
CREATE TRIGGER users_note_change
    BEFORE UPDATE OF username, username_key, name, avatar, role, blocked_at, deactivated_at, guest ON users
    FOR EACH ROW EXECUTE FUNCTION note_person();

INSERT INTO meta (key, value) VALUES ('oldest_program_18', '4');
