//! The lobby as clients read it who know no other chat: pages of messages, one sender's messages, and
//! its numbers. All counts come from counters that posting keeps ([`crate::chats::post`]), so
//! nothing here gets slower as the lobby grows. Who may read is for the routes to know.

mod pages;
mod statistics;

pub(crate) use pages::place;
pub use pages::{MAX_MESSAGES, SenderPage, by_sender, page, recent};
pub use statistics::{Sender, Statistics, statistics};

use crate::{
    db::{Link, fetch_one},
    error::Result,
};
use serde::Serialize;
use shared::{
    id::{ChatId, Seq},
    time::Timestamp,
};
use utoipa::ToSchema;

/// A message with the names that the lobby's clients know it by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct LobbyMessage {
    pub id: Seq,
    #[schema(examples("ann"))]
    pub username: String,
    #[schema(examples("hi"))]
    pub message: String,
    pub timestamp: Timestamp,
    /// The sender has no account.
    pub guest: bool,
}

/// How many messages the lobby holds.
pub async fn total(link: &mut Link<'_>) -> Result<i64> {
    let (count,): (i64,) =
        fetch_one!(link, "SELECT message_count FROM chats WHERE id = $1", ChatId::LOBBY.0)?;
    Ok(count)
}
