//! Takes the cost of a request from its caller's allowance before the request is read any further. The
//! answer tells what is left, in the `RateLimit` fields of draft-ietf-httpapi-ratelimit-headers-11. Each
//! account has an allowance of its own, wherever its requests come from; requests without an account share
//! one for each network. The costs themselves are in [`super::costs`].

use super::costs::{Asker, cost};
use crate::{error::Error, state::Api};
use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderName, HeaderValue, Method},
    middleware::Next,
    response::{IntoResponse, Response},
};
use platform::{
    credentials::Credential,
    limit::{LimitAnswer, Rate, network, seconds},
    serve::ClientAddr,
    token::Claims,
};
use protocol::time::Timestamp;
use std::net::{IpAddr, Ipv4Addr};

/// What a caller may do at all.
pub(super) const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// What of that is left.
pub(super) const LEFT: HeaderName = HeaderName::from_static("ratelimit");

/// Around each route, which is known by then. One question to the limiter.
pub(super) async fn limit(State(api): State<Api>, request: Request, next: Next) -> Response {
    // A browser's question before a request of another origin; it cannot show an account.
    if request.method() == Method::OPTIONS {
        return next.run(request).await;
    }
    let claims = account(&api, &request);
    let asker = if claims.is_some() { Asker::Account } else { Asker::Nobody };
    let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let Some(cost) = cost(request.method(), route, request.uri(), asker) else {
        return next.run(request).await;
    };
    let (name, key, rate) = match claims {
        Some(claims) => ("account", format!("rest:{}", claims.sub), api.config.requests),
        None => {
            let key = format!("rest:from:{}", network(address(&request)));
            ("network", key, api.config.requests_without_account)
        }
    };
    let taken = api.limiter.try_take_many(&key, &rate, cost).await;
    let mut response = match taken.result {
        Ok(()) => next.run(request).await,
        Err(wait) => {
            metrics::counter!("limit_refused_total", "kind" => name).increment(1);
            Error::too_many(seconds(wait)).into_response()
        }
    };
    for (header, text) in [(POLICY, policy(name, &rate)), (LEFT, left(name, &taken))] {
        if let Ok(value) = HeaderValue::try_from(text) {
            response.headers_mut().insert(header, value);
        }
    }
    response
}

/// Whose token this is. Whether its session has ended is found out later; until then it costs the
/// account what it costs.
fn account(api: &Api, request: &Request) -> Option<Claims> {
    let token = Credential::of(request.headers())?.token();
    api.tokens.verifier().verify(token, Timestamp::now()).ok()
}

/// Our listeners always tell; without one of them there is no client to tell apart.
fn address(request: &Request) -> IpAddr {
    let client = request.extensions().get::<ClientAddr>();
    client.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |client| client.0)
}

/// Who takes no more than `q` in any `w` seconds is never refused.
fn policy(name: &str, rate: &Rate) -> String {
    let window = seconds(rate.per.saturating_mul(rate.burst)).max(1);
    format!("\"{name}\";q={};w={window}", rate.burst)
}

/// After `t` seconds everything is there again.
fn left(name: &str, taken: &LimitAnswer) -> String {
    format!("\"{name}\";r={};t={}", taken.left, seconds(taken.full_in))
}
