//! All chats there are, for administrators: a list to find a chat in. It tells how large a chat is and when
//! something happened there, never what was written; of a private chat not even between whom it is, because
//! seeing a chat's members is recorded ([`super::members`]).

use super::access::chat_type;
use crate::{
    db::{Conn, Databases, Db, fetch_all, from_row},
    error::{Error, Result},
};
use protocol::{
    chat::ChatType,
    id::{ChatId, UserId},
    time::Timestamp,
};
use std::cmp::Reverse;

/// Most chats in one page.
pub const MAX_LISTED: i64 = 100;

/// Rows that one statement reads, and statements of one page: as of the list of people.
const STRETCH: i64 = 1_000;
const STRETCHES: usize = 10;

/// A page of the list, the newest chat first.
#[derive(Clone, Copy, Debug)]
pub struct DirectoryQuery<'a> {
    /// Any part of the name, in any case; empty for all. Private chats have no name.
    pub text: &'a str,
    /// Chats of this kind only.
    pub kind: Option<ChatType>,
    /// Groups and rooms of this owner only.
    pub owner: Option<UserId>,
    /// Those before this one.
    pub before: Option<ChatId>,
    /// At most [`MAX_LISTED`].
    pub limit: i64,
}

/// A chat in the list.
#[derive(Clone, Debug)]
pub struct DirectoryEntry {
    /// The chat.
    pub id: ChatId,
    /// Empty for private chats.
    pub name: String,
    /// Of which kind it is.
    pub chat_type: ChatType,
    /// Members now, invited ones included.
    pub member_count: i64,
    /// Messages now, without deleted ones.
    pub message_count: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When the newest message or change came.
    pub changed_at: Timestamp,
    deleted: bool,
}

/// Some chats, and where the list goes on.
#[derive(Debug)]
pub struct ChatsPage {
    /// The newest first. May be fewer than were asked for, or none, though there are more.
    pub chats: Vec<DirectoryEntry>,
    /// `before` of the next page; `None` on the last one.
    pub next: Option<ChatId>,
}

from_row!(DirectoryEntry, |row| Self {
    id: ChatId(row.try_get("id")?),
    name: row.try_get("name")?,
    chat_type: chat_type(row.try_get("chat_type")?),
    member_count: row.try_get("member_count")?,
    message_count: row.try_get("message_count")?,
    created_at: Timestamp(row.try_get("created_at")?),
    changed_at: Timestamp(row.try_get("changed_at")?),
    deleted: row.try_get::<Option<i64>, _>("deleted_at")?.is_some(),
});

/// The chats that a query finds.
pub async fn list(db: &Db, query: DirectoryQuery<'_>) -> Result<ChatsPage> {
    let limit = usize::try_from(query.limit.clamp(1, MAX_LISTED)).unwrap_or(1);
    let text = query.text.trim().to_lowercase();
    let mut before = query.before.map_or(i64::MAX, |chat| chat.0);
    let mut chats: Vec<DirectoryEntry> = Vec::new();
    let mut conn = db.read().await?;
    for _ in 0..STRETCHES {
        let rows = stretch(&mut conn, query.owner, before).await?;
        let is_last = rows.len() < STRETCH.unsigned_abs() as usize;
        for chat in rows {
            if chats.len() == limit {
                let next = chats.last().map(|chat| chat.id);
                return Ok(ChatsPage { chats, next });
            }
            before = chat.id.0;
            if chat.fits(query.kind, &text) {
                chats.push(chat);
            }
        }
        if is_last {
            return Ok(ChatsPage { chats, next: None });
        }
    }
    Ok(ChatsPage { chats, next: Some(ChatId(before)) })
}

/// The same of all servers: each looks through its chats, and what all have come to is merged.
pub async fn list_all(db: &Databases, query: DirectoryQuery<'_>) -> Result<ChatsPage> {
    let mut pages = db.ask_each(|db| async move { list(&db, query).await }).await?;
    if let [_] = pages[..] {
        return pages.pop().ok_or_else(Error::internal);
    }
    let looked_to = pages.iter().filter_map(|page| page.next).max();
    let mut chats: Vec<DirectoryEntry> = pages.into_iter().flat_map(|page| page.chats).collect();
    chats.retain(|chat| looked_to.is_none_or(|last| chat.id >= last));
    chats.sort_by_key(|chat| Reverse(chat.id));
    let limit = usize::try_from(query.limit.clamp(1, MAX_LISTED)).unwrap_or(1);
    let next = if chats.len() > limit { Some(chats[limit - 1].id) } else { looked_to };
    chats.truncate(limit);
    Ok(ChatsPage { chats, next })
}

impl DirectoryEntry {
    fn fits(&self, kind: Option<ChatType>, text: &str) -> bool {
        !self.deleted
            && kind.is_none_or(|kind| kind == self.chat_type)
            && (text.is_empty() || self.name.to_lowercase().contains(text))
    }
}

async fn stretch(
    conn: &mut Conn,
    owner: Option<UserId>,
    before: i64,
) -> Result<Vec<DirectoryEntry>> {
    Ok(match owner {
        None => fetch_all!(
            conn,
            "SELECT c.id, CASE WHEN c.chat_type = 'private' THEN '' ELSE c.name END AS name, c.chat_type,
                 c.member_count, c.message_count, c.created_at, c.changed_at, c.deleted_at
             FROM chats c WHERE c.id < $1 ORDER BY c.id DESC LIMIT $2",
            before,
            STRETCH
        ),
        Some(owner) => fetch_all!(
            conn,
            "SELECT c.id, c.name, c.chat_type, c.member_count, c.message_count, c.created_at, c.changed_at,
                 c.deleted_at
             FROM members m JOIN chats c ON c.id = m.chat_id
             WHERE m.user_id = $3 AND m.role = 'owner' AND m.chat_id < $1
             ORDER BY m.chat_id DESC LIMIT $2",
            before,
            STRETCH,
            owner.0
        ),
    }?)
}
