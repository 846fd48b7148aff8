//! The people whom the caller has blocked.

use super::{
    page::{Items, UsersQuery, limit_within},
    views::BlockedPersonView,
};
use crate::{
    chats::blocklist::{self, MAX_ENTRIES},
    error::Result,
    http::extract::{Json, Path, Query},
    rest::caller::Caller,
    state::Api,
};
use axum::{extract::State, http::StatusCode};
use protocol::id::UserId;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(block, unblock))
}

/// List the people the caller has blocked
///
/// Ordered by user id.
#[utoipa::path(
    get,
    path = "/me/blocklist",
    operation_id = "list_blocked_people",
    tag = "Me",
    params(UsersQuery),
    responses((status = 200, description = "A page of people.", body = Items<BlockedPersonView, UserId>))
)]
async fn list(
    State(api): State<Api>,
    caller: Caller,
    Query(query): Query<UsersQuery>,
) -> Result<Json<Items<BlockedPersonView, UserId>>> {
    let limit = limit_within(query.limit, 100, MAX_ENTRIES)?;
    let people = blocklist::list(&api, (&caller).into(), query.after, limit).await?;
    Ok(Json(Items::new(people, limit, |person| person.user.id)))
}

/// Block a person
///
/// The person cannot start a chat with the caller, write in their private chat, or add the caller
/// to a group or room. The person's pending invitations are declined. Groups and rooms that both
/// are in do not change.
#[utoipa::path(
    put,
    path = "/me/blocklist/{user_id}",
    operation_id = "block_person",
    tag = "Me",
    params(("user_id" = UserId, Path)),
    responses(
        (status = 204, description = "The person is on the list."),
        (status = 400, description = "`cannot_block_yourself` You cannot block yourself. \
            `blocklist_full` You block 1000 people already. Take one off the list first."),
        (status = 404, description = "`user_not_found` User not found"),
    )
)]
async fn block(
    State(api): State<Api>,
    caller: Caller,
    Path(user): Path<UserId>,
) -> Result<StatusCode> {
    blocklist::block(&api, (&caller).into(), user).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Unblock a person
#[utoipa::path(
    delete,
    path = "/me/blocklist/{user_id}",
    operation_id = "unblock_person",
    tag = "Me",
    params(("user_id" = UserId, Path)),
    responses((status = 204, description = "The person is not on the list."))
)]
async fn unblock(
    State(api): State<Api>,
    caller: Caller,
    Path(user): Path<UserId>,
) -> Result<StatusCode> {
    blocklist::unblock(&api, (&caller).into(), user).await?;
    Ok(StatusCode::NO_CONTENT)
}
