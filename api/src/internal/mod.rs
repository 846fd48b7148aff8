//! The calls gateways make: over HTTP and streams with a shared secret, or directly in one process. What each
//! promises is written at its types in [`protocol::calls`]. Who calls is trusted to have checked the
//! users' tokens, and nothing more. Each call checks how long its list is and hands over to the service, again if the
//! database asks for that.
//!
//! - `stream.rs`: `post` over streams

mod stream;

use crate::{
    accounts::guests,
    chats::{changed, dormant, events, marks, opening, peers, post, view},
    conflict,
    error::{Error, Result},
    http::{Surroundings, extract::Json},
    state::Api,
};
use axum::{
    Router,
    extract::{Request, State},
    http::header,
    middleware::{self, Next},
    response::Response,
    routing,
};
use platform::settings::Secret;
use protocol::{
    calls::{
        Changed, ChangedFound, Dormant, DormantMarked, Events, EventsFound, Guests, GuestsFound,
        MarkRead, Open, Opened, Peers, PeersFound, Post, Posted, View, Viewed,
    },
    code::Code,
    limits::MAX_BATCH,
    stream::PATH,
};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use subtle::ConstantTimeEq;

/// The internal listener's calls. Each needs `Authorization: Bearer` with one of these secrets. `surroundings` are
/// those of calls by stream, too.
pub(crate) fn router(secrets: &[Secret], surroundings: Surroundings) -> Router<Api> {
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
        .route("/internal/read", routing::post(read_marks))
        .route("/internal/events", call!(events))
        .route("/internal/changed", call!(changed))
        .route("/internal/dormant", call!(dormant))
        .route("/internal/view", call!(view))
        .route("/internal/peers", call!(peers))
        .route("/internal/guests", call!(guests))
        .route(PATH, stream::route(surroundings))
        .layer(middleware::from_fn(move |request: Request, next: Next| {
            check_secret(Arc::clone(&expected), request, next)
        }))
}

/// Which sessions may open, and their users' chats.
pub async fn open(api: &Api, request: Open) -> Result<Opened> {
    check_batch("sessions", request.sessions.len())?;
    conflict::repeat(|| opening::open(api, request.clone())).await
}

/// Carries commands out in order.
pub async fn post(api: &Api, request: Post) -> Result<Posted> {
    check_batch("commands", request.commands.len())?;
    conflict::repeat(|| post::post(api, &request)).await
}

/// What was missed in ranges of chats.
pub async fn events(api: &Api, request: Events) -> Result<EventsFound> {
    check_batch("ranges", request.ranges.len())?;
    conflict::repeat(|| events::events(api, request.clone())).await
}

/// Chats as users may watch them.
pub async fn view(api: &Api, request: View) -> Result<Viewed> {
    check_batch("chats", request.chats.len())?;
    conflict::repeat(|| view::view(api, request.clone())).await
}

/// Marks chats dormant for users.
pub async fn dormant(api: &Api, request: Dormant) -> Result<DormantMarked> {
    check_batch("chats", request.chats.len())?;
    conflict::repeat(|| dormant::dormant(api, request.clone())).await
}

/// The private chats of pairs of users.
pub async fn peers(api: &Api, request: Peers) -> Result<PeersFound> {
    check_batch("pairs", request.pairs.len())?;
    conflict::repeat(|| peers::peers(api, request.clone())).await
}

/// The guests of these names.
pub async fn guests(api: &Api, request: Guests) -> Result<GuestsFound> {
    check_batch("names", request.names.len())?;
    conflict::repeat(|| guests::guests(api, request.clone())).await
}

async fn read_marks(
    State(api): State<Api>,
    Json(request): Json<MarkRead>,
) -> Result<Json<serde_json::Value>> {
    mark_read(&api, request).await?;
    // Every answer is an object, so that something may be added to it.
    Ok(Json(serde_json::json!({})))
}

/// Moves read marks.
pub async fn mark_read(api: &Api, request: MarkRead) -> Result<()> {
    check_batch("marks", request.marks.len())?;
    conflict::repeat(|| marks::mark_read(api, request.clone())).await
}

/// What happened lately.
pub async fn changed(api: &Api, request: Changed) -> Result<ChangedFound> {
    conflict::repeat(|| changed::changed(api, request.clone())).await
}

/// Every list of a call is bounded.
fn check_batch(name: &str, items: usize) -> Result<()> {
    if items > MAX_BATCH {
        return Err(Error::field(name, format!("has more than {MAX_BATCH} items")));
    }
    Ok(())
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
