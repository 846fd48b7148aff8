//! Turns an HTTP request into a WebSocket: the routes of the public listener and the handshake. A refusal that
//! concerns the client is a close code after the upgrade, because browsers hide HTTP errors of an upgrade from
//! their pages. `connection/` runs the socket.

use crate::{
    connection::{
        self, Begin,
        opening::older,
        upgrade_credential::{UpgradeCredential, header_parts, offers},
    },
    dialect::Window,
    state::Gateway,
    wire::socket::Socket,
};
use axum::{
    Router,
    body::Body,
    extract::{Query, Request, State},
    http::{HeaderValue, Method, StatusCode, Version, header},
    response::{IntoResponse, Response},
};
use base64::{
    Engine, alphabet,
    engine::{GeneralPurpose, GeneralPurposeConfig},
};
use hyper::upgrade::OnUpgrade;
use platform::{
    problem::Problem,
    serve::{ClientAddr, Place, take_over},
};
use std::sync::Arc;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// The subprotocol that a client may offer. Browsers fail a handshake whose answer selects none of the offered
/// ones.
const SUBPROTOCOL: &str = "switchboard";

/// The decoder of keys. It accepts any value of the unused bits at the end, as RFC 6455's own example (1.2) needs.
const KEY: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// The routes of the public listener.
pub fn router(gateway: Arc<Gateway>) -> Router {
    Router::new()
        // One handler for all paths, because `Window::from_path` alone knows them.
        .fallback(upgrade)
        .with_state(gateway)
}

/// The query of an upgrade. It holds a secret and must not reach a log.
#[derive(serde::Deserialize)]
struct TokenQuery {
    token: Option<String>,
}

async fn upgrade(
    State(gateway): State<Arc<Gateway>>,
    query: Result<Query<TokenQuery>, axum::extract::rejection::QueryRejection>,
    mut request: Request,
) -> Response {
    let Some(window) = Window::from_path(request.uri().path()) else {
        return no_window().into_response();
    };
    let key = match accept_key(&request) {
        Ok(key) => key,
        Err(refused) => return *refused,
    };
    let parts = (
        request.extensions_mut().remove::<OnUpgrade>(),
        request.extensions_mut().remove::<Place>(),
        request.extensions_mut().remove::<ClientAddr>(),
    );
    let (Some(on_upgrade), Some(place), Some(address)) = parts else {
        return not_an_upgrade();
    };
    let query = query.ok().and_then(|Query(TokenQuery { token })| token);
    let credential = UpgradeCredential::of(request.headers(), query, &gateway.allowed_origins);
    let subprotocol =
        offers(request.headers()).any(|offer| offer == SUBPROTOCOL).then_some(SUBPROTOCOL);
    let ClientAddr(address) = address;
    let Some(stranger) = gateway.strangers.admit(address) else { return too_many_strangers() };
    let begin = match window {
        Window::Native => Ok(Begin::Hello(credential, stranger)),
        _ => {
            // Boxed, because most upgrades are native and should not hold the memory of this one.
            let opened = older::open(&gateway, window, credential, address, stranger);
            let opened = Box::pin(opened).await;
            opened.map(|opened| Begin::Opened(Box::new(opened)))
        }
    };
    let running = Arc::clone(&gateway);
    gateway.lifecycle.spawn(async move {
        // The stream is free once the response is written. The client may go away before.
        let Some((stream, read_ahead)) = take_over(on_upgrade).await else { return };
        let loan = running.credit.loan(address);
        let socket = Socket::new(stream, &read_ahead, &running.hub.config, loan);
        // In a task of its own, because this one keeps the memory of its own steps until it ends.
        let lifecycle = running.lifecycle.clone();
        lifecycle.spawn(connection::run(running, socket, begin, place));
    });
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, key);
    if let Some(subprotocol) = subprotocol {
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(subprotocol));
    }
    response
}

/// The answer to the client's key, if the request is an upgrade to a WebSocket (RFC 6455, 4.2.1). Otherwise the
/// error is the response.
fn accept_key(request: &Request) -> Result<HeaderValue, Box<Response>> {
    let headers = request.headers();
    let has = |name: header::HeaderName, word: &str| {
        header_parts(headers, &name).any(|part| part.eq_ignore_ascii_case(word))
    };
    let is_upgrade = request.method() == Method::GET
        && request.version() == Version::HTTP_11
        && has(header::CONNECTION, "upgrade")
        && has(header::UPGRADE, "websocket")
        && has(header::SEC_WEBSOCKET_VERSION, "13");
    if !is_upgrade {
        return Err(Box::new(not_an_upgrade()));
    }
    headers
        .get(header::SEC_WEBSOCKET_KEY)
        .filter(|key| KEY.decode(key).is_ok_and(|key| key.len() == 16))
        .and_then(|key| HeaderValue::from_str(&derive_accept_key(key.as_bytes())).ok())
        .ok_or_else(|| Box::new(bad_key().into_response()))
}

fn no_window() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "not_found",
        "There is no WebSocket here. Connect to /gateway, /ws, /ws/chat, /ws/{chat_id} or \
         /messages/{user_id}.",
    )
}

fn not_an_upgrade() -> Response {
    let problem = Problem::new(
        StatusCode::UPGRADE_REQUIRED,
        "upgrade_required",
        "This is a WebSocket: connect with a WebSocket client, version 13.",
    );
    let mut response = problem.into_response();
    let headers = response.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    response
}

fn bad_key() -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "bad_websocket_key",
        "Sec-WebSocket-Key must be 16 bytes in base64.",
    )
}

/// The response if the client's network has too many strangers. Refuses before the upgrade, as a full listener
/// does, because the cost of upgrades is what this limit guards against.
fn too_many_strangers() -> Response {
    metrics::counter!("gateway_openings_total", "result" => "refused").increment(1);
    let problem = Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "overloaded",
        "Too many sockets of your network have not said who they are. Come back a little later.",
    );
    let mut response = problem.into_response();
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    response
}
