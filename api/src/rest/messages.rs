//! A chat's messages: reading in pages, posting, editing, deleting, the read mark. Posting takes the
//! same path as sockets do, so a message appears everywhere however it was sent.

use super::page::limit_within;
use crate::{
    Api,
    auth::Caller,
    chats::{
        self, access,
        messages::{self, MAX_MESSAGES, Page},
    },
    extract::{Json, Path, Query},
    internal,
};
use axum::{
    Router,
    extract::State,
    http::StatusCode,
    routing::{get, patch, post},
};
use serde::{Deserialize, Serialize};
use shared::{
    chat::{Change, Message},
    id::{ChatId, Seq, UserId},
    internal::{Action, Command, MarkRead, Post, ReadMark, Refusal, RefusalCode},
    problem::Problem,
    time::Timestamp,
};
use uuid::Uuid;

/// Messages in a page when not said.
const DEFAULT_PAGE: i64 = 50;

pub fn routes() -> Router<Api> {
    Router::new()
        .route("/chats/{chat_id}/messages", get(list).post(send))
        .route("/chats/{chat_id}/messages/{message_id}", patch(edit).delete(delete))
        .route("/chats/{chat_id}/read", post(read))
        .route("/history/{chat_id}", get(history))
}

/// A message with the names that every family of clients knows it by.
#[derive(Debug, Serialize)]
pub struct MessageView {
    id: Seq,
    chat_id: ChatId,
    room_id: ChatId,
    sender_id: UserId,
    user_id: UserId,
    username: String,
    text: String,
    content: String,
    timestamp: Timestamp,
    created_at: Timestamp,
    client_message_id: Option<String>,
    reply_to: Option<Seq>,
    edited_at: Option<Timestamp>,
}

impl MessageView {
    /// A message of this chat.
    pub fn new(chat: ChatId, message: Message) -> Self {
        Self {
            id: message.id,
            chat_id: chat,
            room_id: chat,
            sender_id: message.sender.id,
            user_id: message.sender.id,
            username: message.sender.username,
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

#[derive(Deserialize)]
struct ListQuery {
    after: Option<Seq>,
    before: Option<Seq>,
    limit: Option<i64>,
}

/// `GET /chats/{id}/messages?after=&before=&limit=`: the oldest first; the newest when no cursor is given.
async fn list(
    State(api): State<Api>,
    caller: Caller,
    Path(chat): Path<ChatId>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Vec<MessageView>>, Problem> {
    let limit = limit_within(query.limit, DEFAULT_PAGE, MAX_MESSAGES)?;
    let page = Page { after: query.after, before: query.before, limit };
    let messages = messages::list(&api, caller.user_id, chat, page).await?;
    Ok(Json(messages.into_iter().map(|message| MessageView::new(chat, message)).collect()))
}

#[derive(Deserialize)]
struct HistoryQuery {
    #[serde(default)]
    offset: i64,
    limit: Option<i64>,
}

#[derive(Serialize)]
struct History {
    items: Vec<MessageView>,
    total: i64,
    offset: i64,
    limit: i64,
}

/// `GET /history/{id}?limit=&offset=`: the oldest first, counted from the oldest.
async fn history(
    State(api): State<Api>,
    caller: Caller,
    Path(chat): Path<ChatId>,
    Query(query): Query<HistoryQuery>,
) -> Result<Json<History>, Problem> {
    let HistoryQuery { offset, limit } = query;
    let limit = limit_within(limit, DEFAULT_PAGE, MAX_MESSAGES)?;
    if offset < 0 {
        return Err(Problem::field("offset", "must not be negative"));
    }
    let (messages, total) = messages::history(&api, caller.user_id, chat, offset, limit).await?;
    let items = messages.into_iter().map(|message| MessageView::new(chat, message)).collect();
    Ok(Json(History { items, total, offset, limit }))
}

#[derive(Deserialize)]
struct SendBody {
    #[serde(alias = "content")]
    text: String,
    client_message_id: Option<String>,
    reply_to: Option<Seq>,
}

/// `POST /chats/{id}/messages`: 201 with the message, also when it was posted before.
async fn send(
    State(api): State<Api>,
    caller: Caller,
    Path(chat): Path<ChatId>,
    Json(body): Json<SendBody>,
) -> Result<(StatusCode, Json<MessageView>), Problem> {
    let SendBody { text, client_message_id, reply_to } = body;
    let client_message_id = client_message_id.unwrap_or_else(|| Uuid::new_v4().to_string());
    let action = Action::Send { client_message_id, text, reply_to };
    let message = carry_out(&api, &caller, chat, action).await?.ok_or_else(message_not_found)?;
    Ok((StatusCode::CREATED, Json(MessageView::new(chat, message))))
}

#[derive(Deserialize)]
struct EditBody {
    #[serde(alias = "content")]
    text: String,
}

/// `PATCH /chats/{id}/messages/{id}`: 200 with the message.
async fn edit(
    State(api): State<Api>,
    caller: Caller,
    Path((chat, message_id)): Path<(ChatId, Seq)>,
    Json(body): Json<EditBody>,
) -> Result<Json<MessageView>, Problem> {
    let action = Action::Edit { message_id, text: body.text };
    let message = carry_out(&api, &caller, chat, action).await?.ok_or_else(message_not_found)?;
    Ok(Json(MessageView::new(chat, message)))
}

async fn delete(
    State(api): State<Api>,
    caller: Caller,
    Path((chat, message_id)): Path<(ChatId, Seq)>,
) -> Result<StatusCode, Problem> {
    carry_out(&api, &caller, chat, Action::Delete { message_id }).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
struct ReadBody {
    message_id: Seq,
}

/// `POST /chats/{id}/read`: 204. A mark never moves back.
async fn read(
    State(api): State<Api>,
    caller: Caller,
    Path(chat_id): Path<ChatId>,
    Json(body): Json<ReadBody>,
) -> Result<StatusCode, Problem> {
    let mut conn = api.db.read().await?;
    access::find(&mut conn.link(), chat_id, caller.user_id).await?.to_enter()?;
    drop(conn);
    let mark = ReadMark { user_id: caller.user_id, chat_id, message_id: body.message_id };
    internal::mark_read(&api, MarkRead { marks: vec![mark] }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Posts one command. Returns the message in its state afterwards, unless it is deleted.
async fn carry_out(
    api: &Api,
    caller: &Caller,
    chat_id: ChatId,
    action: Action,
) -> Result<Option<Message>, Problem> {
    let command = Command { user_id: caller.user_id, chat_id, action };
    let mut posted = internal::post(api, Post { commands: vec![command] }).await?;
    let receipt = match posted.results.pop() {
        Some(Ok(receipt)) => receipt,
        Some(Err(refusal)) => return Err(refused(refusal)),
        None => return Err(Problem::internal()),
    };
    match posted.events.pop().and_then(|mut run| run.events.pop()).map(|event| event.change) {
        Some(Change::Message(message) | Change::Edited(message)) => Ok(Some(message)),
        Some(Change::Deleted { .. } | Change::Member { .. }) => Ok(None),
        // It was so already.
        None => {
            let mut conn = api.db.read().await?;
            messages::get(&mut conn.link(), chat_id, receipt.message_id).await
        }
    }
}

fn message_not_found() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "message_not_found", "There is no such message.")
}

/// A refused command as HTTP says it.
fn refused(refusal: Refusal) -> Problem {
    let status = match refusal.code {
        RefusalCode::ChatNotFound => return chats::chat_not_found(),
        RefusalCode::NotAMember => return chats::not_a_member(),
        RefusalCode::InvalidText => return Problem::field("text", refusal.message),
        RefusalCode::InvalidClientMessageId => {
            return Problem::field("client_message_id", refusal.message);
        }
        RefusalCode::InvalidReplyTo => return Problem::field("reply_to", refusal.message),
        RefusalCode::Blocked
        | RefusalCode::NotYours
        | RefusalCode::RecipientBlocked
        | RefusalCode::GuestsOff => StatusCode::FORBIDDEN,
        RefusalCode::MessageNotFound | RefusalCode::RecipientNotFound => StatusCode::NOT_FOUND,
        RefusalCode::ClientMessageIdReused
        | RefusalCode::RecipientIsYourself
        | RefusalCode::TooManyChats
        | RefusalCode::InvalidUsername
        | RefusalCode::UsernameTaken => StatusCode::BAD_REQUEST,
    };
    Problem::new(status, refusal.code.as_str(), refusal.message)
}
