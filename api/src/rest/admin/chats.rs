//! All chats, for administrators: finding one, and its members. Removing a member and deleting a chat are the
//! calls that owners use, too. No call here tells what was written.

use crate::{
    chats::{
        directory::{self, DirectoryQuery, MAX_LISTED},
        members::{self, MAX_MEMBERS},
    },
    error::Result,
    http::extract::{Json, Path, Query},
    rest::{
        caller::Admin,
        page::{Items, UsersQuery, limit_within},
        views::{ChatsPageView, MemberView},
    },
    state::Api,
};
use axum::extract::State;
use protocol::{
    chat::ChatType,
    id::{ChatId, UserId},
};
use serde::Deserialize;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(list_members))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct ChatsParams {
    /// Any part of the name, in any case; empty for all chats. Private chats have no name.
    #[serde(default)]
    query: String,
    /// Only chats of this kind.
    kind: Option<ChatType>,
    /// Only groups and rooms that this user owns.
    owner: Option<UserId>,
    /// The `next` value of the previous page.
    before: Option<ChatId>,
    /// The maximum number of chats.
    #[param(minimum = 1, maximum = 100, default = 50)]
    limit: Option<i64>,
}

/// List all chats
///
/// The newest first, with their sizes and the time of their last activity; never with what was written. A page may
/// have fewer chats than `limit`, or none, although `next` leads on: one request looks through 10,000 chats at most.
#[utoipa::path(
    get,
    path = "/admin/chats",
    operation_id = "list_all_chats",
    tag = "Administration",
    params(ChatsParams),
    responses(
        (status = 200, description = "A page of chats.", body = ChatsPageView),
        (status = 403, description = "`admin_only` Only administrators may do this."),
    )
)]
async fn list(
    State(api): State<Api>,
    _: Admin,
    Query(query): Query<ChatsParams>,
) -> Result<Json<ChatsPageView>> {
    let ChatsParams { query: text, kind, owner, before, limit } = query;
    let limit = limit_within(limit, 50, MAX_LISTED)?;
    let query = DirectoryQuery { text: &text, kind, owner, before, limit };
    Ok(Json(directory::list_all(&api.db, query).await?.into()))
}

/// List the members of any chat
///
/// Ordered by user id. Of a private chat or group of others, recorded in the audit log before the response is sent.
#[utoipa::path(
    get,
    path = "/admin/chats/{chat_id}/members",
    operation_id = "list_members_of_any_chat",
    tag = "Administration",
    params(("chat_id" = ChatId, Path), UsersQuery),
    responses(
        (status = 200, description = "A page of members.", body = Items<MemberView, UserId>),
        (status = 403, description = "`admin_only` Only administrators may do this."),
        (status = 404, description = "`chat_not_found` There is no such chat."),
    )
)]
async fn list_members(
    State(api): State<Api>,
    admin: Admin,
    Path(chat): Path<ChatId>,
    Query(query): Query<UsersQuery>,
) -> Result<Json<Items<MemberView, UserId>>> {
    let limit = limit_within(query.limit, 100, MAX_MEMBERS)?;
    let members = members::list_of_any(&api, admin.0.user_id, chat, query.after, limit).await?;
    Ok(Json(Items::new(members, limit, |member| member.user_id)))
}
