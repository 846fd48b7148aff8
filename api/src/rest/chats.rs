//! Chats and rooms: making, listing, renaming, deleting, joining, leaving.

use super::{
    page::{Items, limit_within},
    views::ChatDetailsView,
};
use crate::{
    chats::{
        create::{self, NewChat},
        lists::{self, MAX_CHATS},
        manage, membership,
        overview::{self, Overview},
        peer_status,
        settings::{self, SettingsChange},
    },
    error::Result,
    http::extract::{Json, Path, Query},
    rest::caller::Caller,
    state::Api,
};
use axum::{extract::State, http::StatusCode};
use protocol::{
    chat::ChatType,
    id::{ChatId, UserId},
};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list, make))
        .routes(routes!(one, rename, delete))
        .routes(routes!(set))
        .routes(routes!(join))
        .routes(routes!(leave))
        .routes(routes!(rooms))
}

/// A chat with its peer's status.
async fn details(api: &Api, mut chat: Overview) -> Json<ChatDetailsView> {
    peer_status::look_up(api, chat.view.peer.as_deref_mut().into_iter()).await;
    Json(chat.into())
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct ChatListQuery {
    /// The last id of the previous page.
    before: Option<ChatId>,
    /// The maximum number of items.
    #[param(minimum = 1, maximum = 500, default = 500)]
    limit: Option<i64>,
}

/// List the caller's chats
///
/// Pinned chats first, then the most recently active. Chats with `invited_by` follow after all others, in
/// the same order. A chat that gets a message between two pages moves to the front and may be in both.
#[utoipa::path(
    get,
    path = "/chats",
    operation_id = "list_chats",
    tag = "Chats",
    params(ChatListQuery),
    responses(
        (status = 200, description = "A page of chats.", body = [ChatDetailsView]),
        (status = 404, description = "`chat_not_found` There is no such chat."),
    )
)]
async fn list(
    State(api): State<Api>,
    caller: Caller,
    Query(query): Query<ChatListQuery>,
) -> Result<Json<Vec<ChatDetailsView>>> {
    let limit = limit_within(query.limit, MAX_CHATS, MAX_CHATS)?;
    let mut chats = lists::list_all(&api.db, caller.user_id, query.before, limit).await?;
    peer_status::look_up(&api, chats.iter_mut().filter_map(|chat| chat.view.peer.as_deref_mut()))
        .await;
    Ok(Json(chats.into_iter().map(Into::into).collect()))
}

#[derive(Deserialize, ToSchema)]
struct MakeBody {
    chat_type: ChatType,
    /// The name. Required for a room, optional for a group. A private chat is named after the other
    /// member.
    #[schema(max_length = 100, examples("team"))]
    name: Option<String>,
    /// The other members: exactly one for a private chat. Including the caller has no effect.
    #[serde(default)]
    #[schema(max_items = 200)]
    member_ids: Vec<UserId>,
}

/// Create a chat
///
/// The caller becomes the owner of a group or room, or one of the two members of a private chat.
/// Members who share no private chat or group with the caller are strangers. Strangers are invited:
/// the chat is listed after all their other chats until they join it or write in it.
#[utoipa::path(
    post,
    path = "/chats",
    operation_id = "make_chat",
    tag = "Chats",
    request_body = MakeBody,
    responses(
        (status = 201, description = "The chat.", body = ChatDetailsView),
        (status = 400, description = "`private_chat_exists` You already have a private chat with \
            this user: 12. `too_many_chats` Users with 10000 chats cannot have more: 7. \
            `too_many_invitations` Users who have invitations to answer first: 7."),
        (status = 403, description = "`blocked_by_recipient` Users who do not want to hear from you: 7."),
        (status = 429, description = "`rate_limited` Too many requests. Wait and try again."),
    )
)]
async fn make(
    State(api): State<Api>,
    caller: Caller,
    Json(body): Json<MakeBody>,
) -> Result<(StatusCode, Json<ChatDetailsView>)> {
    let MakeBody { chat_type, name, member_ids } = body;
    let chat =
        create::create(&api, (&caller).into(), NewChat { chat_type, name, member_ids }).await?;
    Ok((StatusCode::CREATED, details(&api, chat).await))
}

/// Get a chat
#[utoipa::path(
    get,
    path = "/chats/{chat_id}",
    operation_id = "get_chat",
    tag = "Chats",
    params(("chat_id" = ChatId, Path)),
    responses(
        (status = 200, description = "The chat as the caller sees it.", body = ChatDetailsView),
        (status = 403, description = "`not_a_member` You are not a member of this chat. \
            `banned` You are banned from this room."),
        (status = 404, description = "`chat_not_found` There is no such chat."),
    )
)]
async fn one(
    State(api): State<Api>,
    caller: Caller,
    Path(chat): Path<ChatId>,
) -> Result<Json<ChatDetailsView>> {
    let mut conn = api.db.of(chat).read().await?;
    let chat = overview::get(&mut conn.link(), caller.user_id, chat).await?;
    drop(conn);
    Ok(details(&api, chat).await)
}

#[derive(Deserialize, ToSchema)]
struct SettingsBody {
    /// Its messages call for no attention.
    muted: Option<bool>,
    /// It stands before the chats that are not pinned.
    pinned: Option<bool>,
    /// It is put aside. A new message brings it back, unless it is muted.
    archived: Option<bool>,
    /// It is shown as unread until the caller's next read mark or message there.
    marked_unread: Option<bool>,
}

/// Change what the caller has set for a chat
///
/// Settings that are left out stay. Only the caller sees them, on every device.
#[utoipa::path(
    patch,
    path = "/chats/{chat_id}/me",
    operation_id = "set_chat",
    tag = "Chats",
    params(("chat_id" = ChatId, Path)),
    request_body = SettingsBody,
    responses(
        (status = 200, description = "The chat as the caller sees it.", body = ChatDetailsView),
        (status = 403, description = "`not_a_member` You are not a member of this chat. \
            `banned` You are banned from this room."),
        (status = 404, description = "`chat_not_found` There is no such chat."),
    )
)]
async fn set(
    State(api): State<Api>,
    caller: Caller,
    Path(chat): Path<ChatId>,
    Json(body): Json<SettingsBody>,
) -> Result<Json<ChatDetailsView>> {
    let SettingsBody { muted, pinned, archived, marked_unread } = body;
    let change = SettingsChange { muted, pinned, archived, marked_unread };
    let chat = settings::change(&api, caller.user_id, chat, change).await?;
    Ok(details(&api, chat).await)
}

#[derive(Deserialize, ToSchema)]
struct RenameBody {
    #[schema(min_length = 1, max_length = 100, examples("team"))]
    name: String,
}

/// Rename a group or room
///
/// Requires the chat's owner or an administrator.
#[utoipa::path(
    patch,
    path = "/chats/{chat_id}",
    operation_id = "rename_chat",
    tag = "Chats",
    params(("chat_id" = ChatId, Path)),
    request_body = RenameBody,
    responses(
        (status = 204, description = "The chat has the new name."),
        (status = 400, description = "`private_chat` A private chat keeps its two members and takes \
            its name from them."),
        (status = 403, description = "`not_a_member` You are not a member of this chat. \
            `not_the_owner` Only the chat's owner may do that. \
            `lobby` The lobby belongs to everybody: it cannot be renamed or deleted."),
        (status = 404, description = "`chat_not_found` There is no such chat."),
    )
)]
async fn rename(
    State(api): State<Api>,
    caller: Caller,
    Path(chat): Path<ChatId>,
    Json(body): Json<RenameBody>,
) -> Result<StatusCode> {
    manage::rename(&api, (&caller).into(), chat, &body.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Delete a chat
///
/// Deletes the chat for all members. Requires the owner of the group or room, or an administrator.
/// The lobby cannot be deleted.
#[utoipa::path(
    delete,
    path = "/chats/{chat_id}",
    operation_id = "delete_chat",
    tag = "Chats",
    params(("chat_id" = ChatId, Path)),
    responses(
        (status = 204, description = "The chat is deleted."),
        (status = 403, description = "`not_a_member` You are not a member of this chat. \
            `not_the_owner` Only the chat's owner may do that. \
            `lobby` The lobby belongs to everybody: it cannot be renamed or deleted."),
        (status = 404, description = "`chat_not_found` There is no such chat."),
    )
)]
async fn delete(
    State(api): State<Api>,
    caller: Caller,
    Path(chat): Path<ChatId>,
) -> Result<StatusCode> {
    manage::delete(&api, (&caller).into(), chat).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Enter a room, or accept an invitation
///
/// Has no effect if the caller is already a member.
#[utoipa::path(
    post,
    path = "/chats/{chat_id}/join",
    operation_id = "join_room",
    tag = "Chats",
    params(("chat_id" = ChatId, Path)),
    responses(
        (status = 200, description = "The chat.", body = ChatDetailsView),
        (status = 400, description = "`too_many_chats` Users with 10000 chats cannot have more: 7."),
        (status = 403, description = "`not_a_member` You are not a member of this chat. \
            `banned` You are banned from this room."),
        (status = 404, description = "`chat_not_found` There is no such chat."),
    )
)]
async fn join(
    State(api): State<Api>,
    caller: Caller,
    Path(chat): Path<ChatId>,
) -> Result<Json<ChatDetailsView>> {
    membership::join(&api, (&caller).into(), chat).await?;
    let mut conn = api.db.of(chat).read().await?;
    let chat = overview::get(&mut conn.link(), caller.user_id, chat).await?;
    drop(conn);
    Ok(details(&api, chat).await)
}

/// Leave a group or room
///
/// If the owner leaves, the oldest member becomes the owner. An empty group is deleted.
#[utoipa::path(
    post,
    path = "/chats/{chat_id}/leave",
    operation_id = "leave_chat",
    tag = "Chats",
    params(("chat_id" = ChatId, Path)),
    responses(
        (status = 204, description = "The caller is no longer a member."),
        (status = 400, description = "`private_chat` A private chat keeps its two members and takes \
            its name from them."),
        (status = 403, description = "`not_a_member` You are not a member of this chat. \
            `banned` You are banned from this room."),
        (status = 404, description = "`chat_not_found` There is no such chat."),
    )
)]
async fn leave(
    State(api): State<Api>,
    caller: Caller,
    Path(chat): Path<ChatId>,
) -> Result<StatusCode> {
    membership::leave(&api, (&caller).into(), chat).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct RoomsQuery {
    /// A part of the name, in any case; empty for all rooms.
    #[serde(default)]
    query: String,
    /// The `next` value of the previous page.
    #[serde(default)]
    after: ChatId,
    /// The maximum number of items.
    #[param(minimum = 1, maximum = 500, default = 100)]
    limit: Option<i64>,
}

/// List all rooms
///
/// Lists all rooms, oldest first, whether or not the caller is a member. With `query`, a page may have fewer
/// rooms than asked for although `next` is not null: each looks through a bounded number of rooms.
#[utoipa::path(
    get,
    path = "/rooms",
    operation_id = "list_rooms",
    tag = "Chats",
    params(RoomsQuery),
    responses((status = 200, description = "A page of rooms.", body = Items<ChatDetailsView, ChatId>))
)]
async fn rooms(
    State(api): State<Api>,
    caller: Caller,
    Query(query): Query<RoomsQuery>,
) -> Result<Json<Items<ChatDetailsView, ChatId>>> {
    let limit = limit_within(query.limit, 100, MAX_CHATS)?;
    let RoomsQuery { query, after, .. } = query;
    let page = lists::all_rooms(&api.db, caller.user_id, &query, after, limit).await?;
    Ok(Json(Items::of(page.items, page.next)))
}
