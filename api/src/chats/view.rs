//! `view`: chats as users may watch them.

use crate::{chats::overview, error::Result, state::Api};
use shared::internal::{Refusal, RefusalCode, View, Viewed};

/// One's own chats and any room that one is not banned from; the others are refused one by one.
pub async fn view(api: &Api, request: View) -> Result<Viewed> {
    let mut conn = api.db.read().await?;
    let found = overview::find(&mut conn.link(), &request.chats).await?;
    let chats = found
        .into_iter()
        .map(|found| match found {
            None => Err(refusal(RefusalCode::ChatNotFound, "There is no such chat.")),
            Some(chat) if chat.banned => {
                Err(refusal(RefusalCode::Banned, "You are banned from this room."))
            }
            Some(chat) if chat.to_enter().is_err() => {
                Err(refusal(RefusalCode::NotAMember, "You are not a member of this chat."))
            }
            Some(chat) => Ok(chat.view),
        })
        .collect();
    Ok(Viewed { chats })
}

fn refusal(code: RefusalCode, message: &str) -> Refusal {
    Refusal { code, message: message.to_owned() }
}
