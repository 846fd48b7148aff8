//! The views: the services' results under the names that clients know, with what the OpenAPI document says
//! about each. A view that only one route uses is in that route's file.

mod admin;
mod chats;
mod directory;
mod lobby;
mod nodes;
mod people;
mod users;

pub(super) use self::{
    admin::{AuditEntryView, BulkAccountView, RemovedView},
    chats::{BanView, BlockedPersonView, ChatDetailsView, LineView, MemberView},
    directory::ChatsPageView,
    lobby::{LobbyMessageView, StatisticsView},
    nodes::{ConnectionsView, NodeView},
    people::{CardView, PeoplePageView},
    users::{SessionInfoView, UserPageView, UserView},
};
