//! The bans of a room: listing them, banning a user, lifting a ban.

use super::{
    page::{Items, UsersQuery, limit_within},
    views::BanView,
};
use crate::{
    chats::bans::{self, MAX_BANS},
    error::{Error, Result},
    http::extract::{Json, Path, Query},
    rest::caller::Caller,
    state::Api,
};
use axum::{extract::State, http::StatusCode};
use protocol::id::{ChatId, UserId};
use serde::Deserialize;
use std::time::Duration;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

/// Longest ban that ends by itself: ten years.
const MAX_SECONDS: u32 = 10 * 365 * 24 * 60 * 60;

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(ban, lift))
}

/// List a room's bans
///
/// Lists the bans in force, ordered by user id. Requires the room's owner or an administrator.
#[utoipa::path(
    get,
    path = "/chats/{chat_id}/bans",
    operation_id = "list_bans",
    tag = "Members",
    params(("chat_id" = ChatId, Path), UsersQuery),
    responses(
        (status = 200, description = "A page of bans.", body = Items<BanView, UserId>),
        (status = 400, description = "`not_a_room` Only rooms have bans: nobody enters a group or \
            private chat uninvited."),
        (status = 403, description = "`not_a_member` You are not a member of this chat. \
            `not_the_owner` Only the chat's owner may do that. `banned` You are banned from this room."),
        (status = 404, description = "`chat_not_found` There is no such chat."),
    )
)]
async fn list(
    State(api): State<Api>,
    caller: Caller,
    Path(chat): Path<ChatId>,
    Query(query): Query<UsersQuery>,
) -> Result<Json<Items<BanView, UserId>>> {
    let limit = limit_within(query.limit, 100, MAX_BANS)?;
    let bans = bans::list(&api, (&caller).into(), chat, query.after, limit).await?;
    Ok(Json(Items::new(bans, limit, |ban| ban.user.id)))
}

#[derive(Deserialize, ToSchema)]
struct BanBody {
    /// The duration of the ban in seconds. If omitted, the ban does not expire.
    #[schema(minimum = 1, maximum = 315_360_000, examples(3_600))]
    seconds: Option<u32>,
    /// The reason, shown to the people who manage the room.
    #[serde(default)]
    #[schema(max_length = 200, examples("spam"))]
    reason: String,
}

/// Ban a user from a room
///
/// Removes the user from the room. The user cannot read, write in or enter the room until the ban
/// expires or is lifted. A new ban replaces an earlier one. Requires the room's owner or an
/// administrator; only an administrator can ban the owner.
#[utoipa::path(
    put,
    path = "/chats/{chat_id}/bans/{user_id}",
    operation_id = "ban_user",
    tag = "Members",
    params(("chat_id" = ChatId, Path), ("user_id" = UserId, Path)),
    request_body = BanBody,
    responses(
        (status = 200, description = "The ban.", body = BanView),
        (status = 400, description = "`not_a_room` Only rooms have bans: nobody enters a group or \
            private chat uninvited. `cannot_ban_yourself` You cannot ban yourself. Leave the room instead. \
            `too_many_bans` A room has at most 10000 bans. Lift some first."),
        (status = 403, description = "`not_a_member` You are not a member of this chat. \
            `not_the_owner` Only the chat's owner may do that. `banned` You are banned from this room."),
        (status = 404, description = "`chat_not_found` There is no such chat. `user_not_found` User not found"),
    )
)]
async fn ban(
    State(api): State<Api>,
    caller: Caller,
    Path((chat, user)): Path<(ChatId, UserId)>,
    Json(body): Json<BanBody>,
) -> Result<Json<BanView>> {
    let seconds = match body.seconds {
        Some(seconds) if !(1..=MAX_SECONDS).contains(&seconds) => {
            return Err(Error::field("seconds", format!("must be from 1 to {MAX_SECONDS}")));
        }
        seconds => seconds,
    };
    let length = seconds.map(|seconds| Duration::from_secs(seconds.into()));
    let ban = bans::ban(&api, (&caller).into(), chat, user, length, &body.reason).await?;
    Ok(Json(ban.into()))
}

/// Lift a ban
///
/// The user may enter the room again. Requires the room's owner or an administrator.
#[utoipa::path(
    delete,
    path = "/chats/{chat_id}/bans/{user_id}",
    operation_id = "lift_ban",
    tag = "Members",
    params(("chat_id" = ChatId, Path), ("user_id" = UserId, Path)),
    responses(
        (status = 204, description = "The user is not banned."),
        (status = 400, description = "`not_a_room` Only rooms have bans: nobody enters a group or \
            private chat uninvited."),
        (status = 403, description = "`not_a_member` You are not a member of this chat. \
            `not_the_owner` Only the chat's owner may do that. `banned` You are banned from this room."),
        (status = 404, description = "`chat_not_found` There is no such chat."),
    )
)]
async fn lift(
    State(api): State<Api>,
    caller: Caller,
    Path((chat, user)): Path<(ChatId, UserId)>,
) -> Result<StatusCode> {
    bans::lift(&api, (&caller).into(), chat, user).await?;
    Ok(StatusCode::NO_CONTENT)
}
