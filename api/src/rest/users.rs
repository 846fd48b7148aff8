//! Other users: one by id, many by the beginning of their username.

use crate::{
    Api,
    accounts::{
        profile::{self, DEFAULT_PAGE, MAX_PAGE, UserPage},
        user::UserView,
    },
    auth::Caller,
    extract::{Json, Path, Query},
    fault::Result,
};
use axum::{Router, extract::State, routing::get};
use serde::Deserialize;
use shared::{id::UserId, problem::Problem};

pub fn routes() -> Router<Api> {
    Router::new().route("/users", get(search)).route("/users/{user_id}", get(one))
}

#[derive(Deserialize)]
struct SearchQuery {
    /// What usernames begin with, in whatever case; empty for all.
    #[serde(default)]
    query: String,
    /// `next` of the page before.
    after: Option<String>,
    limit: Option<i64>,
}

/// `GET /users?query=&after=&limit=`: at most 100, 20 when not said.
async fn search(
    State(api): State<Api>,
    caller: Caller,
    Query(query): Query<SearchQuery>,
) -> Result<Json<UserPage>> {
    let limit = query.limit.unwrap_or(DEFAULT_PAGE);
    if !(1..=MAX_PAGE).contains(&limit) {
        return Err(Problem::field("limit", "must be from 1 to 100"));
    }
    profile::search(&api, &caller, &query.query, query.after.as_deref(), limit).await.map(Json)
}

async fn one(
    State(api): State<Api>,
    caller: Caller,
    Path(user): Path<UserId>,
) -> Result<Json<UserView>> {
    profile::view(&api, &caller, user).await.map(Json)
}
