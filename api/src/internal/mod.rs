//! The calls gateways make: over HTTP with a shared secret, or directly in one process. What each
//! promises is written at its types in [`shared::internal`]. Who calls is trusted to have checked the
//! users' tokens, and nothing more.

pub use crate::{
    accounts::guests::guests,
    chats::{
        changed::changed,
        dormant::dormant,
        events::{events, events_with_limit},
        opening::open,
        peers::peers,
        post::post,
        read::mark_read,
        view::view,
    },
};

use crate::{
    Api,
    code::Code,
    error::{Error, Result},
    http::extract::Json,
};
use axum::{
    Router,
    extract::{Request, State},
    http::header,
    middleware::{self, Next},
    response::Response,
    routing,
};
use sha2::{Digest, Sha256};
use shared::{internal::MAX_BATCH, settings::Secret};
use std::sync::Arc;
use subtle::ConstantTimeEq;

/// The internal listener's calls. Each needs `Authorization: Bearer` with one of these secrets.
pub fn router(secrets: &[Secret]) -> Router<Api> {
    macro_rules! call {
        ($call:path) => {
            routing::post(|State(api): State<Api>, Json(request): Json<_>| async move {
                $call(&api, request).await.map(Json)
            })
        };
    }
    // Hashes have one length, so comparing them tells nothing about the secret's.
    let expected: Arc<[[u8; 32]]> =
        secrets.iter().map(|secret| Sha256::digest(secret.reveal()).into()).collect();
    Router::new()
        .route("/internal/open", call!(open))
        .route("/internal/post", call!(post))
        .route("/internal/read", call!(mark_read))
        .route("/internal/events", call!(events))
        .route("/internal/changed", call!(changed))
        .route("/internal/dormant", call!(dormant))
        .route("/internal/view", call!(view))
        .route("/internal/peers", call!(peers))
        .route("/internal/guests", call!(guests))
        .layer(middleware::from_fn(move |request: Request, next: Next| {
            check_secret(Arc::clone(&expected), request, next)
        }))
}

async fn check_secret(expected: Arc<[[u8; 32]]>, request: Request, next: Next) -> Result<Response> {
    let given = request.headers().get(header::AUTHORIZATION);
    let given = given.and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    let given: [u8; 32] = Sha256::digest(given.unwrap_or_default()).into();
    if expected.iter().any(|expected| bool::from(given.ct_eq(expected))) {
        return Ok(next.run(request).await);
    }
    Err(Error::new(
        Code::Unauthenticated,
        "Internal calls need the INTERNAL_TOKEN that the api was started with.",
    ))
}

/// Every list of a call is bounded.
pub(crate) fn check_batch(name: &str, items: usize) -> Result<()> {
    if items > MAX_BATCH {
        return Err(Error::field(name, format!("has more than {MAX_BATCH} items")));
    }
    Ok(())
}
