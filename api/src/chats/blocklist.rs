//! A person's blocklist. A user on it cannot start a chat with the owner, write in the private chat of the
//! two, or add the owner to a group or room. Groups and rooms that both are in stay as they are. An
//! administrator's block of an account is in `accounts::block`.

use super::{direct::pair_key, membership};
use crate::{
    accounts::Actor,
    db::{Databases, Db, DbError, Link, Tx, execute, fetch_all, fetch_one, fetch_optional},
    error::{Error, Result},
    state::Api,
};
use protocol::{
    chat::UserRef,
    code::Code,
    id::{ChatId, UserId},
    time::Timestamp,
};

/// Most entries in one page.
pub const MAX_ENTRIES: i64 = 500;

/// Somebody on the list.
#[derive(Clone, Debug)]
pub struct BlockedPerson {
    /// The account that is blocked.
    pub user: UserRef,
    /// When the owner blocked it first; blocking again does not change it.
    pub blocked_at: Timestamp,
}

/// Puts a user on the actor's list and leaves the groups and rooms that the user has invited the actor to.
/// On it already: nothing changes.
pub async fn block(api: &Api, actor: Actor, user: UserId) -> Result<()> {
    let owner = actor.user_id;
    if user == owner {
        return Err(Code::CannotBlockYourself.into());
    }
    let mut tx = api.db.home().begin().await?;
    // A request that makes the owner a member of a chat locks this row, too, and then reads the list.
    // So either that request sees the new entry, or the query for invitations below sees its chat.
    fetch_one!(
        tx,
        postgres: "SELECT id FROM users WHERE id = $1 FOR UPDATE", (owner.0),
        sqlite: "SELECT id FROM users WHERE id = $1", (owner.0),
    )
    .map(|_: (i64,)| ())?;
    let there: Option<(i64,)> = fetch_optional!(
        tx,
        "SELECT id FROM users WHERE id = $1 AND deactivated_at IS NULL AND NOT guest",
        user.0
    )?;
    if there.is_none() {
        return Err(Code::UserNotFound.into());
    }
    const OTHERS: &str = "SELECT count(*) FROM blocklist WHERE user_id = $1 AND blocked_id <> $2";
    let (entries,): (i64,) = fetch_one!(tx, OTHERS, owner.0, user.0)?;
    let most = api.config.chats.blocklist;
    if entries >= most {
        return Err(Error::new(
            Code::BlocklistFull,
            format!("You already block {most} people. Unblock somebody first."),
        ));
    }
    execute!(
        tx,
        "INSERT INTO blocklist (user_id, blocked_id, blocked_at)
         SELECT $1, $2, now FROM clock WHERE TRUE ON CONFLICT DO NOTHING",
        owner.0,
        user.0
    )?;
    silence(&mut tx, owner, user, true).await?;
    let mut invitations = invitations(api, &mut tx.link(), owner, user).await?;
    tx.commit().await?;
    // What comes after the list, and fails, is repaired by blocking once more.
    for db in elsewhere(&api.db) {
        let mut tx = db.begin().await?;
        silence(&mut tx, owner, user, true).await?;
        invitations.extend(self::invitations(api, &mut tx.link(), owner, user).await?);
        tx.commit().await?;
    }
    for (chat,) in invitations {
        left_already(membership::leave(api, actor, ChatId(chat)).await)?;
    }
    Ok(())
}

/// The servers other than the home.
fn elsewhere(db: &Databases) -> &[Db] {
    &db.each()[1..]
}

/// The groups and rooms of a server that the user has invited the list's owner to.
async fn invitations(
    api: &Api,
    link: &mut Link<'_>,
    owner: UserId,
    user: UserId,
) -> Result<Vec<(i64,)>, DbError> {
    fetch_all!(
        link,
        "SELECT m.chat_id FROM members m
         JOIN chats c ON c.id = m.chat_id AND c.deleted_at IS NULL AND c.chat_type <> 'private'
         WHERE m.user_id = $1 AND m.invited_by = $2 ORDER BY m.chat_id LIMIT $3",
        owner.0,
        user.0,
        api.config.chats.invitations_by_one
    )
}

/// Takes a user off the list. Not on it: nothing changes.
pub async fn unblock(api: &Api, actor: Actor, user: UserId) -> Result<()> {
    // Before the list: what fails in between is repaired by taking off once more.
    for db in elsewhere(&api.db) {
        let mut tx = db.begin().await?;
        silence(&mut tx, actor.user_id, user, false).await?;
        tx.commit().await?;
    }
    let mut tx = api.db.home().begin().await?;
    let removed = execute!(
        tx,
        "DELETE FROM blocklist WHERE user_id = $1 AND blocked_id = $2",
        actor.user_id.0,
        user.0
    )?;
    if removed > 0 {
        silence(&mut tx, actor.user_id, user, false).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// The people on the list after the user `after`, by id; at most [`MAX_ENTRIES`].
pub async fn list(
    api: &Api,
    actor: Actor,
    after: UserId,
    limit: i64,
) -> Result<Vec<BlockedPerson>> {
    let mut conn = api.db.home().read().await?;
    let rows: Vec<(i64, String, String, String, i64)> = fetch_all!(
        conn,
        "SELECT u.id, u.username, u.name, u.avatar, b.blocked_at
         FROM blocklist b JOIN users u ON u.id = b.blocked_id
         WHERE b.user_id = $1 AND b.blocked_id > $2 ORDER BY b.blocked_id LIMIT $3",
        actor.user_id.0,
        after.0,
        limit.clamp(1, MAX_ENTRIES)
    )?;
    let person = |(id, username, name, avatar, at): (_, _, _, String, _)| BlockedPerson {
        user: UserRef::registered(UserId(id), username).named(name).pictured(avatar),
        blocked_at: Timestamp(at),
    };
    Ok(rows.into_iter().map(person).collect())
}

/// A refusal to leave means that the chat was deleted or left since the list was read, which is as good.
/// A fault of ours is no refusal: the caller must learn of it and block once more.
fn left_already(left: Result<()>) -> Result<()> {
    match left {
        Err(error) if error.is_refusal() => Ok(()),
        left => left,
    }
}

/// Sets whether the user may write in the private chat of the two, if they have one.
async fn silence(tx: &mut Tx, owner: UserId, user: UserId, silenced: bool) -> Result<(), DbError> {
    execute!(
        tx,
        "UPDATE members SET silenced = $3 WHERE user_id = $2
             AND chat_id = (SELECT id FROM chats WHERE pair_key = $1)",
        pair_key(owner, user),
        user.0,
        silenced
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_of_ours_is_no_refusal() {
        assert_eq!(left_already(Ok(())), Ok(()));
        assert_eq!(left_already(Err(Code::ChatNotFound.into())), Ok(()));
        assert_eq!(left_already(Err(Code::NotAMember.into())), Ok(()));
        assert_eq!(left_already(Err(Error::unavailable())), Err(Error::unavailable()));
        assert_eq!(left_already(Err(Error::internal())), Err(Error::internal()));
    }
}
