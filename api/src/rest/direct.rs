//! Conversations between two users, addressed by the users' ids, for clients of the `numbers` dialect. These
//! routes only read; the clients write over their socket.

use super::page::limit_within;
use crate::{
    chats::direct::{self, MAX_MESSAGES},
    error::Result,
    http::extract::{Json, Path, Query},
    rest::caller::Caller,
    state::Api,
};
use axum::extract::State;
use protocol::{
    chat::Message,
    id::{Seq, UserId},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(conversation))
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct DirectMessage {
    /// The message's number in the conversation.
    id: Seq,
    sender_id: UserId,
    receiver_id: UserId,
    #[schema(examples("hi"))]
    content: String,
    /// Seconds since 1970-01-01 UTC.
    #[schema(examples(1_795_255_200))]
    timestamp: i64,
}

impl DirectMessage {
    /// A message of these two.
    fn new(message: Message, (one, other): (UserId, UserId)) -> Self {
        let sender_id = message.sender.id;
        Self {
            id: message.id,
            sender_id,
            receiver_id: if sender_id == one { other } else { one },
            content: message.text,
            timestamp: message.timestamp.unix_seconds(),
        }
    }
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct ConversationQuery {
    /// Return messages before the one with this `id`.
    before: Option<Seq>,
    /// The maximum number of messages.
    #[param(minimum = 1, maximum = 1000, default = 1000)]
    limit: Option<i64>,
}

/// List the messages between two users
///
/// Returns the newest messages in both directions, oldest first. Returns none if the two users
/// never wrote to each other. Requires one of the two users or an administrator; an administrator's
/// reading is recorded in the audit log.
#[utoipa::path(
    get,
    path = "/messages/{sender_id}/{receiver_id}",
    operation_id = "list_direct_messages",
    tag = "Direct messages",
    params(("sender_id" = UserId, Path), ("receiver_id" = UserId, Path), ConversationQuery),
    responses(
        (status = 200, description = "A page of messages.", body = [DirectMessage]),
        (status = 403, description = "`other_user` A conversation is for its two users and for \
            administrators."),
    )
)]
async fn conversation(
    State(api): State<Api>,
    caller: Caller,
    Path(pair): Path<(UserId, UserId)>,
    Query(query): Query<ConversationQuery>,
) -> Result<Json<Vec<DirectMessage>>> {
    let limit = limit_within(query.limit, MAX_MESSAGES, MAX_MESSAGES)?;
    let page = direct::conversation(&api, (&caller).into(), pair, query.before, limit).await?;
    Ok(Json(page.into_iter().map(|message| DirectMessage::new(message, pair)).collect()))
}
