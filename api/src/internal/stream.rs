//! Gateways' streams: takes over the connection of an upgrade, and answers the calls on it, each by itself. What the
//! frames mean is in [`protocol::stream`]; what a call does, its service knows.

use crate::{
    error::{Error, Result},
    http::Surroundings,
    state::Api,
};
use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{MethodRouter, get},
};
use bytes::Bytes;
use hyper::upgrade::OnUpgrade;
use platform::{
    problem::Problem,
    serve::{Place, take_over},
    stream::{StreamReader, StreamWriter, split},
};
use protocol::stream::{
    self, BadBody, FailedBody, FrameHead, FrameKind, MAX_IN_FLIGHT, PROTOCOL, VERSION,
    VERSION_HEADER,
    post::{PostBody, PostedBody},
};
use std::{sync::Arc, time::Duration};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A stream without a call for this long ends, as an idle connection does: its gateway may be gone. A frame must
/// come whole within it.
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);

/// An answer that the gateway does not take for this long breaks the stream: the gateway gives up a call sooner.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a gateway may still call after it was told goodbye. It reads that at once, and what it sent before
/// arrives within this time or never.
const GOODBYE_TIME: Duration = Duration::from_secs(2);

/// The route of the upgrade.
pub(super) fn route(surroundings: Surroundings) -> MethodRouter<Api> {
    get(move |State(api): State<Api>, request: Request| async move {
        upgrade(api, surroundings, request)
    })
}

fn upgrade(api: Api, surroundings: Surroundings, mut request: Request) -> Response {
    let asks = asks_for_stream(request.headers());
    let parts = (
        request.extensions_mut().remove::<OnUpgrade>(),
        request.extensions_mut().remove::<Place>(),
    );
    let (true, (Some(on_upgrade), Some(place))) = (asks, parts) else { return not_a_stream() };
    let lifecycle = api.lifecycle.clone();
    lifecycle.spawn(async move {
        // The socket is free once the response is written. The gateway may go away before.
        let Some((socket, read_ahead)) = take_over(on_upgrade).await else { return };
        let (reader, writer) = split(socket, &read_ahead, surroundings.body_limit);
        let stream = GatewayStream { api, surroundings, writer };
        metrics::gauge!("internal_streams").increment(1);
        Arc::new(stream).serve(reader).await;
        metrics::gauge!("internal_streams").decrement(1);
        drop(place);
    });
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static(PROTOCOL));
    response
}

/// Whether the request is an upgrade to a stream of our version.
fn asks_for_stream(headers: &HeaderMap) -> bool {
    let is = |name: &str, value: &str| headers.get(name).is_some_and(|found| found == value);
    is("upgrade", PROTOCOL) && is(VERSION_HEADER, VERSION)
}

fn not_a_stream() -> Response {
    let detail = format!("Upgrade to {PROTOCOL}, version {VERSION}, or call by HTTP.");
    let problem = Problem::new(StatusCode::UPGRADE_REQUIRED, "upgrade_required", detail);
    let mut response = problem.into_response();
    response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static(PROTOCOL));
    response
}

/// One gateway's stream.
struct GatewayStream {
    api: Api,
    surroundings: Surroundings,
    writer: StreamWriter,
}

impl GatewayStream {
    /// Takes calls until the gateway ends the stream, or breaks it, or is silent. At the soft stop it says goodbye,
    /// and takes what the gateway sent before it read that. The calls go on by themselves.
    async fn serve(self: Arc<Self>, mut reader: StreamReader) {
        let soft_stop = self.api.lifecycle.soft_stop().clone();
        let places = Arc::new(Semaphore::new(MAX_IN_FLIGHT));
        let mut silence = IDLE_TIMEOUT;
        loop {
            let Some(place) = place(&places).await else { return };
            let frame = tokio::select! {
                frame = tokio::time::timeout(silence, reader.read()) => frame,
                () = soft_stop.cancelled(), if silence == IDLE_TIMEOUT => {
                    silence = GOODBYE_TIME;
                    self.write(stream::frame(FrameKind::Goodbye, 0, &())).await;
                    continue;
                }
                () = self.writer.broken() => return,
            };
            match frame {
                Ok(Ok(Some((FrameHead { kind: FrameKind::Post, call, .. }, body)))) => {
                    let stream = Arc::clone(&self);
                    self.api.lifecycle.spawn(stream.answer(call, body, place));
                }
                Ok(Ok(Some((head, _)))) => {
                    tracing::warn!(?head, "a gateway sent no call: its stream ends");
                    return;
                }
                Ok(Err(error)) => {
                    tracing::warn!(%error, "a gateway's stream ends");
                    return;
                }
                // The end, or silence.
                Ok(Ok(None)) | Err(_) => return,
            }
        }
    }

    async fn answer(self: Arc<Self>, call: u64, body: Bytes, _place: OwnedSemaphorePermit) {
        let answered = self.post(call, &body).await;
        let frame = answered.unwrap_or_else(|error| {
            let problem = Problem::from(error);
            let failed = FailedBody { status: problem.status.as_u16(), why: &problem.detail };
            stream::frame(FrameKind::Failed, call, &failed)
        });
        self.write(frame).await;
    }

    /// The frame of the answer to a call of `post`.
    async fn post(&self, call: u64, body: &[u8]) -> Result<Result<Vec<u8>, BadBody>> {
        let unreadable = |error: BadBody| Error::field("body", error.to_string());
        let request: PostBody<'_> = stream::read(body).map_err(unreadable)?;
        let work = super::post(&self.api, request.call());
        let posted =
            self.surroundings.around_call("/internal/post", request.traceparent, work).await?;
        Ok(stream::frame(FrameKind::Posted, call, &PostedBody::new(&posted)))
    }

    async fn write(&self, frame: Result<Vec<u8>, BadBody>) {
        let written = match frame {
            Ok(frame) => tokio::time::timeout(WRITE_TIMEOUT, self.writer.write(&frame)).await,
            Err(error) => {
                tracing::error!(%error, "cannot encode an answer");
                self.writer.give_up();
                return;
            }
        };
        // A gateway that went away meanwhile repeats the call, and gets the same answer.
        if !matches!(written, Ok(Ok(()))) {
            self.writer.give_up();
        }
    }
}

/// A place for a call; waits, and so stops reading, while there are as many calls as there may be.
async fn place(places: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    if let Ok(place) = Arc::clone(places).try_acquire_owned() {
        return Some(place);
    }
    metrics::counter!("internal_stream_waits_total").increment(1);
    Arc::clone(places).acquire_owned().await.ok()
}
