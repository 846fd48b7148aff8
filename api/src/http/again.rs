//! People's requests whose transaction got into another one's way are carried out again: see `conflict`. A request is
//! read once, and kept while it is short.

use crate::conflict::{Tries, watched};
use axum::{
    body::{Body, BodyDataStream, HttpBody as _},
    extract::Request,
    middleware::Next,
    response::Response,
};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use std::sync::Arc;
use tokio::sync::Mutex;

/// A longer request, such as a picture, is tried once: orders on a thousand accounts are shorter.
const MOST_KEPT: usize = 256 * 1024;

/// Likewise one that comes in more parts: each costs more memory than its bytes, and a stranger may send single ones.
const MOST_PARTS: usize = 1024;

/// Marks the answer of a request that ended in a conflict.
#[derive(Clone, Copy, Debug)]
pub(super) struct Conflict;

/// Around each route, and within what the request pays for.
pub(crate) async fn repeat(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let mut tries = Tries::start();
    if body.is_end_stream() {
        loop {
            let request = Request::from_parts(parts.clone(), Body::empty());
            let (response, committed) = watched(next.clone().run(request)).await;
            if committed || !is_conflict(&response) || !tries.again().await {
                return response;
            }
        }
    }
    let kept = Arc::new(Mutex::new(KeptBody::new(body.into_data_stream())));
    loop {
        let request = Request::from_parts(parts.clone(), read(Arc::clone(&kept)));
        let (response, committed) = watched(next.clone().run(request)).await;
        let may = !committed && is_conflict(&response) && kept.lock().await.is_whole();
        if !may || !tries.again().await {
            return response;
        }
    }
}

fn is_conflict(response: &Response) -> bool {
    response.extensions().get::<Conflict>().is_some()
}

/// A body of which what was read is kept.
struct KeptBody {
    rest: BodyDataStream,
    read: Vec<Bytes>,
    bytes: usize,
}

impl KeptBody {
    fn new(rest: BodyDataStream) -> Self {
        Self { rest, read: Vec::new(), bytes: 0 }
    }

    fn is_whole(&self) -> bool {
        self.bytes <= MOST_KEPT
    }

    /// The part at this place, read now unless that was done before.
    async fn part(&mut self, place: usize) -> Option<Result<Bytes, axum::Error>> {
        if let Some(part) = self.read.get(place) {
            return Some(Ok(part.clone()));
        }
        let part = self.rest.next().await?;
        if let Ok(part) = &part {
            self.bytes += part.len();
            if self.read.len() == MOST_PARTS {
                self.bytes = self.bytes.max(MOST_KEPT + 1);
            }
            if self.is_whole() {
                self.read.push(part.clone());
            } else {
                self.read.clear();
            }
        }
        Some(part)
    }
}

/// The body from its beginning. No two are read at a time.
fn read(kept: Arc<Mutex<KeptBody>>) -> Body {
    Body::from_stream(stream::unfold((kept, 0), |(kept, place)| async move {
        let part = kept.lock().await.part(place).await?;
        Some((part, (kept, place + 1)))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Error, Result};
    use axum::{Router, middleware::from_fn, routing::post};
    use http_body_util::BodyExt as _;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tower::ServiceExt as _;

    /// The status, the body that the handler read, and how often it ran, of a request of so many bytes.
    async fn ask(parts: Vec<Bytes>) -> (u16, usize, usize) {
        let runs = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&runs);
        let handler = async move |body: Bytes| -> Result<String> {
            match counted.fetch_add(1, Ordering::Relaxed) {
                0 | 1 => Err(Error::conflict()),
                _ => Ok(body.len().to_string()),
            }
        };
        let app =
            Router::new().route("/", post(handler).get(async || "no body")).layer(from_fn(repeat));
        let body = Body::from_stream(stream::iter(parts.into_iter().map(Ok::<_, axum::Error>)));
        let request = Request::post("/").body(body).unwrap();
        let response = app.oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let text = response.into_body().collect().await.unwrap().to_bytes();
        let read = String::from_utf8_lossy(&text).parse().unwrap_or(0);
        (status, read, runs.load(Ordering::Relaxed))
    }

    #[tokio::test]
    async fn a_request_is_tried_again_with_its_body() {
        let parts = vec![Bytes::from_static(b"hello "), Bytes::from_static(b"there")];
        assert_eq!(ask(parts).await, (200, 11, 3));
        assert_eq!(ask(vec![Bytes::from(vec![7; MOST_KEPT + 1])]).await, (503, 0, 1));
        let half = Bytes::from(vec![7; MOST_KEPT / 2 + 1]);
        assert_eq!(ask(vec![half.clone(), half]).await, (503, 0, 1));
        let byte = Bytes::from_static(b"7");
        assert_eq!(ask(vec![byte.clone(); MOST_PARTS]).await, (200, MOST_PARTS, 3));
        assert_eq!(ask(vec![byte; 3 * MOST_PARTS]).await, (503, 0, 1));
    }
}
