//! Whose picture is which: uploading, removing, and who may see one. Every picture has a name that none had before, so
//! what a name stands for never changes, and removing a picture can hit no other.
//!
//! The store and the database have no common transaction. So a picture is noted in `unused_avatars` before it is in the
//! store, and again when nobody has it any more; it is off that list only while an account names it. Whatever stays on
//! the list for an hour is removed from the store. A crash at any point leaves nothing else behind.

use super::{
    Actor,
    limits::{AccountAttempt, admit},
};
use crate::{
    audit::{self, AuditAction, AuditEntry},
    avatars::{self, UploadPlace},
    db::{DbError, List, Tx, execute, fetch_all, fetch_optional},
    error::{Error, Result},
    state::Api,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use protocol::{
    chat::{AVATARS, uploaded},
    code::Code,
    id::UserId,
};
use std::time::Duration;

/// How long a picture that nobody has stays in the store: by far longer than an upload takes.
const UNUSED_STAY_MS: i64 = 60 * 60 * 1000;

/// How often somebody looks for them.
const LOOK_EVERY: Duration = Duration::from_secs(10 * 60);

/// Pictures removed from the store in one go.
const MOST_REMOVED: i64 = 100;

/// One more upload of this user, which is at an end when the answer is dropped. To be asked before the upload is read.
/// `avatars_off`, `rate_limited`, `busy`.
pub(crate) async fn reserve(api: &Api, user: UserId) -> Result<UploadPlace> {
    api.avatars.config()?;
    admit(api, AccountAttempt::PictureOf(user)).await?;
    api.avatars.reserve()
}

/// Makes a picture of what was uploaded the actor's. `unreadable_picture`, `picture_too_large`, `unavailable`;
/// `user_not_found` for an account that was deleted meanwhile.
pub(crate) async fn upload(
    api: &Api,
    actor: Actor,
    place: UploadPlace,
    original: Bytes,
) -> Result<()> {
    let picture = place.draw(original).await?;
    let user = actor.user_id;
    let avatar = fresh(user);
    let mut tx = api.db.home().begin().await?;
    note_unused(&mut tx, &avatar).await?;
    tx.commit().await?;
    place.keep(&avatar[AVATARS.len()..], picture).await?;
    let mut tx = api.db.home().begin().await?;
    // Whoever takes longer than an hour finds it removed.
    if execute!(tx, "DELETE FROM unused_avatars WHERE avatar = $1", &avatar)? == 0 {
        return Err(Error::unavailable());
    }
    if !replace(&mut tx, user, &avatar).await? {
        return Err(Code::UserNotFound.into());
    }
    tx.commit().await?;
    avatars::count("stored");
    Ok(())
}

/// Leaves the actor without a picture.
pub(crate) async fn remove(api: &Api, actor: Actor) -> Result<()> {
    let mut tx = api.db.home().begin().await?;
    replace(&mut tx, actor.user_id, "").await?;
    tx.commit().await?;
    Ok(())
}

/// Takes a user's picture away. An administrator's act, recorded also if there was none. `user_not_found`.
pub(crate) async fn take_away(api: &Api, admin: UserId, user: UserId, reason: &str) -> Result<()> {
    audit::check_reason(reason)?;
    let mut tx = api.db.home().begin().await?;
    if !replace(&mut tx, user, "").await? {
        return Err(Code::UserNotFound.into());
    }
    let entry = AuditEntry::of(admin, AuditAction::RemoveAvatar).on_user(user).because(reason);
    audit::record(&mut tx, &[entry]).await?;
    tx.commit().await?;
    Ok(())
}

/// What a user names as its picture from now on. `false`: there is no such account.
pub(super) async fn replace(tx: &mut Tx, user: UserId, avatar: &str) -> Result<bool, DbError> {
    // Of two at once the second sees what the first one made. No lock against messages, which refer to their sender.
    let before: Option<(String,)> = fetch_optional!(
        tx,
        postgres: "SELECT avatar FROM users WHERE id = $1 AND NOT guest AND deactivated_at IS NULL
            FOR NO KEY UPDATE",
        (user.0),
        sqlite: "SELECT avatar FROM users WHERE id = $1 AND NOT guest AND deactivated_at IS NULL",
        (user.0),
    )?;
    let Some((before,)) = before else { return Ok(false) };
    execute!(tx, "UPDATE users SET avatar = $2 WHERE id = $1", user.0, avatar)?;
    if let Some(before) = uploaded(before) {
        note_unused(tx, &before).await?;
    }
    Ok(true)
}

/// Leaves these users, whom nobody else can change now, without a picture.
pub(super) async fn forget(tx: &mut Tx, users: &[i64]) -> Result<(), DbError> {
    let noted = execute!(
        tx,
        "INSERT INTO unused_avatars (avatar, since) SELECT u.avatar, c.now FROM users u CROSS JOIN clock c
         WHERE u.id IN (SELECT value FROM json_each($1)) AND u.avatar LIKE '/avatars/%'",
        List(users.to_vec())
    )?;
    if noted > 0 {
        const FORGET: &str =
            "UPDATE users SET avatar = '' WHERE id IN (SELECT value FROM json_each($1))";
        execute!(tx, FORGET, List(users.to_vec()))?;
    }
    Ok(())
}

async fn note_unused(tx: &mut Tx, avatar: &str) -> Result<(), DbError> {
    const NOTE: &str = "INSERT INTO unused_avatars (avatar, since) SELECT $1, now FROM clock";
    execute!(tx, NOTE, avatar)?;
    Ok(())
}

/// What there is under a picture's name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum FoundAvatar {
    /// The picture.
    Picture(Bytes),
    /// Its owner has another one by now, at this address. Who learned of the old one in a message still sees a face.
    Replaced(String),
}

/// A picture by its name, for whoever is signed in. `avatar_not_found` when its owner has none here.
pub(crate) async fn read(api: &Api, name: &str) -> Result<FoundAvatar> {
    let owner = name.split_once('-').and_then(|(id, _)| id.parse::<i64>().ok());
    let owner = owner.ok_or(Code::AvatarNotFound)?;
    let mut conn = api.db.home().read().await?;
    let row: Option<(String,)> = fetch_optional!(
        conn,
        "SELECT avatar FROM users WHERE id = $1 AND deactivated_at IS NULL",
        owner
    )?;
    drop(conn);
    let current = row.and_then(|(avatar,)| uploaded(avatar)).ok_or(Code::AvatarNotFound)?;
    if current[AVATARS.len()..] != *name {
        return Ok(FoundAvatar::Replaced(current));
    }
    Ok(FoundAvatar::Picture(api.avatars.read(name).await?.ok_or(Code::AvatarNotFound)?))
}

/// Removes from the store for ever what nobody has any more. Several apis may do it at once.
pub(crate) async fn keep_removing(api: Api) {
    let mut failing = false;
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let removed = loop {
            match remove_unused(&api).await {
                Ok(removed) if removed as i64 == MOST_REMOVED => {}
                done => break done,
            }
        };
        if let (Err(error), false) = (&removed, failing) {
            tracing::warn!(error = %error.detail, "cannot remove unused pictures; trying again");
        }
        failing = removed.is_err();
    }
}

/// Removes some of the pictures that nobody has had for an hour. How many.
pub async fn remove_unused(api: &Api) -> Result<usize> {
    let mut conn = api.db.home().read().await?;
    let unused: Vec<(String,)> = fetch_all!(
        conn,
        "SELECT avatar FROM unused_avatars WHERE since < (SELECT now FROM clock) - $1
         ORDER BY since LIMIT $2",
        UNUSED_STAY_MS,
        MOST_REMOVED
    )?;
    drop(conn);
    for (avatar,) in &unused {
        // No transaction waits for the store.
        api.avatars.remove(&avatar[AVATARS.len()..]).await?;
        let mut tx = api.db.home().begin().await?;
        execute!(tx, "DELETE FROM unused_avatars WHERE avatar = $1", avatar)?;
        tx.commit().await?;
    }
    Ok(unused.len())
}

/// The address of a picture that nobody has had: whose it is, and nine bytes that nobody guesses.
fn fresh(user: UserId) -> String {
    format!("{AVATARS}{user}-{}", URL_SAFE_NO_PAD.encode(rand::random::<[u8; 9]>()))
}
