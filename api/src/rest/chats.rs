//! Chats and rooms: making, listing, renaming, deleting, joining, leaving.

use super::page::{Items, limit_within};
use crate::{
    Api,
    auth::Caller,
    chats::{
        create::{self, NewChat},
        manage, membership,
        overview::{self, MAX_CHATS, Overview},
    },
    extract::{Json, Path, Query},
};
use axum::{
    Router,
    extract::State,
    http::StatusCode,
    routing::{get, post},
};
use serde::Deserialize;
use shared::{
    chat::ChatType,
    id::{ChatId, UserId},
    problem::Problem,
};

pub fn routes() -> Router<Api> {
    Router::new()
        .route("/chats", get(list).post(make))
        .route("/chats/{chat_id}", get(one).patch(rename).delete(delete))
        .route("/chats/{chat_id}/join", post(join))
        .route("/chats/{chat_id}/leave", post(leave))
        .route("/rooms", get(rooms))
}

#[derive(Deserialize)]
struct ListQuery {
    /// The last id of the page before.
    before: Option<ChatId>,
    limit: Option<i64>,
}

/// `GET /chats?before=&limit=`: the caller's, the newest made first; 500 when not said, at most 500.
async fn list(
    State(api): State<Api>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Json<Vec<Overview>>, Problem> {
    let limit = limit_within(query.limit, MAX_CHATS, MAX_CHATS)?;
    let mut conn = api.db.read().await?;
    overview::list(&mut conn.link(), caller.user_id, query.before, limit).await.map(Json)
}

#[derive(Deserialize)]
struct MakeBody {
    chat_type: ChatType,
    name: Option<String>,
    #[serde(default)]
    member_ids: Vec<UserId>,
}

/// `POST /chats`: 201 with the chat.
async fn make(
    State(api): State<Api>,
    caller: Caller,
    Json(body): Json<MakeBody>,
) -> Result<(StatusCode, Json<Overview>), Problem> {
    let MakeBody { chat_type, name, member_ids } = body;
    let chat =
        create::create(&api, (&caller).into(), NewChat { chat_type, name, member_ids }).await?;
    Ok((StatusCode::CREATED, Json(chat)))
}

async fn one(
    State(api): State<Api>,
    caller: Caller,
    Path(chat): Path<ChatId>,
) -> Result<Json<Overview>, Problem> {
    let mut conn = api.db.read().await?;
    overview::get(&mut conn.link(), caller.user_id, chat).await.map(Json)
}

#[derive(Deserialize)]
struct RenameBody {
    name: String,
}

/// `PATCH /chats/{id}`: 204.
async fn rename(
    State(api): State<Api>,
    caller: Caller,
    Path(chat): Path<ChatId>,
    Json(body): Json<RenameBody>,
) -> Result<StatusCode, Problem> {
    manage::rename(&api, (&caller).into(), chat, &body.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn delete(
    State(api): State<Api>,
    caller: Caller,
    Path(chat): Path<ChatId>,
) -> Result<StatusCode, Problem> {
    manage::delete(&api, (&caller).into(), chat).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /chats/{id}/join`: 200 with the room.
async fn join(
    State(api): State<Api>,
    caller: Caller,
    Path(chat): Path<ChatId>,
) -> Result<Json<Overview>, Problem> {
    membership::join(&api, (&caller).into(), chat).await?;
    let mut conn = api.db.read().await?;
    overview::get(&mut conn.link(), caller.user_id, chat).await.map(Json)
}

async fn leave(
    State(api): State<Api>,
    caller: Caller,
    Path(chat): Path<ChatId>,
) -> Result<StatusCode, Problem> {
    membership::leave(&api, (&caller).into(), chat).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
struct RoomsQuery {
    /// `next` of the page before.
    #[serde(default)]
    after: ChatId,
    limit: Option<i64>,
}

/// `GET /rooms?after=&limit=`: all rooms, the oldest first; 100 when not said, at most 500.
async fn rooms(
    State(api): State<Api>,
    caller: Caller,
    Query(query): Query<RoomsQuery>,
) -> Result<Json<Items<Overview, ChatId>>, Problem> {
    let limit = limit_within(query.limit, 100, MAX_CHATS)?;
    let mut conn = api.db.read().await?;
    let rooms = overview::rooms(&mut conn.link(), caller.user_id, query.after, limit).await?;
    Ok(Json(Items::new(rooms, limit, |room| room.view.id)))
}
