-- The chats that are not numbered, as a list of its own. An index with that condition names columns that each
-- message changes, and PostgreSQL updates no row in place whose indexes do. Programs from before ordinals go
-- on beside it: what they write to comes onto the list. The next script fills it.

CREATE TABLE unnumbered_chats (
    id BIGINT PRIMARY KEY
);

CREATE FUNCTION list_unnumbered_chat() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO unnumbered_chats (id) VALUES (NEW.id) ON CONFLICT DO NOTHING;
    RETURN NULL;
END$$;

-- Under the lock of the chat's row, as whatever changes these columns is.
CREATE TRIGGER chats_list_unnumbered AFTER INSERT OR UPDATE OF last_seq, sent_seq ON chats
    FOR EACH ROW WHEN (NEW.sent_seq <> NEW.last_seq) EXECUTE FUNCTION list_unnumbered_chat();

INSERT INTO meta (key, value) VALUES ('oldest_program_9', '4');
