//! Posting, editing and deleting messages, and moving the read mark. Takes the same path as a socket's commands, so a
//! message reaches everybody however it was sent.

use super::messages::MessageView;
use crate::{
    chats::{access, marks, messages, post},
    error::{Error, Result},
    http::extract::{Json, Path},
    rest::caller::Caller,
    state::Api,
};
use axum::{extract::State, http::StatusCode};
use protocol::{
    calls::{MarkRead, Post, ReadMark},
    chat::{Change, Message},
    code::Code,
    command::{Action, Command},
    id::{ChatId, Seq},
    refusal::Refusal,
};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(send)).routes(routes!(edit, delete)).routes(routes!(read))
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
    let mut conn = api.db.of(chat_id).read().await?;
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
    let mut posted = post::post(api, &Post::patient(vec![command])).await?;
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
            let mut conn = api.db.of(chat_id).read().await?;
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
