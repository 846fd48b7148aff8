//! `dormant`: chats whose members hear of new events through `user:{id}`, because their connections
//! do not hold them live.

use super::member_key::MemberKey;
use crate::{
    db::{Databases, Db, column, fetch_all, json_rows},
    error::Result,
    state::Api,
};
use futures_util::future::try_join_all;
use protocol::{
    calls::{Dormant, DormantMarked},
    id::ChatId,
};
use serde::Serialize;
use std::collections::HashSet;

/// A member, and whether the chat is to be dormant for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct DormantMark {
    pub chat_id: i64,
    pub user_id: i64,
    pub dormant: bool,
}

/// Marks these chats dormant for these users; tells who is a member.
pub async fn dormant(api: &Api, request: Dormant) -> Result<DormantMarked> {
    let asked: Vec<MemberKey> = request.chats.iter().map(MemberKey::from).collect();
    let each_once: HashSet<MemberKey> = asked.iter().copied().collect();
    let marks: Vec<DormantMark> = each_once
        .into_iter()
        .map(|MemberKey { chat_id, user_id }| DormantMark { chat_id, user_id, dormant: true })
        .collect();
    let members = mark(&api.db, &marks).await?;
    Ok(DormantMarked { members: asked.iter().map(|key| members.contains(key)).collect() })
}

/// Sets these marks, each once; returns those of members.
pub(super) async fn mark(db: &Databases, marks: &[DormantMark]) -> Result<HashSet<MemberKey>> {
    let parts = db.split(marks, |mark| ChatId(mark.chat_id));
    let marked = parts.iter().map(|part| mark_on(&db.each()[part.server], part.of(marks)));
    Ok(try_join_all(marked).await?.into_iter().flatten().collect())
}

async fn mark_on(db: &Db, marks: Vec<DormantMark>) -> Result<Vec<MemberKey>> {
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
            column!(marks, chat_id),
            column!(marks, user_id),
            column!(marks, dormant),
        ),
        sqlite: "UPDATE members SET dormant = marks.dormant
            FROM (SELECT value ->> 'chat_id' AS chat, value ->> 'user_id' AS user,
                      value ->> 'dormant' AS dormant FROM json_each($1)) marks
            WHERE chat_id = marks.chat AND user_id = marks.user
            RETURNING chat_id, user_id",
        (json_rows(&marks)),
    )?;
    tx.commit().await?;
    let key = |(chat_id, user_id)| MemberKey { chat_id, user_id };
    Ok(members.into_iter().map(key).collect())
}
