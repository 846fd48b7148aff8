//! Chats by the thousand, for administrators: like [`super::create`], with anybody as the members and
//! the first of them in the place of whoever makes one. The administrator is in none of them.

use super::{create, direct::pair_key, membership, rules};
use crate::{
    audit::{self, AuditAction, AuditEntry},
    config::ChatLimits,
    db::{Db, DbError, Tx, column, execute, fetch_all, joined, json_rows, people_copy},
    error::{Error, Result},
    news::{self, News},
    state::Api,
};
use protocol::{
    chat::ChatType,
    code::Code,
    id::{ChatId, UserId},
    relay::UserPayload,
};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Chats in one call.
pub const MAX_CHATS: usize = 1_000;

/// Members of all chats of one call. A row each, and a word to each member's gateways.
pub const MAX_MEMBERS: usize = 10_000;

/// A chat to be. The first member owns a group or room.
#[derive(Debug)]
pub struct NewBulkChat {
    /// As for [`super::create::NewChat`].
    pub chat_type: ChatType,
    /// As for [`super::create::NewChat`].
    pub name: Option<String>,
    /// All of them, nobody twice.
    pub member_ids: Vec<UserId>,
}

/// Makes the chats, all or none of each server's; their ids in the same order. A pair that has its private chat keeps
/// that one. A member may come to have a call's chats more than a user may have otherwise.
pub async fn create(api: &Api, admin: UserId, chats: &[NewBulkChat]) -> Result<Vec<ChatId>> {
    let limits = &api.config.chats;
    let rows = check(chats, limits)?;
    let users: BTreeSet<i64> =
        chats.iter().flat_map(|chat| &chat.member_ids).map(|user| user.0).collect();
    let users: Vec<i64> = users.into_iter().collect();
    membership::check_users(&api.db, "chats", &users, &BTreeSet::new(), limits).await?;
    let numbered: Vec<(&ChatRow<'_>, &NewBulkChat)> = rows.iter().zip(chats).collect();
    let mut made = Vec::new();
    for part in api.db.split(&numbered, |(row, _)| ChatId(row.bucket)) {
        let db = &api.db.each()[part.server];
        people_copy::await_people(&api.db, db, &users).await?;
        let (rows, chats): (Vec<&ChatRow<'_>>, Vec<&NewBulkChat>) =
            part.of(&numbered).into_iter().unzip();
        made.push((part, create_on(api, db, admin, &rows, &chats).await?));
    }
    joined(chats.len(), made)
}

/// Makes the chats of one server.
async fn create_on(
    api: &Api,
    db: &Db,
    admin: UserId,
    rows: &[&ChatRow<'_>],
    chats: &[&NewBulkChat],
) -> Result<Vec<ChatId>> {
    let mut tx = db.begin().await?;
    let ids = insert(&mut tx, rows).await?;
    enter(&mut tx, chats, &ids).await?;
    let told = format!("{} chats", ids.len());
    let entry = AuditEntry::of(admin, AuditAction::CreateChats).because(&told);
    audit::record(&mut tx, &[entry]).await?;
    let mut news = News::default();
    for (chat, id) in chats.iter().zip(&ids) {
        for member in &chat.member_ids {
            news.for_user(*member, UserPayload::Added { chat_id: *id });
        }
    }
    news::commit(api, tx, news).await?;
    Ok(ids)
}

/// A chat's row, all of it checked.
#[derive(Serialize)]
struct ChatRow<'a> {
    kind: &'static str,
    name: &'a str,
    pair: Option<String>,
    bucket: i64,
    maker: i64,
    members: i64,
}

fn check<'a>(chats: &'a [NewBulkChat], limits: &ChatLimits) -> Result<Vec<ChatRow<'a>>> {
    if chats.is_empty() || chats.len() > MAX_CHATS {
        return Err(Error::field("chats", format!("must have 1 to {MAX_CHATS} chats")));
    }
    let members: usize = chats.iter().map(|chat| chat.member_ids.len()).sum();
    if members > MAX_MEMBERS {
        let text = format!("must have at most {MAX_MEMBERS} members altogether");
        return Err(Error::field("chats", text));
    }
    chats.iter().map(|chat| row(chat, limits)).collect()
}

fn row<'a>(chat: &'a NewBulkChat, limits: &ChatLimits) -> Result<ChatRow<'a>> {
    let members = &chat.member_ids;
    let distinct: BTreeSet<UserId> = members.iter().copied().collect();
    let Some(first) = members.first().filter(|_| distinct.len() == members.len()) else {
        return Err(Error::field("member_ids", "must name at least one user, and nobody twice"));
    };
    let count = i64::try_from(members.len()).unwrap_or(i64::MAX);
    let (kind, name, pair) = match (chat.chat_type, chat.name.as_deref(), &members[..]) {
        (ChatType::Private, _, [one, other]) => ("private", "", Some((*one, *other))),
        (ChatType::Private, ..) => {
            return Err(Error::field("member_ids", "must name two users for a private chat"));
        }
        (ChatType::Group, ..) if count > limits.group_members => {
            return Err(Error::new(
                Code::GroupFull,
                format!(
                    "A group has at most {} members. A room has no limit.",
                    limits.group_members
                ),
            ));
        }
        (ChatType::Group, name, _) => ("group", rules::check_name(name.unwrap_or("Group"))?, None),
        (ChatType::Room, Some(name), _) => ("room", rules::check_name(name)?, None),
        (ChatType::Room, None, _) => {
            return Err(Error::field("name", "is required for a room"));
        }
    };
    let bucket = create::bucket(pair).number();
    let pair = pair.map(|(one, other)| pair_key(one, other));
    Ok(ChatRow { kind, name, pair, bucket, maker: first.0, members: count })
}

/// Adds the chats' rows, or finds those of pairs that have one.
async fn insert(tx: &mut Tx, rows: &[&ChatRow<'_>]) -> Result<Vec<ChatId>, DbError> {
    // In the order of their keys, in which all calls make them, and each pair once.
    let pairs: BTreeMap<&str, &ChatRow<'_>> =
        rows.iter().filter_map(|row| Some((row.pair.as_deref()?, *row))).collect();
    let pairs: Vec<&ChatRow<'_>> = pairs.into_values().collect();
    let pairs: BTreeMap<String, i64> = insert_rows(tx, &pairs)
        .await?
        .into_iter()
        .filter_map(|(id, pair)| Some((pair?, id)))
        .collect();
    let others: Vec<&ChatRow<'_>> = rows.iter().copied().filter(|row| row.pair.is_none()).collect();
    let mut others: Vec<i64> =
        insert_rows(tx, &others).await?.into_iter().map(|(id, _)| id).collect();
    // The rows were inserted in their order, so their ids grow in that order.
    others.sort_unstable();
    let mut others = others.into_iter();
    let id = |row: &&ChatRow<'_>| match &row.pair {
        Some(pair) => pairs.get(pair).copied(),
        None => others.next(),
    };
    Ok(rows.iter().filter_map(id).map(ChatId).collect())
}

async fn insert_rows(
    tx: &mut Tx,
    rows: &[&ChatRow<'_>],
) -> Result<Vec<(i64, Option<String>)>, DbError> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    // `OFFSET 0` has PostgreSQL read the clock once, and not for each row.
    fetch_all!(
        tx,
        postgres: "INSERT INTO chats
                (id, chat_type, name, pair_key, created_by, created_at, changed_at, member_count)
            SELECT next_chat_id(r.bucket), r.kind, r.name, r.pair, r.maker, r.now, r.now, r.members
            FROM (SELECT * FROM (SELECT now FROM clock OFFSET 0) c CROSS JOIN UNNEST(
                    $1::TEXT[], $2::TEXT[], $3::TEXT[], $4::BIGINT[], $5::BIGINT[], $6::BIGINT[])
                    WITH ORDINALITY AS r (kind, name, pair, maker, members, bucket, place)
                ORDER BY r.place) r
            ON CONFLICT (pair_key) DO UPDATE SET pair_key = EXCLUDED.pair_key
            RETURNING id, pair_key",
        (
            column!(rows, kind),
            column!(rows, name),
            column!(rows, pair),
            column!(rows, maker),
            column!(rows, members),
            column!(rows, bucket),
        ),
        sqlite: "INSERT INTO chats
                (id, chat_type, name, pair_key, created_by, created_at, changed_at, member_count)
            SELECT (seq / 4096 + 1 + key) * 4096 + (value ->> 'bucket'), value ->> 'kind', value ->> 'name', value ->> 'pair', value ->> 'maker', c.now, c.now,
                value ->> 'members'
            FROM (SELECT now FROM clock) c CROSS JOIN sqlite_sequence s CROSS JOIN json_each($1)
            WHERE s.name = 'chats' ORDER BY key
            ON CONFLICT (pair_key) DO UPDATE SET pair_key = excluded.pair_key
            RETURNING id, pair_key",
        (json_rows(rows)),
    )
}

#[derive(Serialize)]
struct NewMember {
    chat_id: i64,
    user_id: i64,
    role: &'static str,
}

/// Writes the members; those of a private chat that was there already are in it.
async fn enter(tx: &mut Tx, chats: &[&NewBulkChat], ids: &[ChatId]) -> Result<(), DbError> {
    let rows: Vec<NewMember> = chats
        .iter()
        .zip(ids)
        .flat_map(|(chat, id)| {
            chat.member_ids.iter().enumerate().map(|(place, member)| {
                let owns = place == 0 && chat.chat_type != ChatType::Private;
                let role = if owns { "owner" } else { "member" };
                NewMember { chat_id: id.0, user_id: member.0, role }
            })
        })
        .collect();
    execute!(
        tx,
        postgres: "INSERT INTO members (chat_id, user_id, role, joined_at, seen)
            SELECT r.chat_id, r.user_id, r.role, c.now, 0
            FROM (SELECT now FROM clock OFFSET 0) c CROSS JOIN UNNEST(
                $1::BIGINT[], $2::BIGINT[], $3::TEXT[]) AS r (chat_id, user_id, role)
            ON CONFLICT DO NOTHING",
        (
            column!(rows, chat_id),
            column!(rows, user_id),
            column!(rows, role),
        ),
        sqlite: "INSERT INTO members (chat_id, user_id, role, joined_at, seen)
            SELECT value ->> 'chat_id', value ->> 'user_id', value ->> 'role', c.now, 0
            FROM (SELECT now FROM clock) c CROSS JOIN json_each($1) WHERE TRUE
            ON CONFLICT DO NOTHING",
        (json_rows(&rows)),
    )?;
    Ok(())
}
