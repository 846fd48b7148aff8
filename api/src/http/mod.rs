//! What surrounds every request, public or internal: metrics, a time limit, a body limit, security
//! headers, answers for panics and for paths and methods that do not exist.

mod again;
pub(crate) mod extract;
mod problem;

pub(crate) use again::repeat;

use crate::error::{Error, Result, fault};
use axum::{
    Router,
    extract::{DefaultBodyLimit, MatchedPath, Request},
    http::{HeaderName, HeaderValue, Method, header},
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
};
use futures_util::FutureExt;
use platform::telemetry::trace::{self, Kind, Span};
use protocol::{code::Code, traceparent::Traceparent};
use std::{any::Any, borrow::Cow, panic::AssertUnwindSafe, time::Duration};
use tokio::time::Instant;
use tower_http::catch_panic::CatchPanicLayer;

/// The surroundings of one listener's routes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Surroundings {
    /// Names the listener in metrics.
    pub listener: &'static str,
    pub body_limit: usize,
    pub timeout: Duration,
    /// Whether a request that belongs to no trace begins one.
    pub begins_traces: bool,
}

impl Surroundings {
    /// Answers a call that came by a stream, as if it had come by HTTP to this route.
    pub(crate) async fn around_call<T>(
        self,
        route: &'static str,
        parent: Option<Traceparent>,
        call: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let span = match parent {
            None if !self.begins_traces => Span::none(),
            parent => Span::remote("POST", Kind::Server, parent),
        };
        let measured = Measured::begin(self.listener, "POST", route.into(), span);
        let call = tokio::time::timeout(self.timeout, AssertUnwindSafe(call).catch_unwind());
        let answer = match measured.span.around(call).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(panic)) => Err(panicked(panic)),
            Err(_) => Err(too_slow()),
        };
        measured.end(answer.as_ref().map_or_else(|error| error.code.status(), |_| 200));
        answer
    }

    /// Around all routes that `router` has now.
    pub(crate) fn around<S: Clone + Send + Sync + 'static>(self, router: Router<S>) -> Router<S> {
        let Self { listener, body_limit, timeout, begins_traces } = self;
        // The last layer is the outermost.
        router
            .fallback(no_route)
            .method_not_allowed_fallback(no_method)
            .layer(DefaultBodyLimit::max(body_limit))
            .layer(CatchPanicLayer::custom(|panic| panicked(panic).into_response()))
            .layer(from_fn(move |request: Request, next: Next| async move {
                tokio::time::timeout(timeout, next.run(request))
                    .await
                    .unwrap_or_else(|_| too_slow().into_response())
            }))
            .layer(from_fn(add_headers))
            .layer(from_fn(move |request, next| measure(listener, begins_traces, request, next)))
    }
}

async fn measure(
    listener: &'static str,
    begins_traces: bool,
    request: Request,
    next: Next,
) -> Response {
    // The template (`/users/{user_id}`), so that labels are bounded.
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("none", MatchedPath::as_str).to_owned();
    let method = method_label(request.method());
    let span = match trace::parent(request.headers()) {
        None if !begins_traces => Span::none(),
        parent => Span::remote(method, Kind::Server, parent),
    };
    let measured = Measured::begin(listener, method, route.into(), span);
    let response = measured.span.around(next.run(request)).await;
    measured.end(response.status().as_u16());
    response
}

/// A request that is being answered, for metrics and its span.
struct Measured {
    listener: &'static str,
    method: &'static str,
    route: Cow<'static, str>,
    span: Span,
    started: Instant,
    in_flight: InFlight,
}

impl Measured {
    fn begin(
        listener: &'static str,
        method: &'static str,
        route: Cow<'static, str>,
        mut span: Span,
    ) -> Self {
        let in_flight = InFlight::enter(listener);
        if span.is_recording() {
            span.rename(format!("{method} {route}"));
            span.text("http.request.method", method);
            span.text("http.route", &route);
        }
        Self { listener, method, route, span, started: Instant::now(), in_flight }
    }

    fn end(self, status: u16) {
        let Self { listener, method, route, mut span, started, in_flight } = self;
        span.number("http.response.status_code", status.into());
        if status >= 500 {
            span.fail("server error");
        }
        span.end();
        drop(in_flight);
        metrics::histogram!("http_request_duration_seconds",
            "listener" => listener, "method" => method, "route" => route.clone())
        .record(started.elapsed().as_secs_f64());
        metrics::counter!("http_requests_total",
            "listener" => listener, "method" => method, "route" => route, "status" => status.to_string())
        .increment(1);
    }
}

/// Counts a request, also one whose client goes away.
struct InFlight(metrics::Gauge);

impl InFlight {
    fn enter(listener: &'static str) -> Self {
        let gauge = metrics::gauge!("http_requests_in_flight", "listener" => listener);
        gauge.increment(1.0);
        Self(gauge)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PATCH => "PATCH",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

/// What an answer says unless its route said otherwise, as the page's files do.
async fn add_headers(request: Request, next: Next) -> Response {
    const HEADERS: [(HeaderName, HeaderValue); 4] = [
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
        ),
    ];
    let mut response = next.run(request).await;
    for (name, value) in HEADERS {
        // A route that sets a header knows better: the web client needs a policy that lets it run.
        response.headers_mut().entry(name).or_insert(value);
    }
    response
}

async fn no_route() -> Error {
    Code::NotFound.into()
}

async fn no_method() -> Error {
    Code::MethodNotAllowed.into()
}

fn too_slow() -> Error {
    Error { code: Code::Timeout, ..Error::unavailable() }
}

/// The connection and the process go on. The panic's place is in the panic hook's line.
fn panicked(panic: Box<dyn Any + Send>) -> Error {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    metrics::counter!("http_panics_total").increment(1);
    fault(format!("panic: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{body::Body, http::StatusCode, routing::get};
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    fn app() -> Router {
        let routes = Router::new()
            .route("/panic", get(|| async { panic!("by design") as &'static str }))
            .route("/never", get(std::future::pending::<()>))
            .route("/page", get(|| async { ([(header::CACHE_CONTROL, "max-age=60")], "page") }));
        let timeout = Duration::from_millis(20);
        let listener = "test";
        Surroundings { listener, body_limit: 10, timeout, begins_traces: true }.around(routes)
    }

    async fn ask(method: &str, path: &str) -> (StatusCode, header::HeaderMap, serde_json::Value) {
        let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        let response = app().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (parts.status, parts.headers, serde_json::from_slice(&body).unwrap_or_default())
    }

    #[tokio::test]
    async fn whatever_happens_the_answer_is_a_problem() {
        for (method, path, status, code) in [
            ("GET", "/nowhere", 404, "not_found"),
            ("POST", "/page", 405, "method_not_allowed"),
            ("GET", "/panic", 500, "internal"),
            ("GET", "/never", 503, "timeout"),
        ] {
            let (got, headers, body) = ask(method, path).await;
            assert_eq!(got, status, "{path}");
            assert_eq!(body["code"], code, "{path}");
            assert_eq!(headers[header::CONTENT_TYPE], "application/problem+json", "{path}");
            assert_eq!(headers[header::CACHE_CONTROL], "no-store", "{path}");
            assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff", "{path}");
        }
    }

    #[tokio::test]
    async fn a_route_may_say_how_long_it_is_kept_and_405_what_is_allowed() {
        assert_eq!(ask("GET", "/page").await.1[header::CACHE_CONTROL], "max-age=60");
        assert_eq!(ask("POST", "/page").await.1[header::ALLOW], "GET,HEAD");
    }
}
