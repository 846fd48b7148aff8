//! Reading a chat's messages page by page, and the form that every message has over REST. Writing is `posting.rs`'s.

use super::page::limit_within;
use crate::{
    chats::messages::{self, MAX_MESSAGES, MessagesPage},
    error::{Error, Result},
    http::extract::{Json, Path, Query},
    rest::caller::Caller,
    state::Api,
};
use axum::extract::State;
use protocol::{
    chat::Message,
    id::{ChatId, Seq, UserId},
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

/// Messages in a page when not said.
const DEFAULT_PAGE: i64 = 50;

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(history))
}

/// A message, with the field names that the clients of every dialect use.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Message)]
pub(super) struct MessageView {
    /// The message's number in the chat.
    id: Seq,
    chat_id: ChatId,
    /// Same as `chat_id`.
    room_id: ChatId,
    sender_id: UserId,
    /// Same as `sender_id`.
    user_id: UserId,
    /// The sender's username.
    #[schema(examples("ann"))]
    username: String,
    /// The sender's display name.
    #[schema(examples("Ann"))]
    name: String,
    /// Where the sender's uploaded picture is on this server. Left out when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(examples("/avatars/7-mEo0Vx2bQ1aZ"))]
    avatar: Option<String>,
    /// True if the sender has no account.
    #[schema(examples(false))]
    guest: bool,
    #[schema(examples("hi"))]
    text: String,
    /// Same as `text`.
    #[schema(examples("hi"))]
    content: String,
    timestamp: Timestamp,
    /// Same as `timestamp`.
    created_at: Timestamp,
    /// The sender's idempotency key.
    #[schema(examples("c1"))]
    client_message_id: Option<String>,
    reply_to: Option<Seq>,
    edited_at: Option<Timestamp>,
}

impl MessageView {
    /// The id of a message in this chat.
    pub(super) fn new(chat: ChatId, message: Message) -> Self {
        Self {
            id: message.id,
            chat_id: chat,
            room_id: chat,
            sender_id: message.sender.id,
            user_id: message.sender.id,
            name: message.sender.name.unwrap_or_else(|| message.sender.username.clone()),
            username: message.sender.username,
            avatar: message.sender.avatar,
            guest: message.sender.guest,
            content: message.text.clone(),
            text: message.text,
            timestamp: message.timestamp,
            created_at: message.timestamp,
            client_message_id: message.client_message_id,
            reply_to: message.reply_to,
            edited_at: message.edited_at,
        }
    }
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct MessageListQuery {
    /// Return the messages that follow the one with this id.
    after: Option<Seq>,
    /// Return the messages that precede the one with this id.
    before: Option<Seq>,
    /// Return the message with this id between the messages that precede it and those that follow it.
    /// Half of the page, rounded up, ends with this message; the rest follows it. Excludes `after`
    /// and `before`.
    around: Option<Seq>,
    /// The maximum number of messages.
    #[param(minimum = 1, maximum = 100, default = 50)]
    limit: Option<i64>,
}

/// List a chat's messages
///
/// Returns the messages after a cursor, before a cursor, around a message, or the newest ones, oldest
/// first. Deleted messages are left out.
#[utoipa::path(
    get,
    path = "/chats/{chat_id}/messages",
    operation_id = "list_messages",
    tag = "Messages",
    params(("chat_id" = ChatId, Path), MessageListQuery),
    responses(
        (status = 200, description = "A page of messages.", body = [MessageView]),
        (status = 403, description = "`not_a_member` You are not a member of this chat. \
            `banned` You are banned from this room."),
        (status = 404, description = "`chat_not_found` There is no such chat."),
    )
)]
async fn list(
    State(api): State<Api>,
    caller: Caller,
    Path(chat): Path<ChatId>,
    Query(query): Query<MessageListQuery>,
) -> Result<Json<Vec<MessageView>>> {
    let limit = limit_within(query.limit, DEFAULT_PAGE, MAX_MESSAGES)?;
    let MessageListQuery { after, before, around, .. } = query;
    if around.is_some() && (after.is_some() || before.is_some()) {
        return Err(Error::field("around", "excludes after and before"));
    }
    let page = MessagesPage { after, before, around, limit };
    let messages = messages::list(&api, caller.user_id, chat, page).await?;
    Ok(Json(messages.into_iter().map(|message| MessageView::new(chat, message)).collect()))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct HistoryQuery {
    /// The number of oldest messages to skip: at most 10,000, or so many that at most 10,000 newer
    /// messages remain.
    #[serde(default)]
    #[param(minimum = 0, default = 0)]
    offset: i64,
    /// The maximum number of messages.
    #[param(minimum = 1, maximum = 100, default = 50)]
    limit: Option<i64>,
}

#[derive(Serialize, ToSchema)]
struct History {
    items: Vec<MessageView>,
    /// The number of messages in the whole chat.
    #[schema(examples(25))]
    total: i64,
    #[schema(examples(0))]
    offset: i64,
    #[schema(examples(50))]
    limit: i64,
}

/// List a chat's messages by offset
///
/// Oldest first. The offset counts from the oldest message. The middle of a long chat cannot be
/// reached by offset (422). To go there, use `before` of `GET /chats/{chat_id}/messages`, which is
/// equally fast everywhere.
#[utoipa::path(
    get,
    path = "/history/{chat_id}",
    operation_id = "get_history",
    tag = "Messages",
    params(("chat_id" = ChatId, Path), HistoryQuery),
    responses(
        (status = 200, description = "A page of messages.", body = History),
        (status = 403, description = "`not_a_member` You are not a member of this chat. \
            `banned` You are banned from this room."),
        (status = 404, description = "`chat_not_found` There is no such chat."),
    )
)]
async fn history(
    State(api): State<Api>,
    caller: Caller,
    Path(chat): Path<ChatId>,
    Query(query): Query<HistoryQuery>,
) -> Result<Json<History>> {
    let HistoryQuery { offset, limit } = query;
    let limit = limit_within(limit, DEFAULT_PAGE, MAX_MESSAGES)?;
    if offset < 0 {
        return Err(Error::field("offset", "must not be negative"));
    }
    let (messages, total) = messages::history(&api, caller.user_id, chat, offset, limit).await?;
    let items = messages.into_iter().map(|message| MessageView::new(chat, message)).collect();
    Ok(Json(History { items, total, offset, limit }))
}
