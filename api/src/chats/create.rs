//! Making chats.

use super::{
    direct::pair_key,
    membership,
    overview::{self, Overview},
    rules, strangers,
};
use crate::{
    accounts::Actor,
    db::{DbError, List, Tx, execute, fetch_one, fetch_optional},
    error::{Error, Result},
    news::{self, News},
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

    let mut tx = api.db.begin().await?;
    let members: Vec<i64> = members.into_iter().collect();
    let invited = strangers::among(&mut tx, actor, &members).await?;
    membership::check_users(&mut tx, "member_ids", &members, &invited, limits).await?;
    strangers::check_invitations(api, &mut tx, actor, new.chat_type, &invited).await?;
    let row = Row { kind: new.chat_type, name, pair, members: &members, invited: &invited };
    let chat = match insert(&mut tx, actor, row).await {
        Err(error) if error.violates("chats_pair_key") => {
            // `pair_taken` begins another one, which must not wait for this one.
            tx.rollback().await?;
            return Err(pair_taken(api, actor, pair).await?);
        }
        inserted => inserted?,
    };
    strangers::check_wanted(&mut tx, actor, &members).await?;
    let overview = overview::get(&mut tx.link(), actor.user_id, chat).await?;
    let mut news = News::default();
    for member in members {
        news.for_user(UserId(member), UserPayload::Added { chat_id: chat });
    }
    news::commit(api, tx, news).await?;
    Ok(overview)
}

/// Where a new chat comes to lie; private chats with all others of their pair, of which there are none.
pub(super) fn bucket(pair: Option<(UserId, UserId)>) -> ChatBucket {
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
    pub members: &'a [i64],
    /// Those of the members who have to accept first.
    pub invited: &'a BTreeSet<i64>,
}

/// Adds the chat with its members. Who is in it hears nothing yet.
pub(crate) async fn insert(tx: &mut Tx, actor: Actor, row: Row<'_>) -> Result<ChatId, DbError> {
    let Row { kind, name, pair, members, invited } = row;
    let bucket = bucket(pair);
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
    let pair_key = pair.map(|(one, other)| pair_key(one, other));
    let mut tx = api.db.begin().await?;
    let chat: Option<(i64,)> =
        fetch_optional!(tx, "SELECT id FROM chats WHERE pair_key = $1", pair_key)?;
    // Deleted in between: then it is worth trying again.
    let Some((chat,)) = chat else { return Ok(Error::unavailable()) };
    strangers::accept(&mut tx.link(), ChatId(chat), actor.user_id).await?;
    tx.commit().await?;
    let error = Error::new(
        Code::PrivateChatExists,
        format!("You already have a private chat with this user: {chat}."),
    );
    Ok(Error { chat_id: Some(ChatId(chat)), ..error })
}
