//! Who is in a chat: adding, joining, removing, leaving. In private chats and groups each change is
//! an event with a number; in rooms, which may be huge, only a removal is.

use super::{
    access::{self, Access, MemberRole, Right},
    ban_rows::{self, Banning},
    changes, strangers,
};
use crate::{
    accounts::Actor,
    audit::{self, AuditAction, AuditEntry},
    config::ChatLimits,
    db::{Databases, Db, DbError, Link, List, Tx, execute, fetch_all, fetch_optional, people_copy},
    error::{Error, Result},
    news::{self, News},
    state::Api,
};
use protocol::{
    chat::{ChatType, Event, MemberChange, UserRef},
    code::Code,
    id::{ChatId, UserId},
    relay::{ChatPayload, UserPayload},
};
use std::collections::{BTreeMap, BTreeSet};

/// Adds users to a group or room; those who are in it already stay. Owner and administrators. Strangers are
/// invited; who is added to a room is not banned from it any more. Returns who is new.
pub async fn add(api: &Api, actor: Actor, chat: ChatId, users: &[UserId]) -> Result<Vec<UserId>> {
    let limits = &api.config.chats;
    if users.is_empty() || users.len() > limits.members_per_request {
        let most = limits.members_per_request;
        return Err(Error::field("user_ids", format!("must have 1 to {most} users")));
    }
    let db = api.db.of(chat);
    let wanted: BTreeSet<i64> = users.iter().map(|user| user.0).collect();
    let mut conn = db.read().await?;
    let access = access::find(&mut conn.link(), chat, actor.user_id).await?;
    access.to_manage(actor)?;
    access.not_private()?;
    let checked = missing(&mut conn.link(), chat, &wanted).await?;
    drop(conn);
    let invited = strangers::among(&api.db, actor, &checked).await?;
    check_users(&api.db, "user_ids", &checked, &invited, limits).await?;
    strangers::check_invitations(api, actor, access.chat_type, &invited).await?;
    people_copy::await_people(&api.db, db, &checked).await?;
    let held = strangers::hold_wanted(&api.db, db, actor, &checked).await?;
    let mut tx = db.begin().await?;
    let mut access = access::lock(&mut tx, chat, actor.user_id).await?;
    let right = access.to_manage(actor)?;
    let new = missing(&mut tx.link(), chat, &wanted).await?;
    if new.iter().any(|user| !checked.contains(user)) {
        // Somebody has left in between.
        return Err(Error::unavailable());
    }
    check_room_for(&access, new.len(), limits)?;
    let change = match access.chat_type {
        ChatType::Room => {
            ban_rows::remove(&mut tx, chat, &new).await?;
            None
        }
        ChatType::Group | ChatType::Private => Some(MemberChange::Joined),
    };
    let events = enter(
        &mut tx,
        &mut access,
        actor.user_id,
        Entering { users: &new, invited: &invited, change },
    )
    .await?;
    held.check(&mut tx, actor, &new).await?;
    let new: Vec<UserId> = new.into_iter().map(UserId).collect();
    if right == Right::Admin {
        let entry = AuditEntry::of(actor.user_id, AuditAction::AddMember).in_chat(chat);
        let entries: Vec<AuditEntry<'_>> = new.iter().map(|user| entry.on_user(*user)).collect();
        audit::record(&mut tx, &entries).await?;
    }
    let mut news = News::default();
    news.events(chat, events);
    for user in &new {
        news.for_user(*user, UserPayload::Added { chat_id: chat });
    }
    held.commit(api, tx, news).await?;
    Ok(new)
}

/// Those of these users who are not in the chat.
async fn missing(
    link: &mut Link<'_>,
    chat: ChatId,
    users: &BTreeSet<i64>,
) -> Result<Vec<i64>, DbError> {
    let present: Vec<(i64,)> = fetch_all!(
        link,
        "SELECT user_id FROM members
         WHERE chat_id = $1 AND user_id IN (SELECT value FROM json_each($2))",
        chat.0,
        users.iter().copied().collect::<List<i64>>()
    )?;
    let present: BTreeSet<i64> = present.into_iter().map(|row| row.0).collect();
    Ok(users.iter().copied().filter(|user| !present.contains(user)).collect())
}

/// Enters a room, or accepts the invitation to a chat. Whoever is in it by its own will stays so.
pub async fn join(api: &Api, actor: Actor, chat: ChatId) -> Result<()> {
    let db = api.db.of(chat);
    let nobody = BTreeSet::new();
    let users = [actor.user_id.0];
    let mut conn = db.read().await?;
    let access = access::find(&mut conn.link(), chat, actor.user_id).await?;
    drop(conn);
    if access.role.is_none() {
        access.to_enter()?;
        check_users(&api.db, "user_id", &users, &nobody, &api.config.chats).await?;
        people_copy::await_people(&api.db, db, &users).await?;
    }
    let mut tx = db.begin().await?;
    let mut access = access::lock(&mut tx, chat, actor.user_id).await?;
    if access.role.is_some() {
        strangers::accept(&mut tx.link(), chat, actor.user_id).await?;
        tx.commit().await?;
        return Ok(());
    }
    access.to_enter()?;
    let entering = Entering { users: &users, invited: &nobody, change: None };
    enter(&mut tx, &mut access, actor.user_id, entering).await?;
    let mut news = News::default();
    news.for_user(actor.user_id, UserPayload::Added { chat_id: chat });
    news::commit(api, tx, news).await?;
    Ok(())
}

/// Leaves a group or room. An owner's chat passes to its oldest member who can sign in; an empty group is
/// deleted.
pub async fn leave(api: &Api, actor: Actor, chat: ChatId) -> Result<()> {
    let mut tx = api.db.of(chat).begin().await?;
    let access = access::lock(&mut tx, chat, actor.user_id).await?;
    access.to_enter()?;
    access.not_private()?;
    let Some(role) = access.role else {
        tx.rollback().await?;
        return Ok(());
    };
    let change = if access.chat_type == ChatType::Room { None } else { Some(MemberChange::Left) };
    part(api, tx, access, actor.user_id, Departure { user: actor.user_id, role, change }).await
}

/// Removes a member of a group or room: owner and administrators. Only an administrator can remove
/// the owner. Removing oneself is leaving. From a room the user is banned, too, or it might come back at once.
pub async fn remove(api: &Api, actor: Actor, chat: ChatId, user: UserId) -> Result<()> {
    if user == actor.user_id {
        return leave(api, actor, chat).await;
    }
    let mut tx = api.db.of(chat).begin().await?;
    let access = access::lock(&mut tx, chat, actor.user_id).await?;
    let right = access.to_manage(actor)?;
    access.not_private()?;
    let Some(role) = role(&mut tx, chat, user).await? else {
        return Err(Code::MemberNotFound.into());
    };
    if right == Right::Admin {
        let entry =
            AuditEntry::of(actor.user_id, AuditAction::RemoveMember).in_chat(chat).on_user(user);
        audit::record(&mut tx, &[entry]).await?;
    }
    if access.chat_type == ChatType::Room {
        let ban = Banning { user, by: actor.user_id, length: None, reason: "" };
        ban_rows::insert(&mut tx, chat, ban, api.config.chats.bans).await?;
    }
    expel(api, tx, access, actor.user_id, user, role).await
}

/// Takes out a member against its will, commits and tells everybody.
pub(super) async fn expel(
    api: &Api,
    tx: Tx,
    access: Access,
    by: UserId,
    user: UserId,
    role: MemberRole,
) -> Result<()> {
    let change = Some(MemberChange::Removed);
    part(api, tx, access, by, Departure { user, role, change }).await
}

/// A user's part in a chat; `None`: not a member.
pub(super) async fn role(
    tx: &mut Tx,
    chat: ChatId,
    user: UserId,
) -> Result<Option<MemberRole>, DbError> {
    let row: Option<(String,)> = fetch_optional!(
        tx,
        "SELECT role FROM members WHERE chat_id = $1 AND user_id = $2",
        chat.0,
        user.0
    )?;
    Ok(row.map(|(role,)| MemberRole::from_text(&role)))
}

/// All of these users exist, and may have one more chat of their own if they are not `invited` to it only.
pub(super) async fn check_users(
    db: &Databases,
    field: &str,
    users: &[i64],
    invited: &BTreeSet<i64>,
    limits: &ChatLimits,
) -> Result<()> {
    let most = limits.chats_per_user;
    let mut conn = db.home().read().await?;
    let there: Vec<(i64,)> = fetch_all!(
        conn,
        "SELECT u.id FROM users u
         WHERE u.id IN (SELECT value FROM json_each($1)) AND u.deactivated_at IS NULL AND NOT u.guest",
        List(users.to_vec())
    )?;
    drop(conn);
    let ids = |ids: Vec<i64>| ids.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
    let there: BTreeSet<i64> = there.into_iter().map(|row| row.0).collect();
    let unknown: Vec<i64> = users.iter().copied().filter(|user| !there.contains(user)).collect();
    if !unknown.is_empty() {
        return Err(Error::field(field, format!("names users who do not exist: {}", ids(unknown))));
    }
    // An invitation takes no place, and nobody's chats are counted for it.
    let counted = users.iter().copied().filter(|user| !invited.contains(user));
    let chats = own_chats(db, counted.collect(), most).await?;
    let full: Vec<i64> =
        chats.into_iter().filter(|(_, count)| *count >= most).map(|(user, _)| user).collect();
    if !full.is_empty() {
        return Err(Error::new(
            Code::TooManyChats,
            format!(
                "These users already have {} chats, the most that anybody can have: {}.",
                most,
                ids(full)
            ),
        ));
    }
    Ok(())
}

/// How many chats these users have by their own will, on all servers; of each server at most `most` are counted.
async fn own_chats(db: &Databases, users: List<i64>, most: i64) -> Result<BTreeMap<i64, i64>> {
    let mut chats: BTreeMap<i64, i64> = BTreeMap::new();
    if users.0.is_empty() {
        return Ok(chats);
    }
    let ask = |db: Db| {
        let users = users.clone();
        async move {
            let mut conn = db.read().await?;
            let counts: Vec<(i64, i64)> = fetch_all!(
                conn,
                "SELECT u.value, (SELECT count(*) FROM (
                     SELECT 1 FROM members m JOIN chats c ON c.id = m.chat_id
                     WHERE m.user_id = u.value AND m.invited_by IS NULL AND c.deleted_at IS NULL LIMIT $2) own)
                 FROM json_each($1) u",
                users,
                most
            )?;
            Ok(counts)
        }
    };
    for (user, count) in db.ask_each(ask).await?.into_iter().flatten() {
        *chats.entry(user).or_default() += count;
    }
    Ok(chats)
}

fn check_room_for(access: &Access, new: usize, limits: &ChatLimits) -> Result<()> {
    let new = i64::try_from(new).unwrap_or(i64::MAX);
    if access.chat_type == ChatType::Group && access.member_count + new > limits.group_members {
        return Err(Error::new(
            Code::GroupFull,
            format!("A group has at most {} members. A room has no limit.", limits.group_members),
        ));
    }
    Ok(())
}

struct Entering<'a> {
    users: &'a [i64],
    /// Those of them who have to accept first.
    invited: &'a BTreeSet<i64>,
    change: Option<MemberChange>,
}

/// Writes new members, and their events where there are any.
async fn enter(
    tx: &mut Tx,
    access: &mut Access,
    by: UserId,
    entering: Entering<'_>,
) -> Result<Vec<Event>> {
    let Entering { users, invited, change } = entering;
    if users.is_empty() {
        return Ok(Vec::new());
    }
    execute!(
        tx,
        "INSERT INTO members (chat_id, user_id, joined_at, last_read, seen, invited_by)
         SELECT $1, u.value, now, $2,
             (SELECT sent_count FROM chats WHERE id = $1 AND sent_seq = last_seq),
             CASE WHEN u.value IN (SELECT i.value FROM json_each($4) i) THEN $5 END
         FROM clock CROSS JOIN json_each($3) u",
        access.chat_id.0,
        access.last_seq.0,
        List(users.to_vec()),
        invited.iter().copied().collect::<List<i64>>(),
        by.0
    )?;
    execute!(
        tx,
        "UPDATE chats SET member_count = member_count + $2 WHERE id = $1",
        access.chat_id.0,
        users.len() as i64
    )?;
    let Some(change) = change else { return Ok(Vec::new()) };
    Ok(changes::members(tx, access, by, users, change).await?)
}

struct Departure {
    user: UserId,
    role: MemberRole,
    change: Option<MemberChange>,
}

/// Takes a member out, commits and tells everybody.
async fn part(
    api: &Api,
    mut tx: Tx,
    mut access: Access,
    by: UserId,
    parting: Departure,
) -> Result<()> {
    let Departure { user, role, change } = parting;
    let chat = access.chat_id;
    let heir = match role {
        MemberRole::Owner => find_heir(&mut tx, chat, user).await?,
        MemberRole::Member => None,
    };
    execute!(tx, "DELETE FROM members WHERE chat_id = $1 AND user_id = $2", chat.0, user.0)?;
    execute!(tx, "UPDATE chats SET member_count = member_count - 1 WHERE id = $1", chat.0)?;
    let mut events = match change {
        Some(change) => changes::members(&mut tx, &mut access, by, &[user.0], change).await?,
        None => {
            remember(&mut tx, chat, user).await?;
            Vec::new()
        }
    };
    if let Some(heir) = heir {
        execute!(
            tx,
            "UPDATE members SET role = 'owner' WHERE chat_id = $1 AND user_id = $2",
            chat.0,
            heir.id.0
        )?;
        events.push(changes::handed_over(&mut tx, &mut access, by, heir).await?);
    }
    let emptied = access.chat_type == ChatType::Group && access.member_count == 1;
    if emptied {
        super::manage::mark_deleted(&mut tx, chat).await?;
    }
    let mut news = News::default();
    news.events(chat, events);
    let banned = access.chat_type == ChatType::Room && change == Some(MemberChange::Removed);
    news.for_user(user, UserPayload::Removed { chat_id: chat, banned });
    if emptied {
        news.for_chat(chat, ChatPayload::ChatDeleted);
    }
    news::commit(api, tx, news).await?;
    Ok(())
}

/// Who gets the chat of an owner who goes: the oldest of the members who can sign in, first of those who
/// want to be members; else the oldest.
/// Locks both members' rows, in the order in which everybody does.
async fn find_heir(tx: &mut Tx, chat: ChatId, owner: UserId) -> Result<Option<UserRef>> {
    // From the chat to its members and from there to the users, whatever PostgreSQL believes of the tables.
    let heir: Option<(i64, String, String, String)> = fetch_optional!(
        tx,
        postgres: "SELECT m.user_id, u.username, u.name, u.avatar FROM members m CROSS JOIN LATERAL (
                SELECT username, name, avatar, blocked_at, deactivated_at FROM users WHERE id = m.user_id OFFSET 0) u
            WHERE m.chat_id = $1 AND m.user_id <> $2
            ORDER BY u.blocked_at IS NOT NULL OR u.deactivated_at IS NOT NULL,
                m.invited_by IS NOT NULL, m.joined_at, m.user_id
            LIMIT 1",
        (chat.0, owner.0),
        sqlite: "SELECT m.user_id, u.username, u.name, u.avatar FROM members m JOIN users u ON u.id = m.user_id
            WHERE m.chat_id = $1 AND m.user_id <> $2
            ORDER BY u.blocked_at IS NOT NULL OR u.deactivated_at IS NOT NULL,
                m.invited_by IS NOT NULL, m.joined_at, m.user_id
            LIMIT 1",
        (chat.0, owner.0),
    )?;
    let Some((heir, username, name, avatar)) = heir else { return Ok(None) };
    // SQLite's transaction is the only writer anyway.
    let _: Vec<(i64,)> = fetch_all!(
        tx,
        postgres: "SELECT user_id FROM members WHERE chat_id = $1 AND user_id IN ($2, $3)
            ORDER BY user_id FOR UPDATE",
        (chat.0, owner.0, heir),
        sqlite: "SELECT user_id FROM members WHERE chat_id = $1 AND user_id IN ($2, $3)",
        (chat.0, owner.0, heir),
    )?;
    Ok(Some(UserRef::registered(UserId(heir), username).named(name).pictured(avatar)))
}

/// Departures from rooms make no event: they are remembered for `changed` by themselves, for a day.
async fn remember(tx: &mut Tx, chat: ChatId, user: UserId) -> Result<()> {
    execute!(
        tx,
        "INSERT INTO departures (chat_id, user_id, parted_at)
         SELECT $1, $2, now FROM clock WHERE TRUE
         ON CONFLICT (chat_id, user_id) DO UPDATE SET parted_at = excluded.parted_at",
        chat.0,
        user.0
    )?;
    Ok(())
}
