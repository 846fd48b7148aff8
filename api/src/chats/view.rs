//! `view`: chats as users may watch them.

use crate::{chats::overview, error::Result, state::Api};
use protocol::{
    calls::{View, Viewed},
    code::Code,
    refusal::Refusal,
};

/// One's own chats and any room that one is not banned from; the others are refused one by one.
pub async fn view(api: &Api, request: View) -> Result<Viewed> {
    let mut conn = api.db.read().await?;
    let found = overview::find(&mut conn.link(), &request.chats).await?;
    let chats = found
        .into_iter()
        .map(|found| match found {
            None => Err(refusal(Code::ChatNotFound, "There is no such chat.")),
            Some(chat) if chat.banned => {
                Err(refusal(Code::Banned, "You are banned from this room."))
            }
            Some(chat) if chat.to_enter().is_err() => {
                Err(refusal(Code::NotAMember, "You are not a member of this chat."))
            }
            Some(chat) => Ok(chat.view),
        })
        .collect();
    Ok(Viewed { chats })
}

fn refusal(code: Code, message: &str) -> Refusal {
    Refusal { code, message: message.to_owned() }
}
