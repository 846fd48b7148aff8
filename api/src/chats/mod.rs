//! Chats as people manage them: making, listing, renaming, joining, leaving, reading. Posting,
//! editing and deleting messages is one batched path for sockets and REST, [`crate::chats::post`].
//! Nothing here knows HTTP beyond the [`Error`] a caller is refused with.
//!
//! Whoever changes a chat locks its row first ([`access::lock`]) and every batch locks several in
//! the order of their ids; members' rows are locked in the order of their keys. So nothing here can
//! deadlock. What others must hear goes along with the commit (`news`); a process that dies in between
//! is made good by `changed`.

pub mod access;
pub mod bans;
pub mod blocklist;
pub mod bulk;
pub mod changed;
mod changes;
pub mod conversations;
pub mod create;
pub mod direct;
pub mod dormant;
pub mod events;
pub mod manage;
pub mod marks;
pub mod members;
pub mod membership;
pub mod messages;
pub mod opening;
pub mod ordinals;
pub mod overview;
pub mod peers;
pub mod post;
pub mod read;
pub mod rules;
pub(crate) mod stored;
mod strangers;
pub mod view;

use shared::{id::ChatId, limit::Rate};
use std::time::Duration;

/// The room that the first migration made. It belongs to nobody, keeps its name and stays.
pub const LOBBY: ChatId = ChatId::LOBBY;

/// How large chats may grow.
#[derive(Clone, Debug)]
pub struct ChatLimits {
    /// Members of a group: each gets every event, and a join is told to all the others.
    pub group_members: i64,
    /// Members named in one request.
    pub members_per_request: usize,
    /// Chats of one user. Opening a connection sorts them all: 10,000 take PostgreSQL about 10 ms.
    pub chats_per_user: i64,
    /// New chats of one user: a script that sets up a team at once, not one that fills the table.
    pub creation: Rate,
    /// Strangers whom one user invites to groups and rooms: a class or a club at once, not everybody there is.
    pub invitation: Rate,
    /// Invitations of one user to another that wait for an answer: who has not answered 20 does not want
    /// the next one.
    pub invitations_by_one: i64,
    /// Invitations of one user that wait for an answer, whoever they are from: as many as a connection
    /// holds live, so that nobody has to look for one.
    pub invitations: i64,
    /// People whom one user has blocked.
    pub blocklist: i64,
    /// Users banned from one room.
    pub bans: i64,
}

impl Default for ChatLimits {
    fn default() -> Self {
        Self {
            group_members: 10_000,
            members_per_request: 200,
            chats_per_user: 10_000,
            creation: Rate { per: Duration::from_secs(1), burst: 300 },
            invitation: Rate { per: Duration::from_secs(5), burst: 400 },
            invitations_by_one: 20,
            invitations: 200,
            blocklist: 1_000,
            bans: 10_000,
        }
    }
}
