//! The lobby as clients read it who know no other chat: pages of messages, one sender's messages, and
//! its numbers. All counts come from counters that posting keeps ([`crate::chats::post`]), so
//! nothing here gets slower as the lobby grows. Who may read is for the routes to know.

mod pages;
mod statistics;

pub use pages::{LobbyMessage, MAX_MESSAGES, SenderPage, by_sender, page, recent, total};
pub use statistics::{LobbySender, Statistics, statistics};
