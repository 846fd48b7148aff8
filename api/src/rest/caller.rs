//! Who makes a request: extractors that check the token, its session and, for cookies, the page that the
//! request comes from. The services decide what the caller may do.

use crate::{
    accounts::{Actor, user},
    auth::ended::{Standing, look_up},
    error::{Error, Result},
    state::Api,
};
use axum::{
    extract::FromRequestParts,
    http::{Method, request::Parts},
};
use platform::{
    credentials::{Credential, is_origin_allowed},
    token::TokenError,
};
use protocol::{
    account::Role,
    code::Code,
    id::{SessionId, UserId},
    relay::EndReason,
    time::Timestamp,
};
use std::time::Duration;

/// A signed-in user. As an argument of a route: 401 without a good token, 403 for a blocked user
/// and for a cookie sent by another site's page.
#[derive(Debug, Clone)]
pub struct Caller {
    pub user_id: UserId,
    pub session_id: SessionId,
    pub username: String,
    /// As the database has it now: a token lives longer than a right may.
    pub role: Role,
    /// How old the cookie is that shows all this; `None`: it was a Bearer token.
    pub cookie_age: Option<Duration>,
}

impl From<&Caller> for Actor {
    fn from(caller: &Caller) -> Self {
        Self { user_id: caller.user_id, role: caller.role }
    }
}

/// A [`Caller`] who is an administrator; 403 for others.
#[derive(Debug, Clone)]
pub(crate) struct Admin(pub Caller);

impl FromRequestParts<Api> for Caller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self> {
        let credential = Credential::of(&parts.headers).ok_or(Code::Unauthenticated)?;
        let by_cookie = matches!(credential, Credential::Cookie(_));
        let now = Timestamp::now();
        let claims =
            api.tokens.verifier().verify(credential.token(), now).map_err(|error| match error {
                TokenError::Expired => Code::TokenExpired,
                // Cookies know no ports: it is of another deployment on the same host.
                TokenError::UnknownKey if by_cookie => Code::Unauthenticated,
                TokenError::Malformed
                | TokenError::UnknownKey
                | TokenError::BadSignature
                | TokenError::Early => Code::InvalidToken,
            })?;
        if by_cookie
            && !parts.method.is_safe()
            && !is_origin_allowed(&parts.headers, &api.config.allowed_origins)
        {
            return Err(Code::WrongOrigin.into());
        }
        let standing = match api.ended.standing(claims.sid, claims.iat, now) {
            Standing::Unknown => look_up(api.db.home(), claims.sid).await?,
            known => known,
        };
        match standing {
            Standing::Live => {}
            Standing::Ended(EndReason::Blocked) => return Err(Code::Blocked.into()),
            Standing::Ended(_) | Standing::Unknown => return Err(Code::SessionEnded.into()),
        }
        Ok(Self {
            user_id: claims.sub,
            session_id: claims.sid,
            username: claims.name,
            cookie_age: by_cookie.then(|| {
                let seconds = now.unix_seconds().saturating_sub(claims.iat);
                Duration::from_secs(u64::try_from(seconds).unwrap_or_default())
            }),
            role: match claims.role {
                Role::User => Role::User,
                Role::Admin => user::role(api.db.home(), claims.sub).await?,
            },
        })
    }
}

impl FromRequestParts<Api> for Admin {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self> {
        let caller = Caller::from_request_parts(parts, api).await?;
        if caller.role == Role::Admin { Ok(Self(caller)) } else { Err(Code::AdminOnly.into()) }
    }
}

/// Somebody who reads the lobby: a [`Caller`], or with guest access on also somebody without any
/// credentials of ours. Bad ones are refused all the same: who sends some believes to be signed in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Visitor;

impl FromRequestParts<Api> for Visitor {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self> {
        match Caller::from_request_parts(parts, api).await {
            Err(error) if api.config.guests && error.code == Code::Unauthenticated => Ok(Self),
            caller => caller.map(|_| Self),
        }
    }
}

/// A request that changes something although it is a GET: by Bearer token only, 401 with the cookie.
/// Browsers send the cookie along with a GET from any page's link or image, and no `Origin` with it.
/// 405 for HEAD, which comes to every GET's handler and asks for nothing to happen. Stands before the
/// [`Caller`] in a route's arguments.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NoCookie;

impl<S: Sync> FromRequestParts<S> for NoCookie {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        if parts.method == Method::HEAD {
            return Err(Error::new(
                Code::MethodNotAllowed,
                "This request changes something: send it as GET or POST.",
            ));
        }
        match Credential::of(&parts.headers) {
            Some(Credential::Cookie(_)) => Err(Code::BearerOnly.into()),
            _ => Ok(Self),
        }
    }
}
