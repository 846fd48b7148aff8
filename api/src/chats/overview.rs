//! Chats as one user sees them: name, end, read mark, unread count. For lists, for the `view` and
//! `open` of gateways.

use super::{
    access::{MemberRole, chat_type},
    ban_rows,
    member_key::MemberKey,
};
use crate::{
    db::{Link, column, fetch_all, fetch_optional, from_row, json_rows},
    error::Result,
};
use protocol::{
    calls::UserChat,
    chat::{ChatType, ChatView, UserRef},
    code::Code,
    id::{ChatId, Seq, UserId},
    time::Timestamp,
};

/// Most chats in one page of [`list`].
pub const MAX_CHATS: i64 = 500;

/// A chat with what lists show beside the native protocol's fields.
#[derive(Clone, Debug)]
pub struct Overview {
    /// What the native protocol shows of it.
    pub view: ChatView,
    /// The user's own part; `None` for a room that the user is not a member of.
    pub role: Option<MemberRole>,
    /// Members now, invited ones included.
    pub member_count: i64,
    /// Messages now, without deleted ones.
    pub message_count: i64,
    /// `None` for the lobby, which nobody made.
    pub created_by: Option<UserId>,
    /// By the database's clock.
    pub created_at: Timestamp,
    /// Kept out of the room. Looked up by [`find`] alone.
    pub banned: bool,
}

impl Overview {
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

/// A statement that reads [`Overview`]s: their columns, and what stands behind them, which begins with more
/// columns or with `FROM`. They are columns of `p`, which has all of the chat's, and of the user's row of
/// `members`, if there is one, these: `user_id, role, last_read, seen, invited_by`.
///
/// Unread is a subtraction ([`super::ordinals`]). What is not numbered yet is counted:
/// others' messages among the first 100 behind the mark, in their order, so that PostgreSQL goes by the
/// index of it.
macro_rules! select_overviews {
    ($rest:literal) => {
        concat!(
            "SELECT p.id, CASE WHEN p.chat_type <> 'private' THEN p.name ELSE COALESCE((
                 SELECT ou.name FROM members o JOIN users ou ON ou.id = o.user_id
                 WHERE o.chat_id = p.id AND o.user_id <> p.user_id), '') END AS name,
             p.chat_type, p.last_seq, p.last_read,
             CASE WHEN p.user_id IS NULL OR p.last_read >= p.last_seq THEN 0
                  WHEN p.seen IS NULL OR p.sent_seq <> p.last_seq THEN (
                      SELECT count(*) FROM (
                          SELECT x.sender_id FROM messages x WHERE x.chat_id = p.id
                              AND x.id > p.last_read AND x.deleted_at IS NULL
                          ORDER BY x.id LIMIT 100) next
                      WHERE sender_id <> p.user_id)
                  WHEN p.newest > p.seen THEN p.newest - p.seen ELSE 0 END AS unread,
             p.role, p.invited_by,
             (SELECT iu.username FROM users iu WHERE iu.id = p.invited_by) AS inviter,
             p.member_count, p.message_count, p.created_by, p.created_at",
            $rest
        )
    };
}
pub(super) use select_overviews;

from_row!(Overview, |row| {
    let invited_by: Option<i64> = row.try_get("invited_by")?;
    let inviter: Option<String> = row.try_get("inviter")?;
    Self {
        view: ChatView {
            id: ChatId(row.try_get("id")?),
            name: row.try_get("name")?,
            chat_type: chat_type(row.try_get("chat_type")?),
            seq: Seq(row.try_get("last_seq")?),
            last_read: Seq(row.try_get::<Option<i64>, _>("last_read")?.unwrap_or(0)),
            unread: row.try_get("unread")?,
            invited_by: (invited_by.zip(inviter))
                .map(|(id, username)| UserRef::registered(UserId(id), username)),
        },
        role: row.try_get::<Option<&str>, _>("role")?.map(MemberRole::from_text),
        member_count: row.try_get("member_count")?,
        message_count: row.try_get("message_count")?,
        created_by: row.try_get::<Option<i64>, _>("created_by")?.map(UserId),
        created_at: Timestamp(row.try_get("created_at")?),
        banned: false,
    }
});

/// One that was asked for, and its place in the question.
struct FoundChat {
    chat: Overview,
    place: i64,
}

from_row!(FoundChat, |row| Self { chat: Overview::from_row(row)?, place: row.try_get("place")? });

/// Each of these chats as its user sees it, in the order asked; `None` where there is no such chat.
/// Does not say whether the user may: see [`Overview::to_enter`].
pub async fn find(link: &mut Link<'_>, pairs: &[UserChat]) -> Result<Vec<Option<Overview>>> {
    let keys: Vec<MemberKey> = pairs.iter().map(MemberKey::from).collect();
    let found: Vec<FoundChat> = fetch_all!(
        link,
        postgres: select_overviews!(", p.place FROM (
            SELECT c.*, m.user_id, m.role, m.last_read, m.seen, m.invited_by, r.place - 1 AS place
            FROM UNNEST($1::BIGINT[], $2::BIGINT[]) WITH ORDINALITY AS r (chat_id, user_id, place)
            JOIN chats c ON c.id = r.chat_id AND c.deleted_at IS NULL
            LEFT JOIN members m ON m.chat_id = r.chat_id AND m.user_id = r.user_id) p"),
        (column!(keys, chat_id), column!(keys, user_id)),
        sqlite: select_overviews!(", p.place FROM (
            SELECT c.*, m.user_id, m.role, m.last_read, m.seen, m.invited_by, r.key AS place
            FROM json_each($1) r
            JOIN chats c ON c.id = r.value ->> 'chat_id' AND c.deleted_at IS NULL
            LEFT JOIN members m ON m.chat_id = c.id AND m.user_id = r.value ->> 'user_id') p"),
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

/// One chat as a user sees it: `chat_not_found` when there is none, `not_a_member` or `banned` when it is not
/// the user's to enter.
pub async fn get(link: &mut Link<'_>, user_id: UserId, chat_id: ChatId) -> Result<Overview> {
    let found = find(link, &[UserChat { user_id, chat_id }]).await?.pop().flatten();
    let overview = found.ok_or(Code::ChatNotFound)?;
    overview.to_enter()?;
    Ok(overview)
}

/// A user's chats, the newest made first, and after them those that strangers have invited the user to, in the
/// same order; those that come after the chat `before`; at most [`MAX_CHATS`].
pub async fn list(
    link: &mut Link<'_>,
    user: UserId,
    before: Option<ChatId>,
    limit: i64,
) -> Result<Vec<Overview>> {
    let limit = limit.clamp(1, MAX_CHATS);
    let invitation: Option<(bool,)> = match before {
        None => None,
        Some(before) => fetch_optional!(
            link,
            "SELECT invited_by IS NOT NULL FROM members WHERE chat_id = $1 AND user_id = $2",
            before.0,
            user.0
        )?,
    };
    let before = before.map_or(i64::MAX, |chat| chat.0);
    let among_invitations = invitation == Some((true,));
    let mut chats: Vec<Overview> = match among_invitations {
        true => Vec::new(),
        false => fetch_all!(
            link,
            select_overviews!(
                " FROM (
                    SELECT c.*, m.user_id, m.role, m.last_read, m.seen, m.invited_by, m.chat_id
                    FROM members m JOIN chats c ON c.id = m.chat_id AND c.deleted_at IS NULL
                    WHERE m.user_id = $1 AND m.chat_id < $2 AND m.invited_by IS NULL) p
                 ORDER BY p.chat_id DESC LIMIT $3"
            ),
            user.0,
            before,
            limit
        )?,
    };
    let left = limit - i64::try_from(chats.len()).unwrap_or(limit);
    if left > 0 {
        let before = if among_invitations { before } else { i64::MAX };
        let invitations: Vec<Overview> = fetch_all!(
            link,
            select_overviews!(
                " FROM (
                    SELECT c.*, m.user_id, m.role, m.last_read, m.seen, m.invited_by, m.chat_id
                    FROM members m JOIN chats c ON c.id = m.chat_id AND c.deleted_at IS NULL
                    WHERE m.user_id = $1 AND m.chat_id < $2 AND m.invited_by IS NOT NULL) p
                 ORDER BY p.chat_id DESC LIMIT $3"
            ),
            user.0,
            before,
            left
        )?;
        chats.extend(invitations);
    }
    Ok(chats)
}

/// All rooms as a user sees them, the oldest first, those after the room `after`; at most [`MAX_CHATS`].
pub async fn rooms(
    link: &mut Link<'_>,
    user: UserId,
    after: ChatId,
    limit: i64,
) -> Result<Vec<Overview>> {
    Ok(fetch_all!(
        link,
        select_overviews!(
            " FROM (
                SELECT c.*, m.user_id, m.role, m.last_read, m.seen, m.invited_by
                FROM chats c LEFT JOIN members m ON m.chat_id = c.id AND m.user_id = $1
                WHERE c.chat_type = 'room' AND c.deleted_at IS NULL AND c.id > $2) p
             ORDER BY p.id LIMIT $3"
        ),
        user.0,
        after.0,
        limit.clamp(1, MAX_CHATS)
    )?)
}
