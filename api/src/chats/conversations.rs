//! A user's private chats and groups with their newest messages, all in one answer: for clients that
//! know people's names and no pages. Rooms are not in it, and other clients have better: chats,
//! messages and unread counts by page.

use super::access::chat_type;
use crate::{
    accounts::user,
    audit::{self, AuditAction, AuditEntry},
    db::{Conn, Databases, Db, DbError, List, fetch_all, from_row, row},
    error::Result,
    state::Api,
};
use protocol::{
    chat::ChatType,
    code::Code,
    id::{ChatId, Seq, UserId},
    relay::MAX_WATCHERS,
    time::Timestamp,
};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
};

/// Chats in one answer, the most recently active ones: each is read by a statement of its own.
pub const MAX_CHATS: usize = 100;

/// Messages of one chat in one answer.
pub const MAX_PER_CHAT: i64 = 1_000;

/// Messages in one answer: 2 MB of ordinary ones.
pub const MAX_MESSAGES: i64 = 10_000;

/// However much the chats before it have, this many of a chat's newest messages fit in.
const SURE_PER_CHAT: i64 = MAX_MESSAGES / MAX_CHATS as i64;

/// Once an answer's texts have so many bytes, no further chat is read: messages may have 16 KB, and
/// what one user asks for must not fill the memory of everybody's api.
const ENOUGH_BYTES: usize = 8 * 1024 * 1024;

/// Messages of one chat that are looked at for each that is wanted: where only received ones are, any
/// number of one's own are among them.
const LOOKED_AT: i64 = 2;

/// Which messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Sent and received ones.
    All,
    /// Received and read. Chats without such messages are left out.
    Read,
    /// Received and not read. Chats without such messages are left out.
    Unread,
}

/// A message of one of the user's chats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Counts events in the chat, from 1.
    pub id: Seq,
    /// The chat it was sent to.
    pub chat_id: ChatId,
    /// Who sent it, by username.
    pub from: String,
    /// The recipient's username, or the group's name.
    pub to: String,
    /// The latest one, if it was edited.
    pub text: String,
    /// A received one: by the user. A sent one: by every other member, of at most 100 altogether.
    pub is_read: bool,
    /// When it was sent.
    pub date: Timestamp,
}

/// The newest messages of a user's most recently active chats, by the other's username or the
/// group's name, each chat's oldest first. At most `limit` a chat (at most [`MAX_PER_CHAT`]) and
/// [`MAX_MESSAGES`] in all. What shares its name with a chat before it, private chats first and then
/// groups by age, has ` (#chat id)` behind it.
pub async fn of_user(
    api: &Api,
    user: UserId,
    part: Part,
    limit: i64,
) -> Result<BTreeMap<String, Vec<Line>>> {
    let limit = limit.clamp(1, MAX_PER_CHAT);
    let ask = |db: Db| async move { recent(&mut db.read().await?, user).await };
    let mut chats: Vec<RecentChat> = api.db.ask_each(ask).await?.into_iter().flatten().collect();
    chats.sort_by_key(|chat| (Reverse(chat.changed_at), Reverse(chat.id)));
    chats.truncate(MAX_CHATS);
    let (mut left, mut bytes) = (MAX_MESSAGES, 0);
    let mut sure_of_others = chats.len() as i64 * limit.min(SURE_PER_CHAT);
    for chat in &mut chats {
        sure_of_others -= limit.min(SURE_PER_CHAT);
        let share = limit.min(left - sure_of_others);
        if bytes < ENOUGH_BYTES {
            let mut conn = api.db.of(chat.id).read().await?;
            chat.read(&mut conn, user, part, share).await?;
        }
        left -= chat.rows.len() as i64;
        bytes += chat.rows.iter().map(|row| row.text.len()).sum::<usize>();
    }
    if part == Part::All {
        find_marks(&api.db, user, &mut chats).await?;
    } else {
        chats.retain(|chat| !chat.rows.is_empty());
    }
    let names = names(&mut api.db.home().read().await?, user, &chats).await?;
    Ok(by_name(chats, user, &names))
}

/// The same of the user of this name, for an administrator: recorded before it is read.
/// `user_not_found` when nobody has the name.
pub(crate) async fn of_other(
    api: &Api,
    admin: UserId,
    username: &str,
    reason: &str,
    limit: i64,
) -> Result<BTreeMap<String, Vec<Line>>> {
    audit::check_reason(reason)?;
    let mut conn = api.db.home().read().await?;
    let user = user::account(conn.link(), username).await?.ok_or(Code::UserNotFound)?;
    drop(conn);
    let entry = AuditEntry::of(admin, AuditAction::ReadUserChats).on_user(user.id);
    audit::record_reading(api, entry.because(reason)).await?;
    of_user(api, user.id, Part::All, limit).await
}

/// One of the user's chats.
struct RecentChat {
    id: ChatId,
    changed_at: i64,
    chat_type: ChatType,
    /// The other's username, or the group's name.
    name: String,
    last_seq: i64,
    last_read: i64,
    /// Everybody else has read up to here.
    read_by_others: i64,
    /// The oldest first.
    rows: Vec<ConversationMessage>,
}

row! {
    struct ConversationMessage {
        id: i64,
        sender_id: i64,
        text: String,
        created_at: i64,
    }
}

/// The private chats and groups that changed last, the newest change first, without messages. Of
/// groups, which may be large, no members are looked at.
async fn recent(conn: &mut Conn, user: UserId) -> Result<Vec<RecentChat>> {
    // From the user's memberships to their chats, whatever PostgreSQL believes of the tables.
    Ok(fetch_all!(
        conn,
        postgres: "SELECT r.id, r.changed_at, r.chat_type, r.name, r.last_seq, r.last_read, u.username AS other,
                o.last_read AS others_mark
            FROM (SELECT c.id, c.chat_type, c.name, c.last_seq, c.changed_at, m.user_id, m.last_read
                  FROM members m CROSS JOIN LATERAL (SELECT * FROM chats
                      WHERE id = m.chat_id AND chat_type <> 'room' AND deleted_at IS NULL OFFSET 0) c
                  WHERE m.user_id = $1 ORDER BY c.changed_at DESC, c.id DESC LIMIT $2) r
            LEFT JOIN members o ON o.chat_id = CASE WHEN r.chat_type = 'private' THEN r.id END
                AND o.user_id <> r.user_id
            LEFT JOIN users u ON u.id = o.user_id
            ORDER BY r.changed_at DESC, r.id DESC",
        (user.0, MAX_CHATS as i64),
        sqlite: "SELECT r.id, r.changed_at, r.chat_type, r.name, r.last_seq, r.last_read, u.username AS other,
                o.last_read AS others_mark
            FROM (SELECT c.id, c.chat_type, c.name, c.last_seq, c.changed_at, m.user_id, m.last_read
                  FROM members m JOIN chats c ON c.id = m.chat_id
                      AND c.chat_type <> 'room' AND c.deleted_at IS NULL
                  WHERE m.user_id = $1 ORDER BY c.changed_at DESC, c.id DESC LIMIT $2) r
            LEFT JOIN members o ON o.chat_id = CASE WHEN r.chat_type = 'private' THEN r.id END
                AND o.user_id <> r.user_id
            LEFT JOIN users u ON u.id = o.user_id
            ORDER BY r.changed_at DESC, r.id DESC",
        (user.0, MAX_CHATS as i64),
    )?)
}

from_row!(RecentChat, |row| {
    let other: Option<String> = row.try_get("other")?;
    let name: String = row.try_get("name")?;
    Self {
        id: ChatId(row.try_get("id")?),
        changed_at: row.try_get("changed_at")?,
        chat_type: chat_type(row.try_get("chat_type")?),
        name: other.unwrap_or(name),
        last_seq: row.try_get("last_seq")?,
        last_read: row.try_get("last_read")?,
        read_by_others: row.try_get::<Option<i64>, _>("others_mark")?.unwrap_or(0),
        rows: Vec::new(),
    }
});

impl RecentChat {
    /// Reads the newest `limit` messages of the part.
    async fn read(&mut self, conn: &mut Conn, user: UserId, part: Part, limit: i64) -> Result<()> {
        let (after, upto, not_of) = match part {
            Part::All => (0, self.last_seq, 0),
            Part::Read => (0, self.last_read, user.0),
            Part::Unread => (self.last_read, self.last_seq, user.0),
        };
        if after >= upto {
            return Ok(());
        }
        let mut rows: Vec<ConversationMessage> = fetch_all!(
            conn,
            "SELECT id, sender_id, text, created_at
             FROM (SELECT id, sender_id, text, created_at FROM messages
                   WHERE chat_id = $1 AND id > $2 AND id <= $3 AND deleted_at IS NULL
                   ORDER BY id DESC LIMIT $4) newest
             WHERE sender_id <> $5 ORDER BY id DESC LIMIT $6",
            self.id.0,
            after,
            upto,
            LOOKED_AT * limit,
            not_of,
            limit
        )?;
        rows.reverse();
        self.rows = rows;
        Ok(())
    }
}

/// How far everybody else has read in the groups where that shows: those that the user wrote in, and of
/// those the ones with as few members as are told of each other's marks; in a larger one nothing counts
/// as read by all.
async fn find_marks(db: &Databases, user: UserId, chats: &mut [RecentChat]) -> Result<()> {
    let shows = |chat: &&RecentChat| {
        chat.chat_type == ChatType::Group && chat.rows.iter().any(|row| row.sender_id == user.0)
    };
    let groups: Vec<ChatId> = chats.iter().filter(shows).map(|chat| chat.id).collect();
    let mut marks: HashMap<i64, i64> = HashMap::new();
    for part in db.split(&groups, |chat| *chat) {
        let groups = part.of(&groups).into_iter().map(|chat| chat.0).collect();
        marks.extend(marks_on(&db.each()[part.server], user, groups).await?);
    }
    for chat in chats {
        if let Some(mark) = marks.get(&chat.id.0) {
            chat.read_by_others = *mark;
        }
    }
    Ok(())
}

async fn marks_on(db: &Db, user: UserId, groups: List<i64>) -> Result<Vec<(i64, i64)>, DbError> {
    let mut conn = db.read().await?;
    fetch_all!(
        conn,
        "SELECT chat_id, MIN(last_read) FROM members
         WHERE chat_id IN (
             SELECT c.id FROM json_each($1) r JOIN chats c ON c.id = r.value AND c.member_count <= $3)
             AND user_id <> $2
         GROUP BY chat_id",
        groups,
        user.0,
        MAX_WATCHERS as i64
    )
}

/// The usernames of the user and of all senders.
async fn names(
    conn: &mut Conn,
    user: UserId,
    chats: &[RecentChat],
) -> Result<HashMap<i64, String>> {
    let senders = chats.iter().flat_map(|chat| &chat.rows).map(|row| row.sender_id);
    let users: BTreeSet<i64> = senders.chain([user.0]).collect();
    let rows: Vec<(i64, String)> = fetch_all!(
        conn,
        "SELECT id, username FROM users WHERE id IN (SELECT value FROM json_each($1))",
        users.into_iter().collect::<List<i64>>()
    )?;
    Ok(rows.into_iter().collect())
}

/// Private chats take their names first: no group can be called so that it is mistaken for one.
fn by_name(
    mut chats: Vec<RecentChat>,
    user: UserId,
    names: &HashMap<i64, String>,
) -> BTreeMap<String, Vec<Line>> {
    chats.sort_unstable_by_key(|chat| (chat.chat_type != ChatType::Private, chat.id));
    let mut found = BTreeMap::new();
    for chat in chats {
        let mut key = chat.name.clone();
        while found.contains_key(&key) {
            key = format!("{key} (#{})", chat.id);
        }
        found.insert(key, chat.lines(user, names));
    }
    found
}

impl RecentChat {
    fn lines(self, user: UserId, names: &HashMap<i64, String>) -> Vec<Line> {
        let name_of = |user: i64| names.get(&user).cloned().unwrap_or_default();
        let line = |row: ConversationMessage| {
            let is_sent = row.sender_id == user.0;
            let to_user = self.chat_type == ChatType::Private && !is_sent;
            Line {
                id: Seq(row.id),
                chat_id: self.id,
                from: name_of(row.sender_id),
                to: if to_user { name_of(user.0) } else { self.name.clone() },
                text: row.text,
                is_read: row.id <= if is_sent { self.read_by_others } else { self.last_read },
                date: Timestamp(row.created_at),
            }
        };
        self.rows.into_iter().map(line).collect()
    }
}
