//! A chat's members: listing, adding, removing.

use super::{
    page::{Items, UsersQuery, limit_within},
    views::MemberView,
};
use crate::{
    chats::{
        members::{self, MAX_MEMBERS},
        membership,
    },
    error::Result,
    http::extract::{Json, Path, Query},
    rest::caller::Caller,
    state::Api,
};
use axum::{extract::State, http::StatusCode};
use protocol::id::{ChatId, UserId};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list, add)).routes(routes!(remove))
}

/// List a chat's members
///
/// Ordered by user id.
#[utoipa::path(
    get,
    path = "/chats/{chat_id}/members",
    operation_id = "list_members",
    tag = "Members",
    params(("chat_id" = ChatId, Path), UsersQuery),
    responses(
        (status = 200, description = "A page of members.", body = Items<MemberView, UserId>),
        (status = 403, description = "`not_a_member` You are not a member of this chat. \
            `banned` You are banned from this room."),
        (status = 404, description = "`chat_not_found` There is no such chat."),
    )
)]
async fn list(
    State(api): State<Api>,
    caller: Caller,
    Path(chat): Path<ChatId>,
    Query(query): Query<UsersQuery>,
) -> Result<Json<Items<MemberView, UserId>>> {
    let limit = limit_within(query.limit, 100, MAX_MEMBERS)?;
    let members = members::list(&api, caller.user_id, chat, query.after, limit).await?;
    Ok(Json(Items::new(members, limit, |member| member.user_id)))
}

#[derive(Deserialize, ToSchema)]
struct AddBody {
    /// One user, as an alternative to `user_ids`.
    user_id: Option<UserId>,
    /// 1 to 200 users.
    #[serde(default)]
    #[schema(max_items = 200)]
    user_ids: Vec<UserId>,
}

/// Add members to a group or room
///
/// Requires the chat's owner or an administrator. Users who are already members stay members. Users
/// who share no private chat or group with the caller are strangers. Strangers are invited: the
/// chat is listed after all their other chats until they join it or write in it. Adding a user who
/// was banned from the room lifts the ban.
#[utoipa::path(
    post,
    path = "/chats/{chat_id}/members",
    operation_id = "add_members",
    tag = "Members",
    params(("chat_id" = ChatId, Path)),
    request_body(content = AddBody, example = json!({ "user_ids": [7] })),
    responses(
        (status = 200, description = "The members that were added.", body = [MemberView]),
        (status = 400, description = "`private_chat` A private chat keeps its two members and takes \
            its name from them. `group_full` A group has at most 10000 members. A room has no limit. \
            `too_many_chats` Users with 10000 chats cannot have more: 7. \
            `too_many_invitations` Users who have invitations to answer first: 7."),
        (status = 403, description = "`not_a_member` You are not a member of this chat. \
            `not_the_owner` Only the chat's owner may do that. \
            `blocked_by_recipient` Users who do not want to hear from you: 7."),
        (status = 404, description = "`chat_not_found` There is no such chat."),
    )
)]
async fn add(
    State(api): State<Api>,
    caller: Caller,
    Path(chat): Path<ChatId>,
    Json(body): Json<AddBody>,
) -> Result<Json<Vec<MemberView>>> {
    let mut users = body.user_ids;
    users.extend(body.user_id);
    let new = membership::add(&api, (&caller).into(), chat, &users).await?;
    let members = members::some(&api, chat, &new).await?;
    Ok(Json(members.into_iter().map(Into::into).collect()))
}

/// Remove a member from a group or room
///
/// Requires the chat's owner or an administrator; only an administrator can remove the owner. If
/// callers remove themselves, they leave the chat. A user removed from a room is also banned from
/// it, because anybody can enter a room.
#[utoipa::path(
    delete,
    path = "/chats/{chat_id}/members/{user_id}",
    operation_id = "remove_member",
    tag = "Members",
    params(("chat_id" = ChatId, Path), ("user_id" = UserId, Path)),
    responses(
        (status = 204, description = "The user is no longer a member."),
        (status = 400, description = "`private_chat` A private chat keeps its two members and takes \
            its name from them."),
        (status = 403, description = "`not_a_member` You are not a member of this chat. \
            `not_the_owner` Only the chat's owner may do that."),
        (status = 404, description = "`chat_not_found` There is no such chat. \
            `member_not_found` This user is not a member of the chat."),
    )
)]
async fn remove(
    State(api): State<Api>,
    caller: Caller,
    Path((chat, user)): Path<(ChatId, UserId)>,
) -> Result<StatusCode> {
    membership::remove(&api, (&caller).into(), chat, user).await?;
    Ok(StatusCode::NO_CONTENT)
}
