//! Renaming and deleting chats.

use super::{
    access::{self, Actor, Right},
    announce, rules,
};
use crate::{
    Api,
    audit::{self, Action, Entry},
    db::{DbError, Tx, execute},
};
use shared::{id::ChatId, problem::Problem, relay::ChatPayload};

/// Gives a group or room another name. Owner and administrators.
pub async fn rename(api: &Api, actor: Actor, chat: ChatId, name: &str) -> Result<(), Problem> {
    let name = rules::check_name(name)?;
    let mut tx = api.db.begin().await?;
    let access = access::lock(&mut tx, chat, actor.user_id).await?;
    let right = access.to_manage(actor)?;
    access.not_lobby()?;
    access.not_private()?;
    execute!(tx, "UPDATE chats SET name = $2 WHERE id = $1", chat.0, name)?;
    if right == Right::Admin {
        let entry = Entry::of(actor.user_id, Action::RenameChat).in_chat(chat);
        audit::record(&mut tx, &[entry]).await?;
    }
    tx.commit().await?;
    announce::to_chat(&api.bus, chat, &ChatPayload::Renamed { name: name.to_owned() });
    Ok(())
}

/// Removes a chat for everybody: owner of a group or room, administrators any but the lobby. Its
/// rows stay, out of reach.
pub async fn delete(api: &Api, actor: Actor, chat: ChatId) -> Result<(), Problem> {
    let mut tx = api.db.begin().await?;
    let access = access::lock(&mut tx, chat, actor.user_id).await?;
    let right = access.to_manage(actor)?;
    access.not_lobby()?;
    mark_deleted(&mut tx, chat).await?;
    if right == Right::Admin {
        let entry = Entry::of(actor.user_id, Action::DeleteChat).in_chat(chat);
        audit::record(&mut tx, &[entry]).await?;
    }
    tx.commit().await?;
    announce::to_chat(&api.bus, chat, &ChatPayload::ChatDeleted);
    Ok(())
}

/// Under the chat's lock. The pair of a private chat may make another one.
pub(super) async fn mark_deleted(tx: &mut Tx, chat: ChatId) -> Result<(), DbError> {
    execute!(
        tx,
        "UPDATE chats SET deleted_at = (SELECT now FROM clock), changed_at = (SELECT now FROM clock),
             pair_key = NULL WHERE id = $1",
        chat.0
    )?;
    Ok(())
}
