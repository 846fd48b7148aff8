//! From an HTTP request to a WebSocket: the routes of the public listener, the handshake, and where
//! the token was presented. A refusal that concerns the socket is a close code after the upgrade,
//! because browsers hide HTTP errors of an upgrade from their pages.

use crate::{
    Gateway,
    connection::{self, Begin},
    dialect::Window,
    family,
    socket::Socket,
};
use axum::{
    Router,
    body::Body,
    extract::{Query, Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, Version, header},
    response::{IntoResponse, Response},
};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use shared::{
    close::Close,
    credentials::{Credential, origin_allowed},
    problem::Problem,
    serve::{ClientAddr, Place},
};
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{Bytes, handshake::derive_accept_key};

/// The routes of the public listener.
pub fn router(gateway: Arc<Gateway>) -> Router {
    Router::new()
        // One handler for all: which window a path opens is written in one place.
        .fallback(upgrade)
        .with_state(gateway)
}

/// The query of an upgrade. It must not reach a log.
#[derive(serde::Deserialize)]
struct Presented {
    token: Option<String>,
}

async fn upgrade(
    State(gateway): State<Arc<Gateway>>,
    query: Result<Query<Presented>, axum::extract::rejection::QueryRejection>,
    mut request: Request,
) -> Response {
    let Some(window) = Window::from_path(request.uri().path()) else {
        return no_window().into_response();
    };
    let Some(key) = accept_key(&request) else {
        return not_an_upgrade();
    };
    let parts = (
        request.extensions_mut().remove::<OnUpgrade>(),
        request.extensions_mut().remove::<Place>(),
        request.extensions_mut().remove::<ClientAddr>(),
    );
    let (Some(on_upgrade), Some(place), Some(address)) = parts else {
        return not_an_upgrade();
    };
    let query = query.ok().and_then(|Query(presented)| presented.token);
    let presented = presented(request.headers(), query, &gateway.allowed_origins);
    let ClientAddr(address) = address;
    let Some(stranger) = gateway.strangers.admit(address) else { return crowded() };
    let begin = match (presented, window) {
        (Ok(token), Window::Native) => Ok(Begin::Hello(token, stranger)),
        (Ok(token), _) => {
            // Boxed, because most upgrades are native and need none of its memory.
            let opened = Box::pin(family::open(&gateway, window, token, address, stranger)).await;
            opened.map(|opened| Begin::Opened(Box::new(opened)))
        }
        (Err(close), _) => Err(close),
    };
    let running = Arc::clone(&gateway);
    gateway.lifecycle.spawn(async move {
        let Some((stream, read_ahead)) = take_over(on_upgrade).await else { return };
        let socket = Box::new(Socket::new(stream, read_ahead, &running.hub.config).await);
        // A task of its own: this one's memory is as large as all its steps together need.
        let lifecycle = running.lifecycle.clone();
        lifecycle.spawn(connection::run(running, socket, begin, place));
    });
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, key);
    response
}

/// The answer to the client's key, when the request is an upgrade to a WebSocket (RFC 6455, 4.2.1).
fn accept_key(request: &Request) -> Option<HeaderValue> {
    let headers = request.headers();
    let has = |name: header::HeaderName, word: &str| {
        headers
            .get_all(name)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .any(|value| value.split(',').any(|part| part.trim().eq_ignore_ascii_case(word)))
    };
    let is_upgrade = request.method() == Method::GET
        && request.version() == Version::HTTP_11
        && has(header::CONNECTION, "upgrade")
        && has(header::UPGRADE, "websocket")
        && has(header::SEC_WEBSOCKET_VERSION, "13");
    let key = headers.get(header::SEC_WEBSOCKET_KEY).filter(|_| is_upgrade)?;
    HeaderValue::from_str(&derive_accept_key(key.as_bytes())).ok()
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
    response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    response
}

/// Too many sockets of the client's network wait to be known. Told before the upgrade, as the listener
/// does when it is full: what this guards against is what an upgrade costs.
fn crowded() -> Response {
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

/// The token that came with the upgrade: header, else query, else cookie from an allowed page.
fn presented(
    headers: &HeaderMap,
    query: Option<String>,
    allowed_origins: &[String],
) -> Result<Option<String>, Close> {
    match (Credential::of(headers), query) {
        (Some(Credential::Bearer(token)), _) => Ok(Some(token.to_owned())),
        (_, Some(token)) => Ok(Some(token)),
        (Some(Credential::Cookie(token)), None) => {
            if origin_allowed(headers, allowed_origins) {
                Ok(Some(token.to_owned()))
            } else {
                Err(Close::WrongOrigin)
            }
        }
        (None, None) => Ok(None),
    }
}

/// The bare stream below the HTTP connection, and what was read beyond the request.
async fn take_over(on_upgrade: OnUpgrade) -> Option<(TcpStream, Bytes)> {
    let upgraded: Upgraded = on_upgrade.await.ok()?;
    let parts = upgraded.downcast::<TokioIo<TcpStream>>().ok()?;
    Some((parts.io.into_inner(), parts.read_buf))
}
