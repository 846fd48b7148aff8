//! `dormant`: chats whose members hear of new events through `user:{id}`, because their connections
//! do not hold them live.

use crate::{
    db::{Db, column, fetch_all, json_rows},
    error::Result,
    state::Api,
};
use protocol::calls::{Dormant, DormantMarked};
use std::collections::HashSet;

/// Chat, user, and whether it is dormant.
pub(super) type Mark = (i64, i64, bool);

/// Marks these chats dormant for these users; tells who is a member.
pub async fn dormant(api: &Api, request: Dormant) -> Result<DormantMarked> {
    let asked = request.chats.iter().map(|chat| (chat.chat_id.0, chat.user_id.0));
    let marks: Vec<Mark> =
        asked.clone().collect::<HashSet<_>>().into_iter().map(|(c, u)| (c, u, true)).collect();
    let members = mark(&api.db, &marks).await?;
    Ok(DormantMarked { members: asked.map(|chat| members.contains(&chat)).collect() })
}

/// Sets these marks, each once; returns those of members.
pub(super) async fn mark(db: &Db, marks: &[Mark]) -> Result<HashSet<(i64, i64)>> {
    if marks.is_empty() {
        return Ok(HashSet::new());
    }
    let mut tx = db.begin().await?;
    // PostgreSQL: locked in the same order as read marks are.
    let members: Vec<(i64, i64)> = fetch_all!(
        tx,
        postgres: "WITH marks AS (
                SELECT m.chat_id, m.user_id, r.dormant
                FROM UNNEST($1::BIGINT[], $2::BIGINT[], $3::BOOLEAN[]) AS r (chat_id, user_id, dormant)
                JOIN members m ON m.chat_id = r.chat_id AND m.user_id = r.user_id
                ORDER BY m.chat_id, m.user_id FOR NO KEY UPDATE OF m)
            UPDATE members m SET dormant = marks.dormant FROM marks
            WHERE m.chat_id = marks.chat_id AND m.user_id = marks.user_id
            RETURNING m.chat_id, m.user_id",
        (
            column!(marks, 0),
            column!(marks, 1),
            column!(marks, 2),
        ),
        sqlite: "UPDATE members SET dormant = marks.dormant
            FROM (SELECT value ->> 0 AS chat, value ->> 1 AS user, value ->> 2 AS dormant
                  FROM json_each($1)) marks
            WHERE chat_id = marks.chat AND user_id = marks.user
            RETURNING chat_id, user_id",
        (json_rows(marks)),
    )?;
    tx.commit().await?;
    Ok(members.into_iter().collect())
}
