//! Chats as people manage them: making, listing, renaming, joining, leaving, reading. Posting,
//! editing and deleting messages is one batched path for sockets and REST, [`post`]. Nothing here knows HTTP.
//!
//! Whoever changes a chat locks its row first ([`access::lock`]) and every batch locks several in
//! the order of their ids; members' rows are locked in the order of their keys. So nothing here can
//! deadlock. What others must hear goes along with the commit (`news`); a process that dies in between
//! is made good by `changed`.

pub mod access;
mod ban_rows;
pub mod bans;
pub mod blocklist;
pub mod bulk;
pub mod changed;
mod changes;
pub mod conversations;
pub mod create;
pub mod direct;
pub mod directory;
pub mod dormant;
pub mod events;
pub mod farewell;
pub mod lists;
pub mod manage;
pub mod marks;
mod member_key;
pub mod members;
pub mod membership;
pub mod messages;
pub mod opening;
pub mod ordinals;
pub mod overview;
pub(crate) mod peer_status;
pub mod peers;
pub mod post;
pub mod rules;
pub mod settings;
pub(crate) mod stored;
mod strangers;
pub(crate) mod stretches;
pub mod view;
