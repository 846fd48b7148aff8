//! A chat's members: listing, adding, removing.

use super::page::{Items, limit_within};
use crate::{
    Api,
    auth::Caller,
    chats::{
        members::{self, MAX_MEMBERS, MemberView},
        membership,
    },
    extract::{Json, Path, Query},
};
use axum::{
    Router,
    extract::State,
    http::StatusCode,
    routing::{delete, get},
};
use serde::Deserialize;
use shared::{
    id::{ChatId, UserId},
    problem::Problem,
};

pub fn routes() -> Router<Api> {
    Router::new()
        .route("/chats/{chat_id}/members", get(list).post(add))
        .route("/chats/{chat_id}/members/{user_id}", delete(remove))
}

#[derive(Deserialize)]
struct ListQuery {
    /// `next` of the page before.
    #[serde(default)]
    after: UserId,
    limit: Option<i64>,
}

/// `GET /chats/{id}/members?after=&limit=`: by id; 100 when not said, at most 500.
async fn list(
    State(api): State<Api>,
    caller: Caller,
    Path(chat): Path<ChatId>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Items<MemberView, UserId>>, Problem> {
    let limit = limit_within(query.limit, 100, MAX_MEMBERS)?;
    let members = members::list(&api, caller.user_id, chat, query.after, limit).await?;
    Ok(Json(Items::new(members, limit, |member| member.user_id)))
}

#[derive(Deserialize)]
struct AddBody {
    user_id: Option<UserId>,
    #[serde(default)]
    user_ids: Vec<UserId>,
}

/// `POST /chats/{id}/members {user_id}` or `{user_ids}`: 200 with those who are new.
async fn add(
    State(api): State<Api>,
    caller: Caller,
    Path(chat): Path<ChatId>,
    Json(body): Json<AddBody>,
) -> Result<Json<Vec<MemberView>>, Problem> {
    let mut users = body.user_ids;
    users.extend(body.user_id);
    let new = membership::add(&api, (&caller).into(), chat, &users).await?;
    members::some(&api, chat, &new).await.map(Json)
}

async fn remove(
    State(api): State<Api>,
    caller: Caller,
    Path((chat, user)): Path<(ChatId, UserId)>,
) -> Result<StatusCode, Problem> {
    membership::remove(&api, (&caller).into(), chat, user).await?;
    Ok(StatusCode::NO_CONTENT)
}
