//! Read marks, one by one or of whole chats at once. They only move forward, whoever else moves them at the
//! same time, and the user's other devices and the senders hear of it.

use super::{direct, member_key::MemberKey};
use crate::{
    db::{Db, Tx, column, execute, fetch_all, json_rows, row},
    error::Result,
    news::{self, News},
    state::Api,
};
use futures_util::future::try_join_all;
use protocol::{
    calls::{MarkRead, ReadMark},
    id::{ChatId, Seq, UserId},
    limits::MAX_BATCH,
    relay::{ChatPayload, MAX_WATCHERS, UserPayload},
};
use serde::Serialize;
use std::{collections::BTreeMap, ops::RangeInclusive};

row! {
    struct MovedMark {
        chat_id: i64,
        user_id: i64,
        last_read: i64,
        /// Not only what is seen moved, but the mark; or the chat was marked as unread.
        forward: bool,
        chat_type: String,
        member_count: i64,
    }
}

/// Moves the marks of members and publishes those that moved. Marks of others are ignored.
pub async fn mark_read(api: &Api, request: MarkRead) -> Result<()> {
    let marks = furthest(&request.marks);
    let parts = api.db.split(&marks, |mark| ChatId(mark.chat_id));
    try_join_all(parts.iter().map(|part| mark_on(api, part.server, part.of(&marks)))).await?;
    Ok(())
}

async fn mark_on(api: &Api, server: usize, marks: Vec<NewMark>) -> Result<()> {
    let mut tx = api.db.each()[server].begin().await?;
    let moved = move_marks(&mut tx, &marks).await?;
    // PostgreSQL has done so in the same round trip.
    if let Tx::Sqlite(..) = tx {
        move_seen(&mut tx, &marks).await?;
    }
    news::commit(api, tx, tell(moved)).await?;
    Ok(())
}

/// Where a member's mark is to be, at least.
#[derive(Clone, Copy, Serialize)]
struct NewMark {
    chat_id: i64,
    user_id: i64,
    mark: i64,
}

/// Each member's mark once, the furthest, in the order of the members' keys.
fn furthest(marks: &[ReadMark]) -> Vec<NewMark> {
    let mut furthest: BTreeMap<MemberKey, i64> = BTreeMap::new();
    for mark in marks {
        let member = MemberKey { chat_id: mark.chat_id.0, user_id: mark.user_id.0 };
        let place = furthest.entry(member).or_default();
        *place = mark.message_id.0.max(*place);
    }
    let new = |(MemberKey { chat_id, user_id }, mark)| NewMark { chat_id, user_id, mark };
    furthest.into_iter().map(new).collect()
}

/// Moves the marks, and with PostgreSQL what is seen. What is seen may move without the mark: by a mark set
/// while the chat was not numbered.
async fn move_marks(tx: &mut Tx, marks: &[NewMark]) -> Result<Vec<MovedMark>> {
    // PostgreSQL: rows are locked in one order everywhere, or two batches could wait for each other. Whoever has
    // marked the chat as unread takes that back, wherever the mark is.
    Ok(fetch_all!(
        tx,
        postgres: "WITH marks AS (
                SELECT m.chat_id, m.user_id, m.last_read AS before, m.marked_unread, c.chat_type, c.member_count,
                    GREATEST(m.last_read, LEAST(r.mark, c.last_seq)) AS mark,
                    CASE WHEN c.sent_seq = c.last_seq THEN COALESCE((
                        SELECT x.ordinal - 1 FROM messages x
                        WHERE x.chat_id = c.id AND x.id > r.mark AND x.deleted_at IS NULL
                        ORDER BY x.id LIMIT 1), c.sent_count) END AS seen
                FROM UNNEST($1::BIGINT[], $2::BIGINT[], $3::BIGINT[]) AS r (chat_id, user_id, mark)
                JOIN chats c ON c.id = r.chat_id AND c.deleted_at IS NULL
                JOIN members m ON m.chat_id = r.chat_id AND m.user_id = r.user_id
                ORDER BY m.chat_id, m.user_id FOR NO KEY UPDATE OF m)
            UPDATE members m SET last_read = marks.mark, seen = GREATEST(m.seen, marks.seen), marked_unread = FALSE
            FROM marks
            WHERE m.chat_id = marks.chat_id AND m.user_id = marks.user_id
                AND (marks.before < marks.mark OR m.seen < marks.seen OR marks.marked_unread)
            RETURNING m.chat_id, m.user_id, m.last_read,
                marks.before < m.last_read OR marks.marked_unread AS forward, marks.chat_type, marks.member_count",
        (
            column!(marks, chat_id),
            column!(marks, user_id),
            column!(marks, mark),
        ),
        sqlite: "UPDATE members SET last_read = MAX(last_read, marks.mark), marked_unread = FALSE
            FROM (SELECT r.value ->> 'chat_id' AS chat, r.value ->> 'user_id' AS user,
                      MIN(r.value ->> 'mark', c.last_seq) AS mark
                  FROM json_each($1) r
                  JOIN chats c ON c.id = r.value ->> 'chat_id' AND c.deleted_at IS NULL) marks
            WHERE chat_id = marks.chat AND user_id = marks.user AND (last_read < marks.mark OR marked_unread)
            RETURNING chat_id, user_id, last_read, TRUE AS forward,
                (SELECT chat_type FROM chats WHERE chats.id = chat_id) AS chat_type,
                (SELECT member_count FROM chats WHERE chats.id = chat_id) AS member_count",
        (json_rows(marks)),
    )?)
}

/// Moves what is seen in chats that are numbered.
async fn move_seen(tx: &mut Tx, marks: &[NewMark]) -> Result<()> {
    execute!(
        tx,
        "UPDATE members SET seen = marks.seen
         FROM (SELECT c.id AS chat, r.value ->> 'user_id' AS user, COALESCE((
                   SELECT x.ordinal - 1 FROM messages x
                   WHERE x.chat_id = c.id AND x.id > (r.value ->> 'mark') AND x.deleted_at IS NULL
                   ORDER BY x.id LIMIT 1), c.sent_count) AS seen
               FROM json_each($1) r
               JOIN chats c ON c.id = r.value ->> 'chat_id' AND c.deleted_at IS NULL
                   AND c.sent_seq = c.last_seq) marks
         WHERE chat_id = marks.chat AND user_id = marks.user
             AND COALESCE(members.seen, -1) < marks.seen",
        json_rows(marks)
    )?;
    Ok(())
}

fn tell(moved: Vec<MovedMark>) -> News {
    let mut news = News::default();
    for moved in moved.into_iter().filter(|moved| moved.forward) {
        let (chat_id, user_id) = (ChatId(moved.chat_id), UserId(moved.user_id));
        let message_id = Seq(moved.last_read);
        news.for_user(user_id, UserPayload::Read { chat_id, message_id });
        // In a room or a large group, a frame for each reader and message would be members squared.
        if moved.chat_type != "room" && moved.member_count <= MAX_WATCHERS as i64 {
            news.for_chat(chat_id, ChatPayload::Read { user_id, message_id });
        }
    }
    news
}

/// Marks everything in all of a user's chats as read. Returns how many chats' marks moved.
pub async fn mark_all(api: &Api, user: UserId) -> Result<usize> {
    let mut marked = 0;
    for db in api.db.each() {
        let mut first = 0;
        loop {
            let chats = mark(api, db, user, first..=i64::MAX).await?;
            marked += chats.len();
            match chats.last() {
                Some(last) if chats.len() == MAX_BATCH => first = last.0 + 1,
                _ => break,
            }
        }
    }
    Ok(marked)
}

/// Marks everything in the user's private chat with another user as read: 1 when the mark moved,
/// 0 when nothing was unread or they have no chat.
pub async fn mark_from(api: &Api, user: UserId, sender: UserId) -> Result<usize> {
    let Some(chat) = direct::find(&api.db, user, sender).await? else { return Ok(0) };
    Ok(mark(api, api.db.of(chat), user, chat.0..=chat.0).await?.len())
}

/// Marks the user's chats of this range on a server whose marks are behind, the first [`MAX_BATCH`] of them, and
/// returns those.
async fn mark(
    api: &Api,
    db: &Db,
    user_id: UserId,
    range: RangeInclusive<i64>,
) -> Result<Vec<ChatId>> {
    let mut conn = db.read().await?;
    let behind: Vec<(i64, i64)> = fetch_all!(
        conn,
        "SELECT m.chat_id, c.last_seq FROM members m
         JOIN chats c ON c.id = m.chat_id AND c.deleted_at IS NULL
         WHERE m.user_id = $1 AND m.chat_id >= $2 AND m.chat_id <= $3
             AND (m.last_read < c.last_seq OR m.marked_unread)
         ORDER BY m.chat_id LIMIT $4",
        user_id.0,
        range.start(),
        range.end(),
        MAX_BATCH as i64
    )?;
    drop(conn);
    let mark = |&(chat, end)| ReadMark { user_id, chat_id: ChatId(chat), message_id: Seq(end) };
    let marks = behind.iter().map(mark).collect();
    mark_read(api, MarkRead { marks }).await?;
    Ok(behind.into_iter().map(|(chat, _)| ChatId(chat)).collect())
}
