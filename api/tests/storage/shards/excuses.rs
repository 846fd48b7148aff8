//! What does not keep to the rules of [`super`], each with how the api does it when chats are on several servers
//! (`db/databases.rs`). One whose statement is gone is found.

use super::{
    Excuse,
    ShardFault::{self, *},
};

const fn excuse(fault: ShardFault, of: &'static str, then: &'static str) -> Excuse {
    Excuse { fault, of, then }
}

pub(super) const EXCUSES: &[Excuse] = &[
    // A person's view of its chats, of all servers.
    excuse(
        EachShard,
        "SELECT p.id, CASE WHEN p.chat_type <> 'private' THEN p.name",
        A_PAGE_OF_EACH,
    ),
    excuse(
        Across,
        "m.user_id, m.last_read FROM members m CROSS JOIN LATERAL (SELECT * FROM chats",
        A_PAGE_OF_EACH,
    ),
    excuse(EachShard, "SELECT m.chat_id, c.last_seq FROM members m JOIN chats c", A_PAGE_OF_EACH),
    excuse(
        EachShard,
        "AND c.chat_type <> 'private' WHERE m.user_id = $1 AND m.invited_by = $2",
        A_PAGE_OF_EACH,
    ),
    excuse(
        EachShard,
        "SELECT c.chat_type = 'group' AND c.deleted_at IS NULL FROM chats c WHERE c.id = m.chat_id",
        A_PAGE_OF_EACH,
    ),
    // How many chats and invitations somebody has.
    excuse(
        EachShard,
        "WHERE m.user_id = u.value AND m.invited_by IS NULL AND c.deleted_at IS NULL LIMIT $2) own",
        A_SUM,
    ),
    excuse(Across, "WHERE m.user_id = u.value AND m.invited_by = $2 LIMIT $3) own", A_SUM),
    // What administrators look for, and the directory of rooms.
    excuse(EachShard, "SELECT COUNT(*), COUNT(CASE WHEN m.role = 'owner' THEN 1 END)", A_SUM),
    excuse(EachShard, "FROM chats c WHERE c.id < $1", A_PAGE_OF_EACH),
    excuse(
        EachShard,
        "WHERE m.user_id = $3 AND m.role = 'owner' AND m.chat_id < $1",
        A_PAGE_OF_EACH,
    ),
    excuse(
        EachShard,
        "SELECT id FROM chats WHERE chat_type = 'room' AND deleted_at IS NULL AND id > $1",
        A_PAGE_OF_EACH,
    ),
    // `changed`: what happened lately, wherever that was.
    excuse(EachShard, "SELECT user_id, chat_id FROM members WHERE joined_at >= $1", NEWS_OF_EACH),
    excuse(EachShard, "SELECT e.user_id, e.chat_id FROM member_events e", NEWS_OF_EACH),
    excuse(EachShard, "SELECT d.user_id, d.chat_id FROM departures d", NEWS_OF_EACH),
    excuse(EachShard, "SELECT user_id, chat_id FROM bans WHERE banned_at >= $1", NEWS_OF_EACH),
    excuse(
        EachShard,
        "SELECT user_id, chat_id, after FROM wakes WHERE woken_at >= $1",
        NEWS_OF_EACH,
    ),
    // What is done in the background.
    excuse(EachShard, "FROM unnumbered_chats u JOIN chats c ON c.id = u.id", CHORES_OF_EACH),
    excuse(LocksUnnamed, "FROM unnumbered_chats u JOIN chats c ON c.id = u.id", CHORES_OF_EACH),
    excuse(EachShard, "SELECT id FROM chats WHERE deleted_at < $1", CHORES_OF_EACH),
    excuse(SeveralChats, "SELECT id FROM chats WHERE deleted_at < $1", CHORES_OF_EACH),
    excuse(Across, "DELETE FROM departures WHERE parted_at < $1", CHORES_OF_EACH),
    excuse(Across, "DELETE FROM edits WHERE created_at < $1", CHORES_OF_EACH),
    excuse(Across, "DELETE FROM wakes WHERE woken_at < $1", CHORES_OF_EACH),
    excuse(
        WritesPeoples,
        "DELETE FROM users WHERE id = $1 AND guest",
        "the copies of guests go first, on the lobby's server; one that stays there has written",
    ),
    // One person's mutes of another one: the list is the person's, the silence the chat's.
    excuse(
        TwoPlaces,
        "INSERT INTO blocklist (user_id, blocked_id, blocked_at)",
        SILENCE_COMES_AFTER,
    ),
    excuse(
        TwoPlaces,
        "DELETE FROM blocklist WHERE user_id = $1 AND blocked_id = $2",
        SILENCE_COMES_AFTER,
    ),
    excuse(
        TwoPlaces,
        "ORDER BY id FOR KEY SHARE",
        "a transaction at home holds the people's rows until the chat's transaction has ended elsewhere",
    ),
    // Accounts that were made for a load test, and their chats.
    excuse(
        EachShard,
        "AND made.created_by = m.user_id AND made.deleted_at IS NULL AND made.id <> $2",
        A_LOOP,
    ),
    excuse(
        LocksUnnamed,
        "AND made.created_by = m.user_id AND made.deleted_at IS NULL AND made.id <> $2",
        A_LOOP,
    ),
];

const A_PAGE_OF_EACH: &str =
    "each server gives its page, and the api merges them in their order and cuts them";
const A_SUM: &str = "each server counts, and the api takes the sum";
const NEWS_OF_EACH: &str =
    "each server is asked, with a time of its own, which the gateway sends back";
const CHORES_OF_EACH: &str = "each server is tidied by itself, from its own `chores`";
const SILENCE_COMES_AFTER: &str = "on other servers the silence is a transaction of its own; a list without it is repaired by blocking again";
const A_LOOP: &str = "the chats are looked for on each server, and deleted there";

#[test]
fn each_excuse_is_that_of_a_statement_of_today() {
    fn read(folder: &std::path::Path, texts: &mut String) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                read(&path, texts);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                texts.push_str(&std::fs::read_to_string(&path).unwrap());
            }
        }
    }
    let mut texts = String::new();
    read(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut texts);
    let texts = texts.split_whitespace().collect::<Vec<_>>().join(" ");
    for Excuse { fault, of, then } in EXCUSES {
        assert!(texts.contains(of), "{fault:?}: no statement has {of:?}");
        assert!(!then.is_empty(), "{of}");
    }
}
