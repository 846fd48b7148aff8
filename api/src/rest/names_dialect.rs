//! Chats by name with their read and unread messages, for clients of the `names` dialect. The calls that mark
//! messages as read are POSTs; those clients send GETs, which work with a Bearer token only.

use super::{page::limit_within, views::LineView};
use crate::{
    accounts::user,
    chats::{
        conversations::{self, Line, MAX_PER_CHAT, Part},
        marks,
    },
    error::Result,
    http::extract::{Json, Query},
    rest::caller::{Caller, NoCookie},
    state::Api,
};
use axum::extract::State;
use protocol::{code::Code, id::UserId};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(all_messages))
        .routes(routes!(all_chats))
        .routes(routes!(read_messages))
        .routes(routes!(unread_messages))
        .routes(routes!(mark_all, mark_all_by_get))
        .routes(routes!(mark_from, mark_from_by_get))
}

/// By the other's username or the group's name.
pub(super) type ByName = BTreeMap<String, Vec<LineView>>;

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct PartQuery {
    /// The maximum number of messages per chat.
    #[param(minimum = 1, maximum = 1000, default = 1000)]
    limit: Option<i64>,
}

/// As clients see them.
pub(super) fn by_name(chats: BTreeMap<String, Vec<Line>>) -> ByName {
    let views = |lines: Vec<Line>| lines.into_iter().map(Into::into).collect();
    chats.into_iter().map(|(name, lines)| (name, views(lines))).collect()
}

/// For the document; its maps have no fields to take examples from.
pub(super) fn example() -> Value {
    json!({ "bob": [{
        "id": 41,
        "chat_id": 12,
        "from": "bob",
        "to": "ann",
        "text": "hi",
        "is_read": false,
        "date": "2026-11-21T10:00:00.000Z",
    }] })
}

async fn of_user(api: &Api, user: UserId, part: Part, limit: Option<i64>) -> Result<Json<ByName>> {
    let limit = limit_within(limit, MAX_PER_CHAT, MAX_PER_CHAT)?;
    Ok(Json(by_name(conversations::of_user(api, user, part, limit).await?)))
}

/// List all messages by name
///
/// Returns the newest messages of the 100 most recently changed private chats and groups, oldest
/// first within each chat, at most 10,000 in total. The keys are usernames for private chats and
/// names for groups. If two chats have the same name, the second key ends in ` (#chat id)`. A sent
/// message counts as read when every other member has read it.
#[utoipa::path(
    get,
    path = "/getallmessages",
    operation_id = "get_all_messages",
    tag = "Read state",
    params(PartQuery),
    responses((status = 200, description = "Every chat, including those without messages.",
        body = BTreeMap<String, Vec<LineView>>, example = json!(example())))
)]
async fn all_messages(
    State(api): State<Api>,
    caller: Caller,
    Query(query): Query<PartQuery>,
) -> Result<Json<ByName>> {
    of_user(&api, caller.user_id, Part::All, query.limit).await
}

/// List all chats by name
///
/// Same as `/getallmessages`.
#[utoipa::path(
    get,
    path = "/getallchats",
    operation_id = "get_all_chats",
    tag = "Read state",
    params(PartQuery),
    responses((status = 200, description = "Every chat, including those without messages.",
        body = BTreeMap<String, Vec<LineView>>, example = json!(example())))
)]
async fn all_chats(
    State(api): State<Api>,
    caller: Caller,
    Query(query): Query<PartQuery>,
) -> Result<Json<ByName>> {
    of_user(&api, caller.user_id, Part::All, query.limit).await
}

/// List received messages that have been read
///
/// Keyed by name as in `/getallmessages`, without chats that have no read messages.
#[utoipa::path(
    get,
    path = "/getreadedmessages",
    operation_id = "get_read_messages",
    tag = "Read state",
    params(PartQuery),
    responses((status = 200, description = "Chats with such messages.",
        body = BTreeMap<String, Vec<LineView>>, example = json!(example())))
)]
async fn read_messages(
    State(api): State<Api>,
    caller: Caller,
    Query(query): Query<PartQuery>,
) -> Result<Json<ByName>> {
    of_user(&api, caller.user_id, Part::Read, query.limit).await
}

/// List received messages that have not been read
///
/// Keyed by name as in `/getallmessages`, without chats that have no unread messages. Listing does
/// not mark anything as read.
#[utoipa::path(
    get,
    path = "/getnotreadedmessages",
    operation_id = "get_unread_messages",
    tag = "Read state",
    params(PartQuery),
    responses((status = 200, description = "Chats with such messages.",
        body = BTreeMap<String, Vec<LineView>>, example = json!(example())))
)]
async fn unread_messages(
    State(api): State<Api>,
    caller: Caller,
    Query(query): Query<PartQuery>,
) -> Result<Json<ByName>> {
    of_user(&api, caller.user_id, Part::Unread, query.limit).await
}

#[derive(Serialize, ToSchema)]
struct Marked {
    #[schema(examples("success"))]
    status: &'static str,
    /// Always null. Errors have a different HTTP status.
    error: Option<String>,
    /// The number of chats whose read mark moved.
    #[schema(minimum = 0, examples(1))]
    marked: usize,
}

impl Marked {
    fn reply(marked: usize) -> Json<Self> {
        Json(Self { status: "success", error: None, marked })
    }
}

/// Mark everything as read
///
/// Marks all chats as read, including rooms. The caller's other devices are notified.
#[utoipa::path(
    post,
    path = "/readnotreaded",
    operation_id = "mark_all_read",
    tag = "Read state",
    responses((status = 200, description = "Nothing is unread.", body = Marked))
)]
async fn mark_all(State(api): State<Api>, caller: Caller) -> Result<Json<Marked>> {
    marks::mark_all(&api, caller.user_id).await.map(Marked::reply)
}

/// Mark everything as read with GET
///
/// Same as the POST, for clients that send a GET. Accepts a Bearer token only.
#[utoipa::path(
    get,
    path = "/readnotreaded",
    operation_id = "mark_all_read_by_get",
    tag = "Read state",
    security(("bearer" = []), ("oauth2" = [])),
    responses(
        (status = 200, description = "Nothing is unread.", body = Marked),
        (status = 401, description = "`bearer_only` As a GET this takes no session cookie: send a \
            Bearer token, or POST."),
    )
)]
async fn mark_all_by_get(_: NoCookie, api: State<Api>, caller: Caller) -> Result<Json<Marked>> {
    mark_all(api, caller).await
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct FromQuery {
    /// The sender's username, in any case.
    #[param(example = "bob")]
    user_from: String,
}

/// Mark a user's messages as read
///
/// Marks the caller's private chat with this user as read.
#[utoipa::path(
    post,
    path = "/readnotreadedfromuser",
    operation_id = "mark_read_from_user",
    tag = "Read state",
    params(FromQuery),
    responses(
        (status = 200, description = "Nothing from this user is unread.", body = Marked),
        (status = 404, description = "`user_not_found` User not found"),
    )
)]
async fn mark_from(
    State(api): State<Api>,
    caller: Caller,
    Query(query): Query<FromQuery>,
) -> Result<Json<Marked>> {
    let mut conn = api.db.home().read().await?;
    let sender = user::account(conn.link(), &query.user_from).await?.ok_or(Code::UserNotFound)?;
    drop(conn);
    marks::mark_from(&api, caller.user_id, sender.id).await.map(Marked::reply)
}

/// Mark a user's messages as read with GET
///
/// Same as the POST, for clients that send a GET. Accepts a Bearer token only.
#[utoipa::path(
    get,
    path = "/readnotreadedfromuser",
    operation_id = "mark_read_from_user_by_get",
    tag = "Read state",
    security(("bearer" = []), ("oauth2" = [])),
    params(FromQuery),
    responses(
        (status = 200, description = "Nothing from this user is unread.", body = Marked),
        (status = 401, description = "`bearer_only` As a GET this takes no session cookie: send a \
            Bearer token, or POST."),
        (status = 404, description = "`user_not_found` User not found"),
    )
)]
async fn mark_from_by_get(
    _: NoCookie,
    api: State<Api>,
    caller: Caller,
    query: Query<FromQuery>,
) -> Result<Json<Marked>> {
    mark_from(api, caller, query).await
}
