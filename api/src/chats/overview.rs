//! Chats as one user sees them: name, end, read mark, unread count, newest message. For lists, for the `view` and
//! `open` of gateways.

use super::{
    access::{MemberRole, chat_type},
    ban_rows,
    member_key::MemberKey,
};
use crate::{
    db::{Databases, Db, Link, column, fetch_all, from_row, json_rows},
    error::Result,
};
use protocol::{
    calls::UserChat,
    chat::{
        ChatPeer, ChatSettings, ChatType, ChatView, LastMessage, MAX_PREVIEW_CHARS, UserRef,
        uploaded,
    },
    code::Code,
    id::{ChatId, Seq, UserId},
    time::Timestamp,
};
use std::cmp::Reverse;

/// A chat with what lists show beside the native protocol's fields.
#[derive(Clone, Debug)]
pub struct Overview {
    /// What the native protocol shows of it. Whether its peer is connected is for `peer_status` to find.
    pub view: ChatView,
    /// The user's own part; `None` for a room that the user is not a member of.
    pub role: Option<MemberRole>,
    /// Messages now, without deleted ones.
    pub message_count: i64,
    /// `None` for the lobby, which nobody made.
    pub created_by: Option<UserId>,
    /// By the database's clock.
    pub created_at: Timestamp,
    /// When the newest message or change came, by the clock of the chat's server.
    pub changed_at: Timestamp,
    /// Kept out of the room. Looked up by [`find`] alone.
    pub banned: bool,
}

impl Overview {
    /// Where it stands among its user's chats: pinned ones first, then the most recently active, and what strangers
    /// have invited the user to after all others.
    pub(super) fn place(&self) -> impl Ord + use<> {
        let ChatView { invited_by, settings, id, .. } = &self.view;
        (invited_by.is_some(), !settings.pinned, Reverse(self.changed_at), Reverse(*id))
    }

    /// Whether the user may watch and read: one's own chats, and rooms that one is not banned from.
    pub fn to_enter(&self) -> Result<()> {
        match (self.role, self.view.chat_type) {
            (Some(_), _) => Ok(()),
            (None, ChatType::Room) if self.banned => Err(Code::Banned.into()),
            (None, ChatType::Room) => Ok(()),
            (None, _) => Err(Code::NotAMember.into()),
        }
    }
}

/// A statement that reads [`Overview`]s: its other columns, where `p` comes from, and what stands behind that. `p` has
/// all of the chat's columns, and of the user's row of `members`, if there is one, these: `user_id, role, last_read,
/// seen, invited_by, muted, pinned, archived_upto, marked_unread`.
///
/// Unread is a subtraction ([`super::ordinals`]). What is not numbered yet is counted:
/// others' messages among the first 100 behind the mark, in their order, so that PostgreSQL goes by the
/// index of it. The newest message `x` is the last one by the primary key. The other member of a private chat stands
/// in its `pair_key`, `3:9`, so that nobody looks for it among the members.
macro_rules! select_overviews {
    (postgres: $columns:literal, $from:literal, $rest:literal) => {
        select_overviews!(
            $columns,
            $from,
            "LEFT JOIN LATERAL (
                 SELECT id, sender_id, text, created_at, deleted_at FROM messages WHERE chat_id = p.id
                 ORDER BY chat_id DESC, id DESC LIMIT 1) x ON TRUE",
            $rest
        )
    };
    (sqlite: $columns:literal, $from:literal, $rest:literal) => {
        select_overviews!(
            $columns,
            $from,
            "LEFT JOIN messages x ON x.chat_id = p.id
                 AND x.id = (SELECT MAX(n.id) FROM messages n WHERE n.chat_id = p.id)",
            $rest
        )
    };
    ($columns:literal, $from:literal, $newest:literal, $rest:literal) => {
        concat!(
            "SELECT p.id, CASE WHEN p.chat_type <> 'private' THEN p.name ELSE COALESCE(o.name, '') END AS name,
             p.chat_type, p.last_seq, p.last_read,
             CASE WHEN p.user_id IS NULL OR p.last_read >= p.last_seq THEN 0
                  WHEN p.seen IS NULL OR p.sent_seq <> p.last_seq THEN (
                      SELECT count(*) FROM (
                          SELECT y.sender_id FROM messages y WHERE y.chat_id = p.id
                              AND y.id > p.last_read AND y.deleted_at IS NULL
                          ORDER BY y.id LIMIT 100) next
                      WHERE sender_id <> p.user_id)
                  WHEN p.newest > p.seen THEN p.newest - p.seen ELSE 0 END AS unread,
             p.role, p.invited_by, i.username AS inviter, i.name AS inviter_name, i.avatar AS inviter_avatar,
             p.muted, p.pinned, p.archived_upto, p.marked_unread,
             o.id AS peer_id, o.username AS peer_username, o.name AS peer_name, o.avatar AS peer_avatar,
             x.id AS message_id, x.sender_id, s.username AS sender_username, s.name AS sender_name,
             s.avatar AS sender_avatar, s.guest AS sender_guest, substr(x.text, 1, 101) AS preview, x.created_at AS sent_at,
             x.deleted_at AS message_deleted_at,
             p.member_count, p.message_count, p.created_by, p.created_at, p.changed_at",
            $columns,
            " FROM ",
            $from,
            " ",
            $newest,
            " LEFT JOIN users s ON s.id = x.sender_id
             LEFT JOIN users o ON o.id = CAST(REPLACE(
                 REPLACE(':' || p.pair_key || ':', ':' || p.user_id || ':', ':'), ':', '') AS BIGINT)
             LEFT JOIN users i ON i.id = p.invited_by ",
            $rest
        )
    };
}
pub(super) use select_overviews;

from_row!(Overview, |row| {
    let invited_by: Option<i64> = row.try_get("invited_by")?;
    let inviter: Option<String> = row.try_get("inviter")?;
    let inviter_name: Option<String> = row.try_get("inviter_name")?;
    let inviter_avatar: Option<String> = row.try_get("inviter_avatar")?;
    let peer: Option<i64> = row.try_get("peer_id")?;
    let message: Option<i64> = row.try_get("message_id")?;
    // A room that the user is no member of has none.
    let is_set = |set: Option<bool>| set.unwrap_or_default();
    let muted = is_set(row.try_get("muted")?);
    let archived_upto: Option<i64> = row.try_get("archived_upto")?;
    Self {
        view: ChatView {
            id: ChatId(row.try_get("id")?),
            name: row.try_get("name")?,
            chat_type: chat_type(row.try_get("chat_type")?),
            seq: Seq(row.try_get("last_seq")?),
            last_read: Seq(row.try_get::<Option<i64>, _>("last_read")?.unwrap_or(0)),
            unread: row.try_get("unread")?,
            invited_by: (invited_by.zip(inviter)).map(|(id, username)| {
                UserRef::registered(UserId(id), username)
                    .named(inviter_name.unwrap_or_default())
                    .pictured(inviter_avatar.unwrap_or_default())
            }),
            last_message: match message.zip(row.try_get::<Option<String>, _>("sender_username")?) {
                Some((id, username)) => Some(Box::new(LastMessage {
                    id: Seq(id),
                    sender: UserRef {
                        guest: row.try_get("sender_guest")?,
                        ..UserRef::registered(UserId(row.try_get("sender_id")?), username)
                            .named(row.try_get::<String, _>("sender_name")?)
                            .pictured(row.try_get::<String, _>("sender_avatar")?)
                    },
                    text: preview(row.try_get("preview")?),
                    timestamp: Timestamp(row.try_get("sent_at")?),
                    deleted: row.try_get::<Option<i64>, _>("message_deleted_at")?.is_some(),
                })),
                None => None,
            },
            peer: match peer {
                Some(id) => Some(Box::new(ChatPeer {
                    id: UserId(id),
                    username: row.try_get("peer_username")?,
                    name: row.try_get("peer_name")?,
                    avatar: uploaded(row.try_get::<String, _>("peer_avatar")?),
                    status: None,
                })),
                None => None,
            },
            member_count: row.try_get("member_count")?,
            settings: ChatSettings {
                muted,
                pinned: is_set(row.try_get("pinned")?),
                archived: archived_upto.is_some_and(|upto| muted || message.unwrap_or(0) <= upto),
                marked_unread: is_set(row.try_get("marked_unread")?),
            },
        },
        role: row.try_get::<Option<&str>, _>("role")?.map(MemberRole::from_text),
        message_count: row.try_get("message_count")?,
        created_by: row.try_get::<Option<i64>, _>("created_by")?.map(UserId),
        created_at: Timestamp(row.try_get("created_at")?),
        changed_at: Timestamp(row.try_get("changed_at")?),
        banned: false,
    }
});

/// The beginning of a text, on one line. What is given may be cut, one character behind the bound.
fn preview(text: &str) -> String {
    let line = |c: char| if c.is_whitespace() || c.is_control() { ' ' } else { c };
    match text.char_indices().nth(MAX_PREVIEW_CHARS) {
        None => text.chars().map(line).collect(),
        Some(_) => text.chars().map(line).take(MAX_PREVIEW_CHARS - 1).chain(['…']).collect(),
    }
}

/// One that was asked for, and its place in the question.
struct FoundChat {
    chat: Overview,
    place: i64,
}

from_row!(FoundChat, |row| Self { chat: Overview::from_row(row)?, place: row.try_get("place")? });

/// SQLite's statement of [`find`].
pub(super) const FIND_SQLITE: &str = select_overviews!(sqlite: ", p.place", "(
        SELECT c.*, m.user_id, m.role, m.last_read, m.seen, m.invited_by, m.muted, m.pinned, m.archived_upto,
            m.marked_unread, r.key AS place
        FROM json_each($1) r
        JOIN chats c ON c.id = r.value ->> 'chat_id' AND c.deleted_at IS NULL
        LEFT JOIN members m ON m.chat_id = c.id AND m.user_id = r.value ->> 'user_id') p", "");

/// Each of these chats as its user sees it, in the order asked; `None` where there is no such chat.
/// Does not say whether the user may: see [`Overview::to_enter`].
pub async fn find(link: &mut Link<'_>, pairs: &[UserChat]) -> Result<Vec<Option<Overview>>> {
    let keys: Vec<MemberKey> = pairs.iter().map(MemberKey::from).collect();
    let found: Vec<FoundChat> = fetch_all!(
        link,
        postgres: select_overviews!(postgres: ", p.place", "(
            SELECT c.*, m.user_id, m.role, m.last_read, m.seen, m.invited_by, m.muted, m.pinned, m.archived_upto,
                m.marked_unread, r.place - 1 AS place
            FROM UNNEST($1::BIGINT[], $2::BIGINT[]) WITH ORDINALITY AS r (chat_id, user_id, place)
            JOIN chats c ON c.id = r.chat_id AND c.deleted_at IS NULL
            LEFT JOIN members m ON m.chat_id = r.chat_id AND m.user_id = r.user_id) p", ""),
        (column!(keys, chat_id), column!(keys, user_id)),
        sqlite: FIND_SQLITE,
        (json_rows(&keys)),
    )?;
    let mut chats = vec![None; pairs.len()];
    for FoundChat { chat, place } in found {
        if let Some(slot) = usize::try_from(place).ok().and_then(|place| chats.get_mut(place)) {
            *slot = Some(chat);
        }
    }
    // Members are not banned.
    let from_outside = |overview: &Overview| overview.role.is_none();
    let outside: Vec<UserChat> = (pairs.iter().zip(&chats))
        .filter(|(_, found)| found.as_ref().is_some_and(from_outside))
        .map(|(pair, _)| *pair)
        .collect();
    let banned = ban_rows::among(link, &outside).await?;
    for (pair, found) in pairs.iter().zip(&mut chats) {
        if let Some(found) = found {
            found.banned = banned.contains(pair);
        }
    }
    Ok(chats)
}

/// The same, each from its chat's server.
pub(super) async fn find_all(db: &Databases, pairs: &[UserChat]) -> Result<Vec<Option<Overview>>> {
    let ask = |db: Db, pairs: Vec<UserChat>| async move {
        find(&mut db.read().await?.link(), &pairs).await
    };
    db.ask_by_chat(pairs, |pair| pair.chat_id, ask).await
}

/// One chat as a user sees it: `chat_not_found` when there is none, `not_a_member` or `banned` when it is not
/// the user's to enter.
pub async fn get(link: &mut Link<'_>, user_id: UserId, chat_id: ChatId) -> Result<Overview> {
    let found = find(link, &[UserChat { user_id, chat_id }]).await?.pop().flatten();
    let overview = found.ok_or(Code::ChatNotFound)?;
    overview.to_enter()?;
    Ok(overview)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        chats::{
            lists::{LIST_SQLITE, ROOMS_SQLITE},
            opening::PLACES_SQLITE,
        },
        db::{Db, DbConfig},
    };

    /// What is read does not grow with the tables. PostgreSQL's plans are checked in `tests/storage/plans.rs`.
    #[tokio::test]
    async fn sqlite_looks_through_no_table() {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", dir.path().join("data.db").display());
        let db = Db::connect(&url, &DbConfig::default()).await.unwrap();
        db.migrate().await.unwrap();
        let Db::Sqlite { write, .. } = &db else { panic!("not SQLite") };
        for statement in [PLACES_SQLITE, FIND_SQLITE, LIST_SQLITE, ROOMS_SQLITE] {
            let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
            let plan: Vec<(i64, i64, i64, String)> =
                sqlx::query_as(explain).fetch_all(write).await.unwrap();
            let steps: Vec<&str> = plan.iter().map(|(.., step)| step.as_str()).collect();
            for step in &steps {
                let Some(scanned) = step.strip_prefix("SCAN ") else { continue };
                // What a part of the statement has found, or was given.
                let is_found = steps.contains(&format!("CO-ROUTINE {scanned}").as_str());
                let is_given = scanned.contains("VIRTUAL TABLE") || scanned == "CONSTANT ROW";
                assert!(is_found || is_given, "{steps:#?}");
            }
        }
    }

    #[test]
    fn a_preview_is_one_line_of_bounded_length() {
        assert_eq!(preview("a\n b\u{7}c"), "a  b c");
        let longest = "😀".repeat(MAX_PREVIEW_CHARS);
        assert_eq!(preview(&longest), longest);
        let cut = preview(&"é".repeat(MAX_PREVIEW_CHARS + 1));
        assert_eq!(cut, "é".repeat(MAX_PREVIEW_CHARS - 1) + "…");
        assert_eq!(preview(""), "");
    }
}
