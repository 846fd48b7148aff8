//! A chat's messages: reading pages, posting, editing, deleting, and moving the read mark. Posting takes the
//! same path as a socket's commands, so a message reaches everybody however it was sent.

use super::page::limit_within;
use crate::{
    chats::{
        access, marks,
        messages::{self, MAX_MESSAGES, MessagesPage},
        post,
    },
    error::{Error, Result},
    http::extract::{Json, Path, Query},
    rest::caller::Caller,
    state::Api,
};
use axum::{extract::State, http::StatusCode};
use protocol::{
    calls::{MarkRead, Post, ReadMark},
    chat::{Change, Message},
    code::Code,
    command::{Action, Command},
    id::{ChatId, Seq, UserId},
    refusal::Refusal,
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

/// Messages in a page when not said.
const DEFAULT_PAGE: i64 = 50;

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list, send))
        .routes(routes!(edit, delete))
        .routes(routes!(read))
        .routes(routes!(history))
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

#[derive(Deserialize, ToSchema)]
struct SendBody {
    /// `content` is accepted too.
    #[serde(alias = "content")]
    #[schema(min_length = 1, max_length = 4000, examples("hi"))]
    text: String,
    /// The idempotency key. Sending the same key again returns the stored message and never creates
    /// a second one.
    #[schema(min_length = 1, max_length = 64, examples("c1"))]
    client_message_id: Option<String>,
    /// The id of a message in this chat.
    reply_to: Option<Seq>,
}

/// Post a message
#[utoipa::path(
    post,
    path = "/chats/{chat_id}/messages",
    operation_id = "post_message",
    tag = "Messages",
    params(("chat_id" = ChatId, Path)),
    request_body = SendBody,
    responses(
        (status = 201, description = "The message, whether posted now or before.", body = MessageView),
        (status = 400, description = "`client_message_id_reused` This client message id was used for \
            another text."),
        (status = 403, description = "`not_a_member` You are not a member of this chat. \
            `banned` You are banned from this room. \
            `blocked_by_recipient` This user does not want to hear from you."),
        (status = 404, description = "`chat_not_found` There is no such chat. \
            `message_not_found` There is no such message."),
    )
)]
async fn send(
    State(api): State<Api>,
    caller: Caller,
    Path(chat): Path<ChatId>,
    Json(body): Json<SendBody>,
) -> Result<(StatusCode, Json<MessageView>)> {
    let SendBody { text, client_message_id, reply_to } = body;
    let client_message_id = client_message_id.unwrap_or_else(|| Uuid::new_v4().to_string());
    let action = Action::Send { client_message_id, text, reply_to };
    let message = carry_out(&api, &caller, chat, action).await?.ok_or(Code::MessageNotFound)?;
    Ok((StatusCode::CREATED, Json(MessageView::new(chat, message))))
}

#[derive(Deserialize, ToSchema)]
struct EditBody {
    /// `content` is accepted too.
    #[serde(alias = "content")]
    #[schema(min_length = 1, max_length = 4000, examples("hello"))]
    text: String,
    /// Identifies this edit. Sending the same edit again after a later edit changes nothing.
    #[schema(min_length = 1, max_length = 64)]
    client_edit_id: Option<String>,
}

/// Edit a message
///
/// Only the sender can edit a message.
#[utoipa::path(
    patch,
    path = "/chats/{chat_id}/messages/{message_id}",
    operation_id = "edit_message",
    tag = "Messages",
    params(("chat_id" = ChatId, Path), ("message_id" = Seq, Path)),
    request_body = EditBody,
    responses(
        (status = 200, description = "The message with its new text.", body = MessageView),
        (status = 403, description = "`not_a_member` You are not a member of this chat. \
            `banned` You are banned from this room. \
            `blocked_by_recipient` This user does not want to hear from you. \
            `not_yours` This message is not yours."),
        (status = 404, description = "`chat_not_found` There is no such chat. \
            `message_not_found` There is no such message."),
    )
)]
async fn edit(
    State(api): State<Api>,
    caller: Caller,
    Path((chat, message_id)): Path<(ChatId, Seq)>,
    Json(body): Json<EditBody>,
) -> Result<Json<MessageView>> {
    let EditBody { text, client_edit_id } = body;
    let action = Action::Edit { message_id, text, client_edit_id };
    let message = carry_out(&api, &caller, chat, action).await?.ok_or(Code::MessageNotFound)?;
    Ok(Json(MessageView::new(chat, message)))
}

/// Delete a message
///
/// The sender can delete a message; the chat's owner and administrators can delete any message.
#[utoipa::path(
    delete,
    path = "/chats/{chat_id}/messages/{message_id}",
    operation_id = "delete_message",
    tag = "Messages",
    params(("chat_id" = ChatId, Path), ("message_id" = Seq, Path)),
    responses(
        (status = 204, description = "The message is deleted."),
        (status = 403, description = "`not_a_member` You are not a member of this chat. \
            `banned` You are banned from this room. \
            `blocked_by_recipient` This user does not want to hear from you. \
            `not_yours` This message is not yours."),
        (status = 404, description = "`chat_not_found` There is no such chat. \
            `message_not_found` There is no such message."),
    )
)]
async fn delete(
    State(api): State<Api>,
    caller: Caller,
    Path((chat, message_id)): Path<(ChatId, Seq)>,
) -> Result<StatusCode> {
    carry_out(&api, &caller, chat, Action::Delete { message_id }).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize, ToSchema)]
struct ReadBody {
    /// Marks all messages up to and including this one as read.
    message_id: Seq,
}

/// Mark a chat as read
///
/// A read mark never moves back, nor past the newest message.
#[utoipa::path(
    post,
    path = "/chats/{chat_id}/read",
    operation_id = "mark_read",
    tag = "Messages",
    params(("chat_id" = ChatId, Path)),
    request_body = ReadBody,
    responses(
        (status = 204, description = "The read mark is at this message or later."),
        (status = 403, description = "`not_a_member` You are not a member of this chat. \
            `banned` You are banned from this room."),
        (status = 404, description = "`chat_not_found` There is no such chat."),
    )
)]
async fn read(
    State(api): State<Api>,
    caller: Caller,
    Path(chat_id): Path<ChatId>,
    Json(body): Json<ReadBody>,
) -> Result<StatusCode> {
    let mut conn = api.db.read().await?;
    access::find(&mut conn.link(), chat_id, caller.user_id).await?.to_enter()?;
    drop(conn);
    let mark = ReadMark { user_id: caller.user_id, chat_id, message_id: body.message_id };
    marks::mark_read(&api, MarkRead { marks: vec![mark] }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Posts one command. Returns the message in its state afterwards, unless it is deleted.
async fn carry_out(
    api: &Api,
    caller: &Caller,
    chat_id: ChatId,
    action: Action,
) -> Result<Option<Message>> {
    let key = match action {
        Action::Edit { .. } => "client_edit_id",
        _ => "client_message_id",
    };
    let command = Command { user_id: caller.user_id, chat_id, action };
    let mut posted = post::post(api, Post::patient(vec![command])).await?;
    let receipt = match posted.results.pop() {
        Some(Ok(receipt)) => receipt,
        Some(Err(refusal)) => return Err(refused(refusal, key)),
        None => return Err(Error::internal()),
    };
    let event = posted.events.pop().and_then(|run| run.parse().ok()?.events.pop());
    match event.map(|event| event.change) {
        Some(Change::Message(message) | Change::Edited(message)) => Ok(Some(message)),
        Some(_) => Ok(None),
        // It was so already.
        None => {
            let mut conn = api.db.read().await?;
            messages::get(&mut conn.link(), chat_id, receipt.message_id).await
        }
    }
}

/// A refused command as HTTP says it. `key` names the field of the command's idempotency key.
fn refused(Refusal { code, message }: Refusal, key: &str) -> Error {
    match code {
        Code::ChatNotFound | Code::NotAMember | Code::Banned => code.into(),
        Code::InvalidText => Error::field("text", message),
        Code::InvalidClientMessageId => Error::field(key, message),
        Code::InvalidReplyTo => Error::field("reply_to", message),
        // A newer api's.
        Code::Unknown => Error::new(Code::Busy, message),
        code => Error::new(code, message),
    }
}
