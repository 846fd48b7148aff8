//! Making chats.

use super::{
    direct::{self, pair_key},
    membership,
    overview::{self, Overview},
    rules, strangers,
};
use crate::{
    accounts::Actor,
    db::{DbError, List, Tx, execute, fetch_one, people_copy},
    error::{Error, Result},
    news::News,
    state::Api,
};
use platform::limit;
use protocol::{
    bucket::ChatBucket,
    chat::ChatType,
    code::Code,
    id::{ChatId, UserId},
    relay::UserPayload,
};
use rand::random;
use std::collections::BTreeSet;

/// What a new chat is asked to be.
#[derive(Debug)]
pub struct NewChat {
    /// Decides what else must be there.
    pub chat_type: ChatType,
    /// Not of private chats; groups have one of their own choice or `Group`, rooms need one.
    pub name: Option<String>,
    /// The other members; naming oneself changes nothing.
    pub member_ids: Vec<UserId>,
}

/// Makes a chat with the caller in it: as the owner of a group or room, as one of the two of a
/// private chat. Strangers among the others are invited.
pub async fn create(api: &Api, actor: Actor, new: NewChat) -> Result<Overview> {
    let limits = &api.config.chats;
    let key = format!("chats:{}", actor.user_id);
    if let Err(wait) = api.limiter.try_take(&key, &limits.creation).await {
        metrics::counter!("limit_refused_total", "kind" => "chats").increment(1);
        return Err(Error::too_many(limit::seconds(wait)));
    }
    let name = name(&new)?;
    let mut members = others(actor, &new, limits.members_per_request)?;
    let pair = match (new.chat_type, members.first()) {
        (ChatType::Private, Some(&other)) => Some((actor.user_id, UserId(other))),
        _ => None,
    };
    members.insert(actor.user_id.0);

    let members: Vec<i64> = members.into_iter().collect();
    let invited = strangers::among(&api.db, actor, &members).await?;
    membership::check_users(&api.db, "member_ids", &members, &invited, limits).await?;
    strangers::check_invitations(api, actor, new.chat_type, &invited).await?;
    // One from before ids had buckets may be on another server than the one that would refuse a second.
    if api.db.are_several()
        && let Some((one, other)) = pair
        && direct::find(&api.db, one, other).await?.is_some()
    {
        return Err(pair_taken(api, actor, pair).await?);
    }
    let bucket = bucket(pair);
    let db = api.db.in_bucket(bucket);
    people_copy::await_people(&api.db, db, &members).await?;
    let held = strangers::hold_wanted(&api.db, db, actor, &members).await?;
    let mut tx = db.begin().await?;
    let row = Row { kind: new.chat_type, name, pair, bucket, members: &members, invited: &invited };
    let chat = match insert(&mut tx, actor, row).await {
        Err(error) if error.violates("chats_pair_key") => {
            // `pair_taken` begins another one, which must not wait for this one.
            tx.rollback().await?;
            return Err(pair_taken(api, actor, pair).await?);
        }
        inserted => inserted?,
    };
    held.check(&mut tx, actor, &members).await?;
    let overview = overview::get(&mut tx.link(), actor.user_id, chat).await?;
    let mut news = News::default();
    for member in members {
        news.for_user(UserId(member), UserPayload::Added { chat_id: chat });
    }
    held.commit(api, tx, news).await?;
    Ok(overview)
}

/// Where a new chat comes to lie; private chats with all others of their pair, of which there are none.
pub(crate) fn bucket(pair: Option<(UserId, UserId)>) -> ChatBucket {
    pair.map_or_else(|| ChatBucket::drawn(random()), |(one, other)| ChatBucket::of_pair(one, other))
}

fn name(new: &NewChat) -> Result<&str> {
    match (new.chat_type, new.name.as_deref()) {
        (ChatType::Private, _) => Ok(""),
        (ChatType::Group, None) => Ok("Group"),
        (ChatType::Room, None) => Err(Error::field("name", "is required for a room")),
        (_, Some(name)) => rules::check_name(name),
    }
}

/// The members beside the one who makes the chat: exactly one of a private chat.
fn others(actor: Actor, new: &NewChat, most: usize) -> Result<BTreeSet<i64>> {
    let mut others: BTreeSet<i64> = new.member_ids.iter().map(|user| user.0).collect();
    if others.len() > most {
        return Err(Error::field("member_ids", format!("must name at most {most} users")));
    }
    others.remove(&actor.user_id.0);
    if new.chat_type == ChatType::Private && others.len() != 1 {
        return Err(Error::field("member_ids", "must name exactly one other user"));
    }
    Ok(others)
}

/// A chat to be, all of it checked.
pub(crate) struct Row<'a> {
    pub kind: ChatType,
    pub name: &'a str,
    /// Whose private chat it is to be.
    pub pair: Option<(UserId, UserId)>,
    /// Says on which server it is, and is a part of its id.
    pub bucket: ChatBucket,
    pub members: &'a [i64],
    /// Those of the members who have to accept first.
    pub invited: &'a BTreeSet<i64>,
}

/// Adds the chat with its members. Who is in it hears nothing yet.
pub(crate) async fn insert(tx: &mut Tx, actor: Actor, row: Row<'_>) -> Result<ChatId, DbError> {
    let Row { kind, name, pair, bucket, members, invited } = row;
    let pair_key = pair.map(|(one, other)| pair_key(one, other));
    let kind = match kind {
        ChatType::Private => "private",
        ChatType::Group => "group",
        ChatType::Room => "room",
    };
    let (chat,): (i64,) = fetch_one!(
        tx,
        postgres: "INSERT INTO chats (id, chat_type, name, pair_key, created_by, created_at, changed_at, member_count)
            SELECT next_chat_id($6), $1, $2, $3, $4, now, now, $5 FROM clock RETURNING id",
        (kind, name, &pair_key, actor.user_id.0, members.len() as i64, bucket.number()),
        // The number after that of the newest chat there ever was.
        sqlite: "INSERT INTO chats (id, chat_type, name, pair_key, created_by, created_at, changed_at, member_count)
            SELECT (seq / 4096 + 1) * 4096 + $6, $1, $2, $3, $4, now, now, $5
            FROM clock CROSS JOIN sqlite_sequence s WHERE s.name = 'chats' RETURNING id",
        (kind, name, &pair_key, actor.user_id.0, members.len() as i64, bucket.number()),
    )?;
    execute!(
        tx,
        "INSERT INTO members (chat_id, user_id, role, joined_at, seen, invited_by)
         SELECT $1, u.value,
             CASE WHEN u.value = $2 AND $3 <> 'private' THEN 'owner' ELSE 'member' END, now, 0,
             CASE WHEN u.value IN (SELECT i.value FROM json_each($5) i) THEN $2 END
         FROM clock CROSS JOIN json_each($4) u",
        chat,
        actor.user_id.0,
        kind,
        List(members.to_vec()),
        invited.iter().copied().collect::<List<i64>>()
    )?;
    Ok(ChatId(chat))
}

/// The refusal of a second private chat. Names the first one, which is the caller's own, and which the
/// caller wants now if it was only invited to it.
async fn pair_taken(api: &Api, actor: Actor, pair: Option<(UserId, UserId)>) -> Result<Error> {
    let (one, other) = pair.ok_or_else(Error::internal)?;
    // Deleted in between: then it is worth trying again.
    let Some(chat) = direct::find(&api.db, one, other).await? else {
        return Ok(Error::unavailable());
    };
    let mut tx = api.db.of(chat).begin().await?;
    strangers::accept(&mut tx.link(), chat, actor.user_id).await?;
    tx.commit().await?;
    let error = Error::new(
        Code::PrivateChatExists,
        format!("You already have a private chat with this user: {chat}."),
    );
    Ok(Error { chat_id: Some(chat), ..error })
}
