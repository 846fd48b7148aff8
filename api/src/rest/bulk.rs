//! Accounts and chats by the thousand: how administrators prepare a trial or a load test, and take
//! it away again.

use super::views::{BulkAccountView, RemovedView};
use crate::{
    accounts::{
        bulk::{self, Range},
        bulk_removal,
    },
    chats::bulk::{self as chats, NewChat},
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

pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(make_users))
        .routes(routes!(remove_users))
        .routes(routes!(make_chats))
}

#[derive(Deserialize, ToSchema)]
struct MakeUsersBody {
    /// What the usernames begin with; their number follows. Does not end with a digit.
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
    /// In the order of their numbers.
    users: Vec<BulkAccountView>,
}

/// Make accounts in bulk
///
/// Makes `{prefix}{from}` and so on and opens a session for each. They have no password, so nobody signs
/// in to them otherwise. Accounts that this call made before are taken again, and their earlier sessions
/// end. It never gives a session of an account that somebody registered: a name that is taken refuses
/// the whole call.
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
    let users = bulk::create(&api, admin.0.user_id, &Range { prefix, from, count }).await?;
    let users = users.into_iter().map(Into::into).collect();
    Ok((StatusCode::CREATED, Json(MadeUsers { users })))
}

#[derive(Deserialize, ToSchema)]
struct RemoveUsersBody {
    /// What the usernames begin with.
    #[schema(min_length = 1, max_length = 31, examples("trial-"))]
    prefix: String,
}

/// Remove accounts made in bulk
///
/// Removes up to 1,000 accounts with such names and the chats that they made, also for others in them. Only
/// accounts that were made in bulk are removed. Call again while the answer says `more`.
#[utoipa::path(
    post,
    path = "/admin/users/bulk/remove",
    operation_id = "remove_users_in_bulk",
    tag = "Administration",
    request_body = RemoveUsersBody,
    responses(
        (status = 200, description = "What this call removed.", body = RemovedView),
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
    /// With 10,000 members altogether. The body has at most 64 KiB, as everywhere.
    #[schema(min_items = 1, max_items = 1000)]
    chats: Vec<BulkChat>,
}

#[derive(Deserialize, ToSchema)]
struct BulkChat {
    chat_type: ChatType,
    /// Rooms need one, groups may have one; a private chat is called like the other member.
    #[schema(max_length = 100, examples("team"))]
    name: Option<String>,
    /// All members, the owner of a group or room first; two for a private chat.
    #[schema(min_items = 1, max_items = 10000)]
    member_ids: Vec<UserId>,
}

#[derive(Serialize, ToSchema)]
struct MadeChats {
    /// In the order of the request.
    chat_ids: Vec<ChatId>,
}

/// Make chats in bulk
///
/// All or none of them. The caller is in none; their members learn of them as if somebody had invited
/// them. Two who have a private chat keep it, and its id is answered.
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
    let chat = |BulkChat { chat_type, name, member_ids }| NewChat { chat_type, name, member_ids };
    let new: Vec<NewChat> = body.chats.into_iter().map(chat).collect();
    let chat_ids = chats::create(&api, admin.0.user_id, &new).await?;
    Ok((StatusCode::CREATED, Json(MadeChats { chat_ids })))
}
