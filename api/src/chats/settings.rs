//! What a member sets for one of its chats, for itself: muted, pinned, archived, marked as unread. The member's devices
//! hear of it, and nobody else does.

use super::overview::{self, Overview};
use crate::{
    db::execute,
    error::Result,
    news::{self, News},
    state::Api,
};
use protocol::{
    code::Code,
    id::{ChatId, UserId},
    relay::UserPayload,
};

/// What is set anew; the rest stays.
#[derive(Clone, Copy, Debug, Default)]
pub struct SettingsChange {
    /// See [`protocol::chat::ChatSettings`].
    pub muted: Option<bool>,
    /// Likewise.
    pub pinned: Option<bool>,
    /// Likewise. Puts the chat aside until its next message.
    pub archived: Option<bool>,
    /// Likewise.
    pub marked_unread: Option<bool>,
}

/// Changes it. The chat as it is then: `chat_not_found` when there is none, `not_a_member` for everybody else.
pub async fn change(
    api: &Api,
    user: UserId,
    chat_id: ChatId,
    change: SettingsChange,
) -> Result<Overview> {
    let SettingsChange { muted, pinned, archived, marked_unread } = change;
    let mut tx = api.db.of(chat_id).begin().await?;
    let changed = execute!(
        tx,
        "UPDATE members SET muted = COALESCE($3, muted), pinned = COALESCE($4, pinned),
             archived_upto = CASE WHEN $5 THEN (SELECT c.last_seq FROM chats c WHERE c.id = $1)
                 WHEN NOT $5 THEN NULL ELSE archived_upto END,
             marked_unread = COALESCE($6, marked_unread)
         WHERE chat_id = $1 AND user_id = $2",
        chat_id.0,
        user.0,
        muted,
        pinned,
        archived,
        marked_unread
    )?;
    // Also finds out why nothing changed.
    let overview = overview::get(&mut tx.link(), user, chat_id).await?;
    if changed == 0 {
        return Err(Code::NotAMember.into());
    }
    let mut news = News::default();
    news.for_user(user, UserPayload::Settings { chat_id, settings: overview.view.settings });
    news::commit(api, tx, news).await?;
    Ok(overview)
}
