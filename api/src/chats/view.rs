//! `view`: chats as users may watch them.

use super::{overview, peer_status};
use crate::{error::Result, state::Api};
use protocol::{
    calls::{View, Viewed},
    chat::ChatView,
    code::Code,
    refusal::Refusal,
};

/// One's own chats and any room that one is not banned from; the others are refused one by one.
pub async fn view(api: &Api, request: View) -> Result<Viewed> {
    let found = overview::find_all(&api.db, &request.chats).await?;
    let mut chats: Vec<Result<ChatView, Refusal>> = found
        .into_iter()
        .map(|found| match found {
            None => Err(Code::ChatNotFound.into()),
            Some(chat) if chat.banned => Err(Code::Banned.into()),
            Some(chat) if chat.to_enter().is_err() => Err(Code::NotAMember.into()),
            Some(chat) => Ok(chat.view),
        })
        .collect();
    let views = chats.iter_mut().flatten();
    peer_status::look_up(api, views.filter_map(|view| view.peer.as_deref_mut())).await;
    Ok(Viewed { chats })
}
