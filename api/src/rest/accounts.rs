//! Registering, signing in, renewing, signing out, and the keys that check tokens.

use super::reply::{Origin, SessionCookie, SignedInReply};
use crate::{
    accounts::{
        SignedIn, device,
        limits::{AccountAttempt, admit},
        login::{Login, login},
        refresh::refresh,
        register::{Registration, register},
        sessions,
    },
    error::{Error, Result},
    http::extract::{Json, JsonOrForm},
    rest::caller::Caller,
    state::Api,
};
use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use platform::{credentials::Credential, settings::Secret, token::Jwks};
use protocol::chat::PresenceStatus;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(register_any))
        .routes(routes!(login_any))
        .routes(routes!(register_in_numbers))
        .routes(routes!(login_in_numbers))
        .routes(routes!(renew))
        .routes(routes!(logout))
}

/// Also on the internal listener.
pub(super) fn keys() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(jwks))
}

#[derive(Deserialize, ToSchema)]
struct RegisterBody {
    /// If omitted, the server derives a username from the email. Stored in the form that RFC 8266
    /// prescribes. Unique regardless of case and of look-alike characters. Must not contain `@`.
    #[serde(default, deserialize_with = "given")]
    #[schema(max_length = 32, examples("ann"))]
    username: Option<String>,
    /// `mail` is accepted too. Unique regardless of case.
    #[serde(default, alias = "mail", deserialize_with = "given")]
    #[schema(max_length = 254, examples("ann@example.com"))]
    email: Option<String>,
    /// The display name. Defaults to the username.
    #[serde(default, deserialize_with = "given")]
    #[schema(max_length = 64, examples("Ann"))]
    name: Option<String>,
    #[schema(format = Password, min_length = 8, max_length = 128, examples("password123"))]
    password: String,
}

#[derive(Deserialize, ToSchema)]
struct RegisterUserBody {
    /// Stored in the form that RFC 8266 prescribes. Unique regardless of case and of look-alike
    /// characters. Must not contain `@`.
    #[schema(min_length = 1, max_length = 32, examples("ann"))]
    username: String,
    /// `mail` is accepted too. Unique regardless of case.
    #[serde(alias = "mail")]
    #[schema(min_length = 1, max_length = 254, examples("ann@example.com"))]
    email: String,
    /// The display name. Defaults to the username.
    #[serde(default, deserialize_with = "given")]
    #[schema(max_length = 64, examples("Ann"))]
    name: Option<String>,
    #[schema(format = Password, min_length = 8, max_length = 128, examples("password123"))]
    password: String,
}

/// `username` or `email`, and `password`.
#[derive(Deserialize, ToSchema)]
struct LoginBody {
    /// A username. An email is accepted too, because the OAuth2 form has no other field.
    #[serde(default, deserialize_with = "given")]
    #[schema(examples("ann"))]
    username: Option<String>,
    /// `mail` is accepted too.
    #[serde(default, alias = "mail", deserialize_with = "given")]
    email: Option<String>,
    #[schema(format = Password, examples("password123"))]
    password: String,
}

#[derive(Deserialize, ToSchema)]
struct RefreshBody {
    #[schema(examples("019adf3c5f0a7c1e9a512f6f0c9f4f11.bm90IGEgcmVhbCB0b2tlbg"))]
    refresh_token: String,
}

#[derive(Serialize, ToSchema)]
struct SignedOut {
    #[schema(examples("Signed out"))]
    message: &'static str,
}

/// Clients' forms send empty fields for what was left out.
fn given<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.filter(|text| !text.is_empty()))
}

/// Register
///
/// Requires a username or an email. The response contains tokens, so the new user is signed in.
#[utoipa::path(
    post,
    path = "/register",
    operation_id = "register",
    tag = "Accounts",
    security(()),
    request_body = RegisterBody,
    responses(
        (status = 201, description = "The new user and its tokens.", body = SignedInReply),
        (status = 400, description = "`email_taken` Email already registered \
            `username_taken` Username already registered"),
    )
)]
async fn register_any(
    State(api): State<Api>,
    origin: Origin,
    Json(body): Json<RegisterBody>,
) -> Result<Response> {
    let signed_in = try_register(&api, origin, body).await?;
    let reply = SignedInReply::new(&signed_in, PresenceStatus::Offline);
    Ok((StatusCode::CREATED, Json(reply)).into_response())
}

/// Register with username and email
#[utoipa::path(
    post,
    path = "/users/register",
    operation_id = "register_user",
    tag = "Accounts",
    security(()),
    request_body = RegisterUserBody,
    responses(
        (status = 200, description = "The new user and its tokens.", body = SignedInReply),
        (status = 400, description = "`email_taken` Email already registered \
            `username_taken` Username already registered"),
    )
)]
async fn register_in_numbers(
    State(api): State<Api>,
    origin: Origin,
    Json(body): Json<RegisterUserBody>,
) -> Result<Json<SignedInReply>> {
    let RegisterUserBody { username, email, name, password } = body;
    let (username, email) = (Some(username), Some(email));
    let body = RegisterBody { username, email, name, password };
    let signed_in = try_register(&api, origin, body).await?;
    Ok(Json(SignedInReply::new(&signed_in, PresenceStatus::Offline)))
}

async fn try_register(api: &Api, origin: Origin, body: RegisterBody) -> Result<SignedIn> {
    admit(api, AccountAttempt::RegisterFrom(origin.address)).await?;
    let RegisterBody { username, email, name, password } = body;
    let password = Secret::new(password);
    let language = origin.language();
    let Origin { address: from, user_agent, .. } = origin;
    let registration = Registration { username, email, name, password, user_agent, from, language };
    register(api, registration).await
}

/// Sign in
///
/// Send JSON or the OAuth2 password form, whose other fields are ignored. A page from an origin
/// that is not allowed gets tokens but no cookie. For an account with two-step sign-in the answer is
/// `second_step_required`; its `second_step` is the token for `POST /login/second-step`.
#[utoipa::path(
    post,
    path = "/login",
    operation_id = "login",
    tag = "Accounts",
    security(()),
    request_body(content(
        (LoginBody = "application/json"),
        (LoginBody = "application/x-www-form-urlencoded"),
    )),
    responses(
        (status = 200, description = "The user and the tokens of its new session.",
            body = SignedInReply, headers(("Set-Cookie" = String, description = "The session cookie."))),
        (status = 401, description = "`invalid_credentials` Invalid credentials \
            `second_step_required` This account asks for a code, too. Sign in where you can enter one, such as \
            the page of this server."),
        (status = 403, description = "`blocked` This account is blocked."),
    )
)]
async fn login_any(
    State(api): State<Api>,
    origin: Origin,
    JsonOrForm(body): JsonOrForm<LoginBody>,
) -> Result<Response> {
    try_login(&api, origin, body).await
}

/// Sign in by email
#[utoipa::path(
    post,
    path = "/users/login",
    operation_id = "login_user",
    tag = "Accounts",
    security(()),
    request_body = LoginBody,
    responses(
        (status = 200, description = "The user and the tokens of its new session.",
            body = SignedInReply, headers(("Set-Cookie" = String, description = "The session cookie."))),
        (status = 401, description = "`invalid_credentials` Invalid credentials \
            `second_step_required` This account asks for a code, too. Sign in where you can enter one, such as \
            the page of this server."),
        (status = 403, description = "`blocked` This account is blocked."),
    )
)]
async fn login_in_numbers(
    State(api): State<Api>,
    origin: Origin,
    Json(body): Json<LoginBody>,
) -> Result<Response> {
    try_login(&api, origin, body).await
}

async fn try_login(api: &Api, origin: Origin, body: LoginBody) -> Result<Response> {
    let identity = body.username.or(body.email);
    let identity = identity.ok_or_else(|| Error::field("username", "or email is required"))?;
    // Before anything that costs: the address alone is limited here, `login` limits the name.
    admit(api, AccountAttempt::LoginFrom(origin.address)).await?;
    let password = Secret::new(body.password);
    let attempt = Login {
        identity,
        password,
        user_agent: origin.user_agent.clone(),
        from: origin.address,
        device: origin.device().map(str::to_owned),
    };
    let signed_in = login(api, attempt).await?;
    // Whoever has just signed in is here, even before its socket is.
    let reply = Json(SignedInReply::new(&signed_in, PresenceStatus::Online));
    with_cookie(api, &origin, &signed_in, reply)
}

/// The answer with the session's cookie, unless it is for a page that may not act with one: another
/// site's form could sign its visitor in to somebody else's account.
pub(super) fn with_cookie(
    api: &Api,
    origin: &Origin,
    signed_in: &SignedIn,
    reply: Json<SignedInReply>,
) -> Result<Response> {
    Ok(match origin.takes_cookies(api) {
        true => {
            let answer = SessionCookie::set(api, signed_in, origin)?.with(reply);
            let user = signed_in.user.id;
            let shown = origin.device();
            match shown.and_then(|shown| device::recognize(api, user, shown)) {
                Some(_) => answer,
                None => SessionCookie::introduce(api, user, origin)?.with(answer),
            }
        }
        false => reply.into_response(),
    })
}

/// Renew a session's tokens
///
/// A refresh token can be used once, and the response contains its successor. If the response was
/// lost, the same request returns the same successor for a minute. Using a token later, or after
/// its successor was used, ends the session. A client with a session cookie gets a new cookie.
#[utoipa::path(
    post,
    path = "/token/refresh",
    operation_id = "refresh_token",
    tag = "Accounts",
    security(()),
    request_body = RefreshBody,
    responses(
        (status = 200, description = "The user and new tokens for the same session.",
            body = SignedInReply,
            headers(("Set-Cookie" = Option<String>, description = "A new session cookie, if the client has one."))),
        (status = 401, description = "`invalid_refresh_token` The refresh token is not valid. Sign in again."),
    )
)]
async fn renew(
    State(api): State<Api>,
    origin: Origin,
    headers: HeaderMap,
    Json(body): Json<RefreshBody>,
) -> Result<Response> {
    admit(&api, AccountAttempt::RefreshFrom(origin.address)).await?;
    let signed_in = refresh(&api, Secret::new(body.refresh_token)).await?;
    let reply = Json(SignedInReply::new(&signed_in, PresenceStatus::Online));
    Ok(match Credential::of(&headers) {
        // A client with tokens only must not come to act with a cookie that it never asked for.
        Some(Credential::Cookie(_)) => with_cookie(&api, &origin, &signed_in, reply)?,
        _ => reply.into_response(),
    })
}

/// Sign out
///
/// Ends the session: its tokens are refused from now on, its sockets close, and the cookie is
/// removed.
#[utoipa::path(
    post,
    path = "/logout",
    operation_id = "logout",
    tag = "Accounts",
    responses((status = 200, description = "The session has ended.", body = SignedOut,
        headers(("Set-Cookie" = String, description = "Removes the session cookie."))))
)]
async fn logout(State(api): State<Api>, origin: Origin, caller: Caller) -> Result<Response> {
    sessions::end(&api, caller.user_id, caller.session_id).await?;
    Ok(SessionCookie::clear(&origin)?.with(Json(SignedOut { message: "Signed out" })))
}

/// Get the keys that check access tokens
///
/// A JWK set of Ed25519 keys. Clients may cache it for a minute: a new key is published before it
/// signs anything.
#[utoipa::path(
    get,
    path = "/.well-known/jwks.json",
    operation_id = "get_keys",
    tag = "Documents",
    security(()),
    responses((status = 200, description = "The keys.", body = Jwks))
)]
async fn jwks(State(api): State<Api>) -> Response {
    let headers = [(header::CACHE_CONTROL, "public, max-age=60")];
    (headers, Json(api.tokens.jwks())).into_response()
}
