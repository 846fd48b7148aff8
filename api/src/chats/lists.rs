//! The lists of a user's chats and of all rooms, page by page. What stands in them is [`super::overview`]'s.

use super::overview::{Overview, select_overviews};
use crate::{
    db::{Databases, Db, Link, fetch_all, fetch_optional, row},
    error::{Error, Result},
    parts,
};
use protocol::{
    code::Code,
    id::{ChatId, UserId},
};

/// Most chats in one page.
pub const MAX_CHATS: i64 = 500;

/// Most rooms that one page looks through for a part of a name: some milliseconds.
pub const MAX_WALK: i64 = 10_000;

/// SQLite's statement of [`list`].
pub(super) const LIST_SQLITE: &str = select_overviews!(sqlite: "", "(
        SELECT c.*, m.user_id, m.role, m.last_read, m.seen, m.invited_by, m.muted, m.pinned, m.archived_upto,
            m.marked_unread, CASE WHEN m.invited_by IS NULL THEN 0 ELSE 1 END AS invited,
            CASE WHEN m.pinned THEN 0 ELSE 1 END AS unpinned
        FROM members m JOIN chats c ON c.id = m.chat_id AND c.deleted_at IS NULL
        WHERE m.user_id = $1
            AND (CASE WHEN m.invited_by IS NULL THEN 0 ELSE 1 END, CASE WHEN m.pinned THEN 0 ELSE 1 END,
                -c.changed_at, -c.id) > ($2, $3, $4, $5)
        ORDER BY invited, unpinned, c.changed_at DESC, c.id DESC LIMIT $6) p",
        "ORDER BY p.invited, p.unpinned, p.changed_at DESC, p.id DESC");

/// A user's chats in the order of lists: pinned ones first, then the most recently active, and those that strangers
/// have invited the user to after all others. Those that come after the chat `before` now; at most [`MAX_CHATS`]. A
/// chat that moves to the front between two pages is in both; none is left out.
pub async fn list(
    link: &mut Link<'_>,
    user: UserId,
    before: Option<ChatId>,
    limit: i64,
) -> Result<Vec<Overview>> {
    let after = match before {
        Some(chat) => place_of(link, user, chat).await?.ok_or(Code::ChatNotFound)?,
        None => ListPlace::FIRST,
    };
    behind(link, user, after, limit).await
}

/// The same of all servers: each gives its page, and they are merged in their order. One that is away fails the list,
/// which would look as if its chats were gone. Times are each server's own.
pub async fn list_all(
    db: &Databases,
    user: UserId,
    before: Option<ChatId>,
    limit: i64,
) -> Result<Vec<Overview>> {
    if !db.are_several() {
        return list(&mut db.home().read().await?.link(), user, before, limit).await;
    }
    let after = match before {
        Some(chat) => {
            let mut conn = db.of(chat).read().await?;
            place_of(&mut conn.link(), user, chat).await?.ok_or(Code::ChatNotFound)?
        }
        None => ListPlace::FIRST,
    };
    let pages = db
        .ask_each(
            |db| async move { behind(&mut db.read().await?.link(), user, after, limit).await },
        )
        .await?;
    let mut chats: Vec<Overview> = pages.into_iter().flatten().collect();
    chats.sort_by_key(Overview::place);
    chats.truncate(usize::try_from(limit.clamp(1, MAX_CHATS)).unwrap_or_default());
    Ok(chats)
}

async fn behind(
    link: &mut Link<'_>,
    user: UserId,
    after: ListPlace,
    limit: i64,
) -> Result<Vec<Overview>> {
    let ListPlace { invited, unpinned, quiet, id } = after;
    let limit = limit.clamp(1, MAX_CHATS);
    // PostgreSQL goes from the user to the memberships and from there to the chats, as in `open`.
    Ok(fetch_all!(
        link,
        postgres: select_overviews!(postgres: "", "(
            SELECT c.*, m.user_id, m.role, m.last_read, m.seen, m.invited_by, m.muted, m.pinned, m.archived_upto,
                m.marked_unread, CASE WHEN m.invited_by IS NULL THEN 0 ELSE 1 END AS invited,
                CASE WHEN m.pinned THEN 0 ELSE 1 END AS unpinned
            FROM members m CROSS JOIN LATERAL (
                SELECT * FROM chats WHERE id = m.chat_id AND deleted_at IS NULL OFFSET 0) c
            WHERE m.user_id = $1
                AND (CASE WHEN m.invited_by IS NULL THEN 0 ELSE 1 END, CASE WHEN m.pinned THEN 0 ELSE 1 END,
                    -c.changed_at, -c.id) > ($2, $3, $4, $5)
            ORDER BY invited, unpinned, c.changed_at DESC, c.id DESC LIMIT $6) p",
            "ORDER BY p.invited, p.unpinned, p.changed_at DESC, p.id DESC"),
        (user.0, invited, unpinned, quiet, id, limit),
        sqlite: LIST_SQLITE,
        (user.0, invited, unpinned, quiet, id, limit),
    )?)
}

row! {
    /// Where a chat stands in a user's list.
    #[derive(Clone, Copy)]
    struct ListPlace {
        invited: i32,
        unpinned: i32,
        /// The time of the newest event, negative: the most recent one comes first.
        quiet: i64,
        /// The chat's id, negative.
        id: i64,
    }
}

impl ListPlace {
    /// Before all chats.
    const FIRST: Self = Self { invited: -1, unpinned: 0, quiet: 0, id: 0 };
}

/// Also of a chat that the user has left or that was deleted since it was listed.
async fn place_of(link: &mut Link<'_>, user: UserId, chat: ChatId) -> Result<Option<ListPlace>> {
    Ok(fetch_optional!(
        link,
        "SELECT CASE WHEN m.invited_by IS NULL THEN 0 ELSE 1 END AS invited,
             CASE WHEN m.pinned THEN 0 ELSE 1 END AS unpinned, -c.changed_at AS quiet, -c.id AS id
         FROM chats c LEFT JOIN members m ON m.chat_id = c.id AND m.user_id = $2 WHERE c.id = $1",
        chat.0,
        user.0
    )?)
}

/// Rooms, and where the next page begins.
#[derive(Debug)]
pub struct RoomPage {
    /// The oldest first.
    pub items: Vec<Overview>,
    /// `after` of the next page; `None` on the last one. There may be one behind an empty page of a search.
    pub next: Option<ChatId>,
}

/// SQLite's statement of [`rooms`].
pub(super) const ROOMS_SQLITE: &str = select_overviews!(sqlite: "", "(
        SELECT c.*, m.user_id, m.role, m.last_read, m.seen, m.invited_by, m.muted, m.pinned, m.archived_upto,
            m.marked_unread
        FROM (SELECT * FROM chats WHERE chat_type = 'room' AND deleted_at IS NULL AND id > $2
            ORDER BY id LIMIT $4) c
        LEFT JOIN members m ON m.chat_id = c.id AND m.user_id = $1
        WHERE c.name LIKE $5 ESCAPE '\\' OR lower(c.name) LIKE $6 ESCAPE '\\' OR c.name LIKE $7 ESCAPE '\\'
            OR c.name LIKE $8 ESCAPE '\\'
        ORDER BY c.id LIMIT $3) p",
        "ORDER BY p.id");

/// The rooms after the room `after` as a user sees them, at most [`MAX_CHATS`]; of those whose names have `part` in
/// them, what is among the next [`MAX_WALK`]. What was said last is shown to members only: nobody looks up here who is
/// banned.
pub async fn rooms(
    link: &mut Link<'_>,
    user: UserId,
    part: &str,
    after: ChatId,
    limit: i64,
) -> Result<RoomPage> {
    let limit = limit.clamp(1, MAX_CHATS);
    let [written, lower, upper, initials] = parts::patterns(part);
    let mut items: Vec<Overview> = fetch_all!(
        link,
        postgres: select_overviews!(postgres: "", "(
            SELECT c.*, m.user_id, m.role, m.last_read, m.seen, m.invited_by, m.muted, m.pinned, m.archived_upto,
                m.marked_unread
            FROM (SELECT * FROM chats WHERE chat_type = 'room' AND deleted_at IS NULL AND id > $2
                ORDER BY id LIMIT $4) c
            LEFT JOIN members m ON m.chat_id = c.id AND m.user_id = $1
            WHERE c.name LIKE $5 ESCAPE '\\' OR lower(c.name) LIKE $6 ESCAPE '\\' OR c.name LIKE $7 ESCAPE '\\'
                OR c.name LIKE $8 ESCAPE '\\'
            ORDER BY c.id LIMIT $3) p",
            "ORDER BY p.id"),
        (user.0, after.0, limit, MAX_WALK, &written, &lower, &upper, &initials),
        sqlite: ROOMS_SQLITE,
        (user.0, after.0, limit, MAX_WALK, &written, &lower, &upper, &initials),
    )?;
    for room in items.iter_mut().filter(|room| room.role.is_none()) {
        room.view.last_message = None;
    }
    let next = match items.last() {
        Some(last) if items.len() as i64 == limit => Some(last.view.id),
        _ => walked_to(link, after).await?,
    };
    Ok(RoomPage { items, next })
}

/// The same of all servers: each looks through its rooms, and what all have come to is merged.
pub async fn all_rooms(
    db: &Databases,
    user: UserId,
    part: &str,
    after: ChatId,
    limit: i64,
) -> Result<RoomPage> {
    let ask =
        |db: Db| async move { rooms(&mut db.read().await?.link(), user, part, after, limit).await };
    let mut pages = db.ask_each(ask).await?;
    if let [_] = pages[..] {
        return pages.pop().ok_or_else(Error::internal);
    }
    let looked_to = pages.iter().filter_map(|page| page.next).min();
    let mut items: Vec<Overview> = pages.into_iter().flat_map(|page| page.items).collect();
    items.retain(|room| looked_to.is_none_or(|last| room.view.id <= last));
    items.sort_by_key(|room| room.view.id);
    let limit = usize::try_from(limit.clamp(1, MAX_CHATS)).unwrap_or_default();
    let next = if items.len() > limit { Some(items[limit - 1].view.id) } else { looked_to };
    items.truncate(limit);
    Ok(RoomPage { items, next })
}

/// The last room of a walk from `after` on, if it did not come to the end.
async fn walked_to(link: &mut Link<'_>, after: ChatId) -> Result<Option<ChatId>> {
    let last: Option<(i64,)> = fetch_optional!(
        link,
        "SELECT id FROM chats WHERE chat_type = 'room' AND deleted_at IS NULL AND id > $1
         ORDER BY id LIMIT 1 OFFSET $2",
        after.0,
        MAX_WALK - 1
    )?;
    Ok(last.map(|(last,)| ChatId(last)))
}
