-- What lets a message update its chat's row in place: no index names a column that it changes. What changed
-- lately is an append-only table instead.

-- Before the lock, because it may read all chats. Nothing is missed: since the last script whatever becomes
-- unnumbered comes onto the list by itself.
INSERT INTO unnumbered_chats (id) SELECT id FROM chats WHERE sent_seq <> last_seq ON CONFLICT DO NOTHING;

-- At once the strongest lock that is needed: who waits for a stronger one while others wait for the weaker,
-- waits in a circle.
LOCK TABLE chats IN ACCESS EXCLUSIVE MODE;

-- The newest changes of chats, for `changed`. One row for each batch of messages and each other change.
CREATE TABLE changes (
    at BIGINT NOT NULL,
    chats BIGINT[] NOT NULL,
    seqs BIGINT[] NOT NULL -- each chat's newest event; NULL: the chat is deleted
);
CREATE INDEX changes_by_time ON changes (at);

-- What gateways would still ask for: as long as changes stay (`retention/chore.rs`).
INSERT INTO changes (at, chats, seqs)
SELECT c.changed_at, ARRAY[c.id], ARRAY[CASE WHEN c.deleted_at IS NULL THEN c.last_seq END]
FROM (SELECT now FROM clock OFFSET 0) clock JOIN chats c ON c.changed_at >= clock.now - 600000;

-- Whoever sets `changed_at` is found by it, whichever program that is. Only who makes messages with ordinals
-- does it by itself, one row for all chats of a batch: programs from before ordinals do not move `sent_count`.
CREATE FUNCTION note_change() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO changes (at, chats, seqs) VALUES (
        NEW.changed_at, ARRAY[NEW.id], ARRAY[CASE WHEN NEW.deleted_at IS NULL THEN NEW.last_seq END]);
    RETURN NULL;
END$$;
CREATE TRIGGER chats_note_new AFTER INSERT ON chats
    FOR EACH ROW EXECUTE FUNCTION note_change();
CREATE TRIGGER chats_note_change AFTER UPDATE OF changed_at ON chats
    FOR EACH ROW WHEN (NEW.sent_count = OLD.sent_count) EXECUTE FUNCTION note_change();

-- Room for the next version of a row, on its page.
ALTER TABLE chats SET (fillfactor = 70);

-- Programs from before read all chats where they looked into these: slower, and only while they are there.
DROP INDEX chats_by_change;
DROP INDEX IF EXISTS chats_unnumbered;

INSERT INTO chores (name, worked_at, next_at, finished_at) SELECT 'changes', 0, 0, now FROM clock;
INSERT INTO meta (key, value) VALUES ('oldest_program_10', '4');
