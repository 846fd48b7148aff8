//! The lobby over REST, with the field names that clients of the `lobby` dialect use. These routes only read.

use super::{
    page::limit_within,
    views::{LobbyMessageView, StatisticsView},
};
use crate::{
    error::{Error, Result},
    http::extract::{Json, Path, Query},
    lobby::{self, MAX_MESSAGES, SenderPage},
    rest::caller::Visitor,
    state::Api,
};
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

/// Messages in a page when not said.
const DEFAULT_PAGE: i64 = 50;

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(page))
        .routes(routes!(recent))
        .routes(routes!(by_sender))
        .routes(routes!(statistics))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct LobbyQuery {
    /// The maximum number of messages.
    #[param(minimum = 1, maximum = 100, default = 50)]
    limit: Option<i64>,
    /// The number of oldest messages to skip.
    #[serde(default)]
    #[param(minimum = 0, default = 0)]
    offset: i64,
}

#[derive(Serialize, ToSchema)]
struct LobbyPage {
    messages: Vec<LobbyMessageView>,
    /// The total number of messages.
    #[schema(minimum = 0, examples(1))]
    total: i64,
    #[schema(minimum = 1, maximum = 100, examples(50))]
    limit: i64,
    #[schema(minimum = 0, examples(0))]
    offset: i64,
}

/// List the lobby's messages
///
/// Oldest first. The offset counts from the oldest message.
#[utoipa::path(
    get,
    path = "/api/messages",
    operation_id = "list_lobby_messages",
    tag = "Lobby",
    security((), ("bearer" = []), ("oauth2" = []), ("session" = [])),
    params(LobbyQuery),
    responses((status = 200, description = "A page of messages.", body = LobbyPage))
)]
async fn page(
    State(api): State<Api>,
    _: Visitor,
    Query(query): Query<LobbyQuery>,
) -> Result<Json<LobbyPage>> {
    let limit = limit_within(query.limit, DEFAULT_PAGE, MAX_MESSAGES)?;
    let offset = query.offset;
    if offset < 0 {
        return Err(Error::field("offset", "must not be negative"));
    }
    let (messages, total) = lobby::page(&api, offset, limit).await?;
    let messages = messages.into_iter().map(Into::into).collect();
    Ok(Json(LobbyPage { messages, total, limit, offset }))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct NewestQuery {
    /// The maximum number of messages.
    #[param(minimum = 1, maximum = 100, default = 50)]
    limit: Option<i64>,
}

#[derive(Serialize, ToSchema)]
struct RecentMessages {
    messages: Vec<LobbyMessageView>,
    /// The total number of messages.
    #[schema(minimum = 0, examples(1))]
    total: i64,
    #[schema(minimum = 1, maximum = 100, examples(50))]
    limit: i64,
}

/// List the lobby's newest messages
///
/// Returns the newest messages, oldest first.
#[utoipa::path(
    get,
    path = "/api/messages/recent",
    operation_id = "list_recent_lobby_messages",
    tag = "Lobby",
    security((), ("bearer" = []), ("oauth2" = []), ("session" = [])),
    params(NewestQuery),
    responses((status = 200, description = "The newest messages.", body = RecentMessages))
)]
async fn recent(
    State(api): State<Api>,
    _: Visitor,
    Query(query): Query<NewestQuery>,
) -> Result<Json<RecentMessages>> {
    let limit = limit_within(query.limit, DEFAULT_PAGE, MAX_MESSAGES)?;
    let (messages, total) = lobby::recent(&api, limit).await?;
    let messages = messages.into_iter().map(Into::into).collect();
    Ok(Json(RecentMessages { messages, total, limit }))
}

#[derive(Serialize, ToSchema)]
struct SenderMessages {
    messages: Vec<LobbyMessageView>,
    #[schema(examples("ann"))]
    username: String,
    /// The total number of messages from this sender.
    #[schema(minimum = 0, examples(1))]
    total_messages: i64,
    #[schema(minimum = 1, maximum = 100, examples(50))]
    limit: i64,
}

/// List one sender's messages in the lobby
///
/// Returns the sender's newest messages, oldest first. The name belongs to a registered user or, if
/// there is none, to a guest.
#[utoipa::path(
    get,
    path = "/api/messages/user/{username}",
    operation_id = "list_lobby_messages_of_user",
    tag = "Lobby",
    security((), ("bearer" = []), ("oauth2" = []), ("session" = [])),
    params(("username" = String, Path, description = "The username, in any case.", example = "ann"), NewestQuery),
    responses(
        (status = 200, description = "The sender's newest messages.", body = SenderMessages),
        (status = 404, description = "`user_not_found` User not found"),
    )
)]
async fn by_sender(
    State(api): State<Api>,
    _: Visitor,
    Path(username): Path<String>,
    Query(query): Query<NewestQuery>,
) -> Result<Json<SenderMessages>> {
    let limit = limit_within(query.limit, DEFAULT_PAGE, MAX_MESSAGES)?;
    let SenderPage { username, messages, total } = lobby::by_sender(&api, &username, limit).await?;
    let messages = messages.into_iter().map(Into::into).collect();
    Ok(Json(SenderMessages { messages, username, total_messages: total, limit }))
}

/// Get the lobby's statistics
///
/// The numbers come from counters, so the call takes as long with ten million messages as with ten.
#[utoipa::path(
    get,
    path = "/api/messages/stats",
    operation_id = "get_lobby_statistics",
    tag = "Lobby",
    security((), ("bearer" = []), ("oauth2" = []), ("session" = [])),
    responses((status = 200, description = "The current statistics.", body = StatisticsView))
)]
async fn statistics(State(api): State<Api>, _: Visitor) -> Result<Json<StatisticsView>> {
    Ok(Json(lobby::statistics(&api).await?.into()))
}
