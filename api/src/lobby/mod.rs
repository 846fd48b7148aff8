//! The lobby for clients that know no other chat: pages of messages, the messages of one sender, and
//! statistics. All counts come from counters that posting keeps ([`crate::chats::post`]), so reading does
//! not get slower as the lobby grows. The routes decide who may read.

mod pages;
mod statistics;

pub use pages::{LobbyMessage, MAX_MESSAGES, SenderPage, by_sender, page, recent, total};
pub use statistics::{LobbySender, Statistics, statistics};
