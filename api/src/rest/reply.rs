//! The answer to signing in: the user, the tokens and the session cookie. The form of the cookies is here,
//! too, and how signing out clears them.

use super::views::UserView;
use crate::{
    accounts::{SignedIn, device, letters::Language, user::Viewer},
    error::{Error, Result, fault},
    state::Api,
};
use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderValue, header, request::Parts},
    response::{IntoResponse, Response},
};
use platform::{
    credentials::{SESSION_COOKIE, cookies, is_origin_allowed},
    serve::{ClientAddr, Secure},
    settings::Secret,
    token::ACCESS_TOKEN_LIFETIME,
};
use protocol::{chat::PresenceStatus, id::UserId};
use serde::Serialize;
use std::{
    convert::Infallible,
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};
use utoipa::ToSchema;

/// Where a request comes from.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    pub address: IpAddr,
    /// Whether it came over TLS.
    secure: bool,
    pub user_agent: String,
    headers: HeaderMap,
}

impl Origin {
    /// Whether a cookie may be set: not for another site's page.
    pub(super) fn takes_cookies(&self, api: &Api) -> bool {
        is_origin_allowed(&self.headers, &api.config.allowed_origins)
    }

    /// The language that mails which this request causes are written in.
    pub(super) fn language(&self) -> Language {
        let header = self.headers.get(header::ACCEPT_LANGUAGE);
        Language::wanted(header.and_then(|value| value.to_str().ok()).unwrap_or_default())
    }

    /// What the device shows of having signed in before, where its page may act with cookies.
    pub(super) fn device(&self) -> Option<&str> {
        cookies(&self.headers, DEVICE_COOKIE).next()
    }
}

impl<S: Sync> FromRequestParts<S> for Origin {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let agent = parts.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
        let address = parts.extensions.get::<ClientAddr>().map(|client| client.0);
        Ok(Self {
            // Our listeners always tell; without one of them there is no client to tell apart.
            address: address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            secure: parts.extensions.get::<Secure>().is_some_and(|secure| secure.0),
            user_agent: agent.unwrap_or_default().to_owned(),
            headers: parts.headers.clone(),
        })
    }
}

/// The fields that the clients of all dialects expect after registering and signing in.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SignedInReply {
    #[serde(flatten)]
    user: UserView,
    /// Send this in `Authorization: Bearer`.
    #[schema(examples("eyJhbGciOiJFZERTQSJ9.eyJzdWIiOjd9.c2lnbmF0dXJl"))]
    access_token: String,
    /// Always `bearer`.
    #[schema(examples("bearer"))]
    token_type: &'static str,
    /// Seconds until the access token expires.
    #[schema(examples(900))]
    expires_in: u64,
    /// Use this once with `POST /token/refresh`.
    #[schema(examples("019adf3c5f0a7c1e9a512f6f0c9f4f11.bm90IGEgcmVhbCB0b2tlbg"))]
    refresh_token: String,
}

impl SignedInReply {
    pub(super) fn new(signed_in: &SignedIn, status: PresenceStatus) -> Self {
        Self {
            user: signed_in.user.clone().view(status, Viewer::Trusted).into(),
            access_token: signed_in.tokens.access.reveal().to_owned(),
            token_type: "bearer",
            expires_in: ACCESS_TOKEN_LIFETIME.as_secs(),
            refresh_token: signed_in.tokens.refresh.reveal().to_owned(),
        }
    }
}

/// Shows that a device has signed in before, see [`device`].
const DEVICE_COOKIE: &str = "device";

/// As long as browsers keep a cookie.
const DEVICE_LIFETIME: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// `Set-Cookie` for a session, or for the device that it is on. No name begins with `__Host-`: browsers take
/// such a cookie over TLS only, so it would need a second name for machines without TLS. What the prefix
/// keeps out, a cookie set by a neighbor under the same domain, signs nobody in but the neighbor.
#[derive(Debug)]
pub(super) struct SessionCookie(HeaderValue);

impl SessionCookie {
    /// Holds the session's cookie token, as long as the session lives.
    pub(super) fn set(api: &Api, signed_in: &SignedIn, origin: &Origin) -> Result<Self> {
        Self::hold(api, &signed_in.tokens.cookie, origin)
    }

    /// Holds this token, as long as the session lives.
    pub(super) fn hold(api: &Api, token: &Secret, origin: &Origin) -> Result<Self> {
        Self::new(SESSION_COOKIE, token.reveal(), api.config.session_lifetime, origin)
    }

    /// Makes the device known as one that has signed in as this user.
    pub(super) fn introduce(api: &Api, user: UserId, origin: &Origin) -> Result<Self> {
        let device = device::introduce(api, user).ok_or_else(Error::internal)?;
        Self::new(DEVICE_COOKIE, device.reveal(), DEVICE_LIFETIME, origin)
    }

    /// Takes it away.
    pub(super) fn clear(origin: &Origin) -> Result<Self> {
        Self::new(SESSION_COOKIE, "", Duration::ZERO, origin)
    }

    /// `Secure` over TLS only: browsers refuse such a cookie from a machine without TLS.
    fn new(name: &str, value: &str, age: Duration, origin: &Origin) -> Result<Self> {
        let age = age.as_secs();
        let secure = if origin.secure { "; Secure" } else { "" };
        let text = format!("{name}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite=Lax{secure}");
        let mut value = HeaderValue::try_from(text).map_err(fault)?;
        value.set_sensitive(true);
        Ok(Self(value))
    }

    /// The answer with the cookie.
    pub(super) fn with(self, answer: impl IntoResponse) -> Response {
        let mut response = answer.into_response();
        response.headers_mut().append(header::SET_COOKIE, self.0);
        response
    }
}
