//! Registering, signing in, renewing, signing out, and the keys that check tokens.

use super::reply::{Origin, SessionCookie, SignedInReply};
use crate::{
    Api,
    accounts::{
        SignedIn,
        limits::{Attempt, admit},
        login::{Login, login},
        refresh::refresh,
        register::{Registration, register},
        sessions,
    },
    auth::Caller,
    extract::{Json, JsonOrForm},
    fault::Result,
};
use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::json;
use shared::{chat::PresenceStatus, credentials::Credential, problem::Problem, settings::Secret};

pub fn routes() -> Router<Api> {
    Router::new()
        .route("/register", post(register_any))
        .route("/login", post(login_any))
        .route("/users/register", post(register_scripnet))
        .route("/users/login", post(login_scripnet))
        .route("/token/refresh", post(renew))
        .route("/logout", post(logout))
}

/// Also on the internal listener.
pub fn keys() -> Router<Api> {
    Router::new().route("/.well-known/jwks.json", get(jwks))
}

#[derive(Deserialize)]
struct RegisterBody {
    #[serde(default, deserialize_with = "given")]
    username: Option<String>,
    #[serde(default, alias = "mail", deserialize_with = "given")]
    email: Option<String>,
    #[serde(default, deserialize_with = "given")]
    name: Option<String>,
    password: String,
}

#[derive(Deserialize)]
struct LoginBody {
    /// A username; an email is taken too, because the OAuth2 form has no other field.
    #[serde(default, deserialize_with = "given")]
    username: Option<String>,
    #[serde(default, alias = "mail", deserialize_with = "given")]
    email: Option<String>,
    password: String,
}

#[derive(Deserialize)]
struct RefreshBody {
    refresh_token: String,
}

/// Clients' forms send empty fields for what was left out.
fn given<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.filter(|text| !text.is_empty()))
}

/// `POST /register` of families C, D and E: 201.
async fn register_any(
    State(api): State<Api>,
    origin: Origin,
    Json(body): Json<RegisterBody>,
) -> Result<Response> {
    let signed_in = try_register(&api, origin, body).await?;
    let reply = SignedInReply::new(&signed_in, PresenceStatus::Offline);
    Ok((StatusCode::CREATED, Json(reply)).into_response())
}

/// `POST /users/register` of family A: 200, and both names are required.
async fn register_scripnet(
    State(api): State<Api>,
    origin: Origin,
    Json(body): Json<RegisterBody>,
) -> Result<Json<SignedInReply>> {
    for (field, value) in [("username", &body.username), ("email", &body.email)] {
        if value.is_none() {
            return Err(Problem::field(field, "is required"));
        }
    }
    let signed_in = try_register(&api, origin, body).await?;
    Ok(Json(SignedInReply::new(&signed_in, PresenceStatus::Offline)))
}

async fn try_register(api: &Api, origin: Origin, body: RegisterBody) -> Result<SignedIn> {
    admit(api, Attempt::RegisterFrom(origin.address)).await?;
    let RegisterBody { username, email, name, password } = body;
    let password = Secret::new(password);
    register(api, Registration { username, email, name, password, user_agent: origin.user_agent })
        .await
}

/// `POST /login` of families C, D and E, as JSON or as the OAuth2 form.
async fn login_any(
    State(api): State<Api>,
    origin: Origin,
    JsonOrForm(body): JsonOrForm<LoginBody>,
) -> Result<Response> {
    try_login(&api, origin, body).await
}

/// `POST /users/login` of family A.
async fn login_scripnet(
    State(api): State<Api>,
    origin: Origin,
    Json(body): Json<LoginBody>,
) -> Result<Response> {
    try_login(&api, origin, body).await
}

async fn try_login(api: &Api, origin: Origin, body: LoginBody) -> Result<Response> {
    let identity = body.username.or(body.email);
    let identity = identity.ok_or_else(|| Problem::field("username", "is required, or email"))?;
    admit(api, Attempt::LoginFrom(origin.address)).await?;
    let password = Secret::new(body.password);
    let signed_in = login(api, Login { identity, password, user_agent: origin.user_agent }).await?;
    let cookie = SessionCookie::set(api, &signed_in, origin.secure)?;
    // Whoever has just signed in is here, even before its socket is.
    Ok(cookie.with(Json(SignedInReply::new(&signed_in, PresenceStatus::Online))))
}

/// `POST /token/refresh`: new tokens for a refresh token, and a new cookie for who has one.
async fn renew(
    State(api): State<Api>,
    origin: Origin,
    headers: HeaderMap,
    Json(body): Json<RefreshBody>,
) -> Result<Response> {
    admit(&api, Attempt::RefreshFrom(origin.address)).await?;
    let signed_in = refresh(&api, Secret::new(body.refresh_token)).await?;
    let reply = Json(SignedInReply::new(&signed_in, PresenceStatus::Online));
    Ok(match Credential::of(&headers) {
        Some(Credential::Cookie(_)) => {
            SessionCookie::set(&api, &signed_in, origin.secure)?.with(reply)
        }
        _ => reply.into_response(),
    })
}

/// `POST /logout`: the session ends, its tokens are refused from now on, its sockets close.
async fn logout(State(api): State<Api>, origin: Origin, caller: Caller) -> Result<Response> {
    sessions::end(&api, caller.user_id, caller.session_id).await?;
    Ok(SessionCookie::clear(origin.secure)?.with(Json(json!({ "message": "Signed out" }))))
}

/// `GET /.well-known/jwks.json`. May be kept for a while: a new key is published before it signs.
async fn jwks(State(api): State<Api>) -> Response {
    let headers = [(header::CACHE_CONTROL, "public, max-age=60")];
    (headers, Json(api.tokens.jwks())).into_response()
}
