//! Accounts and chats by the thousand: administrators prepare a trial or a load test with these calls, and
//! remove it afterwards.

use super::views::{BulkAccountView, RemovedView};
use crate::{
    accounts::{
        bulk::{self, NameRange},
        bulk_removal,
    },
    chats::bulk::{self as chats, NewBulkChat},
    error::Result,
    http::extract::Json,
    rest::caller::Admin,
    state::Api,
};
use axum::{extract::State, http::StatusCode};
use protocol::{
    chat::ChatType,
    id::{ChatId, UserId},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(make_users))
        .routes(routes!(remove_users))
        .routes(routes!(make_chats))
}

#[derive(Deserialize, ToSchema)]
struct MakeUsersBody {
    /// The beginning of the usernames, followed by a number. Must not end with a digit.
    #[schema(min_length = 1, max_length = 31, examples("trial-"))]
    prefix: String,
    /// The first number.
    #[schema(maximum = 99_999_999, examples(0))]
    from: usize,
    #[schema(minimum = 1, maximum = 1000, examples(1000))]
    count: usize,
}

#[derive(Serialize, ToSchema)]
struct MadeUsers {
    /// The accounts, ordered by number.
    users: Vec<BulkAccountView>,
}

/// Create accounts in bulk
///
/// Creates accounts named `{prefix}{from}` and so on, and opens a session for each. The accounts
/// have no password, so nobody can sign in to them otherwise. Accounts that this call created
/// before are reused, and their earlier sessions end. The call never opens a session for an account
/// that somebody registered: if a name is taken, the whole call is refused.
#[utoipa::path(
    post,
    path = "/admin/users/bulk",
    operation_id = "make_users_in_bulk",
    tag = "Administration",
    request_body = MakeUsersBody,
    responses(
        (status = 201, description = "The accounts, each with a session's tokens.", body = MadeUsers),
        (status = 400, description = "`username_taken` The username trial-7 is somebody else's, or \
            looks like somebody else's."),
        (status = 403, description = "`admin_only` Only administrators may do this."),
    )
)]
async fn make_users(
    State(api): State<Api>,
    admin: Admin,
    Json(body): Json<MakeUsersBody>,
) -> Result<(StatusCode, Json<MadeUsers>)> {
    let MakeUsersBody { prefix, from, count } = body;
    let users = bulk::create(&api, admin.0.user_id, &NameRange { prefix, from, count }).await?;
    let users = users.into_iter().map(Into::into).collect();
    Ok((StatusCode::CREATED, Json(MadeUsers { users })))
}

#[derive(Deserialize, ToSchema)]
struct RemoveUsersBody {
    /// The beginning of the usernames.
    #[schema(min_length = 1, max_length = 31, examples("trial-"))]
    prefix: String,
}

/// Delete accounts created in bulk
///
/// Deletes up to 1,000 accounts whose usernames start with `prefix`, and every chat they created,
/// for all of its members. Deletes only accounts that were created in bulk. Repeat the call while
/// the response says `more`.
#[utoipa::path(
    post,
    path = "/admin/users/bulk/remove",
    operation_id = "remove_users_in_bulk",
    tag = "Administration",
    request_body = RemoveUsersBody,
    responses(
        (status = 200, description = "The accounts and chats that this call deleted.", body = RemovedView),
        (status = 403, description = "`admin_only` Only administrators may do this."),
    )
)]
async fn remove_users(
    State(api): State<Api>,
    admin: Admin,
    Json(body): Json<RemoveUsersBody>,
) -> Result<Json<RemovedView>> {
    Ok(Json(bulk_removal::remove(&api, admin.0.user_id, &body.prefix).await?.into()))
}

#[derive(Deserialize, ToSchema)]
struct MakeChatsBody {
    /// The chats, with at most 10,000 members in total. The body is limited to 64 KiB, as
    /// everywhere.
    #[schema(min_items = 1, max_items = 1000)]
    chats: Vec<BulkChat>,
}

#[derive(Deserialize, ToSchema)]
struct BulkChat {
    chat_type: ChatType,
    /// The name. Required for a room, optional for a group. A private chat is named after the other
    /// member.
    #[schema(max_length = 100, examples("team"))]
    name: Option<String>,
    /// All members: for a group or room the owner first, for a private chat exactly two.
    #[schema(min_items = 1, max_items = 10000)]
    member_ids: Vec<UserId>,
}

#[derive(Serialize, ToSchema)]
struct MadeChats {
    /// The ids of the chats, in the order of the request.
    chat_ids: Vec<ChatId>,
}

/// Create chats in bulk
///
/// Creates all of the chats or none. The caller is a member of none of them. The members are
/// notified as if somebody had invited them. If two users already have a private chat, the call
/// returns that chat's id.
#[utoipa::path(
    post,
    path = "/admin/chats/bulk",
    operation_id = "make_chats_in_bulk",
    tag = "Administration",
    request_body = MakeChatsBody,
    responses(
        (status = 201, description = "The chats.", body = MadeChats),
        (status = 400, description = "`group_full` A group has at most 10000 members. A room has no \
            limit. `too_many_chats` Users with 10000 chats cannot have more: 7."),
        (status = 403, description = "`admin_only` Only administrators may do this."),
    )
)]
async fn make_chats(
    State(api): State<Api>,
    admin: Admin,
    Json(body): Json<MakeChatsBody>,
) -> Result<(StatusCode, Json<MadeChats>)> {
    let chat =
        |BulkChat { chat_type, name, member_ids }| NewBulkChat { chat_type, name, member_ids };
    let new: Vec<NewBulkChat> = body.chats.into_iter().map(chat).collect();
    let chat_ids = chats::create(&api, admin.0.user_id, &new).await?;
    Ok((StatusCode::CREATED, Json(MadeChats { chat_ids })))
}
