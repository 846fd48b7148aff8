//! The caller's own account: profile, password, sessions.

use super::{
    reply::{Origin, SessionCookie},
    views::{SessionInfoView, UserView},
};
use crate::{
    accounts::{
        password::{self, PasswordChange},
        profile::{self, ProfileChange},
        sessions,
    },
    auth::tokens::Subject,
    error::Result,
    http::extract::{Json, Path},
    rest::caller::Caller,
    state::Api,
};
use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use platform::settings::Secret;
use protocol::{code::Code, id::SessionId};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(me, change))
        .routes(routes!(change_password))
        .routes(routes!(list_sessions, end_other_sessions))
        .routes(routes!(end_session))
}

/// The profile fields to change. Omitted fields keep their values.
#[derive(Deserialize, ToSchema)]
#[schema(as = ProfileChange)]
struct ProfileBody {
    /// The display name.
    #[schema(min_length = 1, max_length = 64, examples("Ann"))]
    name: Option<String>,
    /// An `http` or `https` URL, or empty for no avatar; an uploaded picture is removed. The page shows uploaded
    /// pictures only (`PUT /me/avatar`).
    #[schema(max_length = 512, examples("https://example.com/ann.png"))]
    avatar: Option<String>,
}

#[derive(Deserialize, ToSchema)]
struct PasswordBody {
    #[schema(format = Password, examples("password123"))]
    current_password: String,
    #[schema(format = Password, min_length = 8, max_length = 128, examples("a better password"))]
    new_password: String,
}

/// Get the caller's account
///
/// A session cookie older than a day is replaced, so that whoever comes back within 30 days stays signed in.
#[utoipa::path(
    get,
    path = "/me",
    operation_id = "get_me",
    tag = "Me",
    responses(
        (status = 200, description = "The current user.", body = UserView,
            headers(("Set-Cookie" = Option<String>, description = "A new session cookie in place of an old one."))),
        (status = 404, description = "`user_not_found` User not found"),
    )
)]
async fn me(State(api): State<Api>, origin: Origin, caller: Caller) -> Result<Response> {
    let user: UserView = profile::view(&api, (&caller).into(), caller.user_id).await?.into();
    let is_old = caller.cookie_age.is_some_and(|age| age >= api.config.cookie_renewal);
    if !is_old || !origin.takes_cookies(&api) {
        return Ok(Json(user).into_response());
    }
    let subject = Subject {
        user_id: caller.user_id,
        session_id: caller.session_id,
        username: caller.username,
        role: caller.role,
    };
    Ok(match sessions::extend(&api, &subject).await? {
        Some(token) => SessionCookie::hold(&api, &token, &origin)?.with(Json(user)),
        None => Json(user).into_response(),
    })
}

/// Change the caller's profile
///
/// Omitted fields keep their values.
#[utoipa::path(
    patch,
    path = "/me",
    operation_id = "change_profile",
    tag = "Me",
    request_body = ProfileBody,
    responses(
        (status = 200, description = "The changed user.", body = UserView),
        (status = 404, description = "`user_not_found` User not found"),
    )
)]
async fn change(
    State(api): State<Api>,
    caller: Caller,
    Json(body): Json<ProfileBody>,
) -> Result<Json<UserView>> {
    let ProfileBody { name, avatar } = body;
    let change = ProfileChange { name, avatar };
    Ok(Json(profile::change(&api, (&caller).into(), change).await?.into()))
}

/// Change the caller's password
///
/// Ends every other session of the caller.
#[utoipa::path(
    post,
    path = "/me/password",
    operation_id = "change_password",
    tag = "Me",
    request_body = PasswordBody,
    responses(
        (status = 204, description = "The password is changed."),
        (status = 400, description = "`wrong_password` The present password is wrong."),
    )
)]
async fn change_password(
    State(api): State<Api>,
    origin: Origin,
    caller: Caller,
    Json(body): Json<PasswordBody>,
) -> Result<StatusCode> {
    let (current, new) = (Secret::new(body.current_password), Secret::new(body.new_password));
    let (user, session, from) = (caller.user_id, caller.session_id, origin.address);
    password::change(&api, PasswordChange { user, session, from, current, new }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// List the caller's sessions
///
/// Lists the active sessions (at most 100), the most recently used first.
#[utoipa::path(
    get,
    path = "/me/sessions",
    operation_id = "list_sessions",
    tag = "Me",
    responses((status = 200, description = "The sessions.", body = [SessionInfoView]))
)]
async fn list_sessions(
    State(api): State<Api>,
    caller: Caller,
) -> Result<Json<Vec<SessionInfoView>>> {
    let sessions = sessions::list(&api, caller.user_id, caller.session_id).await?;
    Ok(Json(sessions.into_iter().map(Into::into).collect()))
}

/// End all other sessions
///
/// Signs the caller out everywhere else: the tokens of those sessions are refused from now on and
/// their sockets close. The session that sends this request stays.
#[utoipa::path(
    delete,
    path = "/me/sessions",
    operation_id = "end_other_sessions",
    tag = "Me",
    responses((status = 204, description = "Only the caller's own session is left."))
)]
async fn end_other_sessions(State(api): State<Api>, caller: Caller) -> Result<StatusCode> {
    sessions::end_others(&api, caller.user_id, caller.session_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// End a session
///
/// Its tokens are refused from now on and its sockets close. If it is the caller's own session, the
/// cookie is removed.
#[utoipa::path(
    delete,
    path = "/me/sessions/{session_id}",
    operation_id = "end_session",
    tag = "Me",
    params(("session_id" = SessionId, Path)),
    responses(
        (status = 204, description = "The session has ended.",
            headers(("Set-Cookie" = Option<String>, description = "Removes the cookie, if it was the caller's own session."))),
        (status = 404, description = "`session_not_found` You have no such session."),
    )
)]
async fn end_session(
    State(api): State<Api>,
    origin: Origin,
    caller: Caller,
    Path(session): Path<SessionId>,
) -> Result<Response> {
    if !sessions::end(&api, caller.user_id, session).await? {
        return Err(Code::SessionNotFound.into());
    }
    if session == caller.session_id {
        return Ok(SessionCookie::clear(&origin)?.with(StatusCode::NO_CONTENT));
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}
