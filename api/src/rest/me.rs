//! The caller's own account: profile, password, sessions.

use super::reply::{Origin, SessionCookie};
use crate::{
    Api,
    accounts::{
        password,
        profile::{self, ProfileChange},
        sessions::{self, SessionInfo},
        user::UserView,
    },
    auth::Caller,
    extract::{Json, Path},
    fault::Result,
};
use axum::{
    Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{delete, get, post},
};
use serde::Deserialize;
use shared::{id::SessionId, problem::Problem, settings::Secret};

pub fn routes() -> Router<Api> {
    Router::new()
        .route("/me", get(me).patch(change))
        .route("/me/password", post(change_password))
        .route("/me/sessions", get(list_sessions))
        .route("/me/sessions/{session_id}", delete(end_session))
}

#[derive(Deserialize)]
struct PasswordBody {
    current_password: String,
    new_password: String,
}

async fn me(State(api): State<Api>, caller: Caller) -> Result<Json<UserView>> {
    profile::view(&api, &caller, caller.user_id).await.map(Json)
}

async fn change(
    State(api): State<Api>,
    caller: Caller,
    Json(body): Json<ProfileChange>,
) -> Result<Json<UserView>> {
    profile::change(&api, &caller, body).await.map(Json)
}

/// `POST /me/password`: 204; every other session ends.
async fn change_password(
    State(api): State<Api>,
    caller: Caller,
    Json(body): Json<PasswordBody>,
) -> Result<StatusCode> {
    let (current, new) = (Secret::new(body.current_password), Secret::new(body.new_password));
    password::change(&api, caller.user_id, caller.session_id, current, new).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /me/sessions`: all live ones (their number is bounded), the most recently used first.
async fn list_sessions(State(api): State<Api>, caller: Caller) -> Result<Json<Vec<SessionInfo>>> {
    sessions::list(&api, caller.user_id, caller.session_id).await.map(Json)
}

/// `DELETE /me/sessions/{id}`: 204; 404 when the caller has no such live session.
async fn end_session(
    State(api): State<Api>,
    origin: Origin,
    caller: Caller,
    Path(session): Path<SessionId>,
) -> Result<Response> {
    if !sessions::end(&api, caller.user_id, session).await? {
        return Err(Problem::new(
            StatusCode::NOT_FOUND,
            "session_not_found",
            "You have no such session.",
        ));
    }
    if session == caller.session_id {
        return Ok(SessionCookie::clear(origin.secure)?.with(StatusCode::NO_CONTENT));
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}
