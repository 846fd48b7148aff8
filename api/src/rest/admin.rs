//! What only administrators do to users.

use crate::{
    Api,
    accounts::{block, user::UserView},
    auth::Admin,
    extract::{Json, Query},
    fault::Result,
};
use axum::{Router, extract::State, routing::post};
use serde::Deserialize;

pub fn routes() -> Router<Api> {
    Router::new().route("/blockuser", post(block_user)).route("/unblockuser", post(unblock_user))
}

#[derive(Deserialize)]
struct Named {
    username: String,
}

/// `POST /blockuser?username=`
async fn block_user(
    State(api): State<Api>,
    admin: Admin,
    Query(named): Query<Named>,
) -> Result<Json<UserView>> {
    block::block(&api, &admin, &named.username).await.map(Json)
}

/// `POST /unblockuser?username=`
async fn unblock_user(
    State(api): State<Api>,
    admin: Admin,
    Query(named): Query<Named>,
) -> Result<Json<UserView>> {
    block::unblock(&api, &admin, &named.username).await.map(Json)
}
