//! Renaming and deleting chats.

use super::{
    access::{self, Right},
    changes, rules,
};
use crate::{
    accounts::Actor,
    audit::{self, AuditAction, AuditEntry},
    db::{DbError, Tx, execute},
    error::Result,
    news::{self, News},
    state::Api,
};
use protocol::{id::ChatId, relay::ChatPayload};

/// Gives a group or room another name, an event like any other. The name it has: nothing changes.
/// Owner and administrators.
pub async fn rename(api: &Api, actor: Actor, chat: ChatId, name: &str) -> Result<()> {
    let name = rules::check_name(name)?;
    let mut tx = api.db.of(chat).begin().await?;
    let mut access = access::lock(&mut tx, chat, actor.user_id).await?;
    let right = access.to_manage(actor)?;
    access.not_lobby()?;
    access.not_private()?;
    const RENAME: &str = "UPDATE chats SET name = $2 WHERE id = $1 AND name <> $2";
    if execute!(tx, RENAME, chat.0, name)? == 0 {
        tx.rollback().await?;
        return Ok(());
    }
    let event = changes::renamed(&mut tx, &mut access, actor.user_id, name).await?;
    if right == Right::Admin {
        let entry = AuditEntry::of(actor.user_id, AuditAction::RenameChat).in_chat(chat);
        audit::record(&mut tx, &[entry]).await?;
    }
    let mut news = News::default();
    news.events(chat, vec![event]);
    news::commit(api, tx, news).await?;
    Ok(())
}

/// Removes a chat for everybody: owner of a group or room, administrators any but the lobby. Its
/// rows stay, out of reach, until the retention removes them.
pub async fn delete(api: &Api, actor: Actor, chat: ChatId) -> Result<()> {
    let mut tx = api.db.of(chat).begin().await?;
    let access = access::lock(&mut tx, chat, actor.user_id).await?;
    let right = access.to_manage(actor)?;
    access.not_lobby()?;
    mark_deleted(&mut tx, chat).await?;
    if right == Right::Admin {
        let entry = AuditEntry::of(actor.user_id, AuditAction::DeleteChat).in_chat(chat);
        audit::record(&mut tx, &[entry]).await?;
    }
    let mut news = News::default();
    news.for_chat(chat, ChatPayload::ChatDeleted);
    news::commit(api, tx, news).await?;
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
