//! What answers look like: the services' results with the names that clients know them by, and what the
//! document says of them. The views of one route only are beside it.

mod admin;
mod chats;
mod lobby;
mod users;

pub(super) use self::{
    admin::{AuditEntryView, BulkAccountView, RemovedView},
    chats::{BanView, BlockedPersonView, ChatDetailsView, LineView, MemberView},
    lobby::{LobbyMessageView, StatisticsView},
    users::{SessionInfoView, UserPageView, UserView},
};
