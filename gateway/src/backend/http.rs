//! The api over HTTP: one POST for each call, JSON both ways, over kept-alive connections. It does not retry,
//! which is up to the lanes; it only turns to the next api when one does not answer.

use crate::backend::{ApiAnswer, Backend, Unavailable};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{
    Request, StatusCode,
    body::Bytes,
    header::{AUTHORIZATION, CONTENT_TYPE},
    http::HeaderValue,
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use platform::{
    settings::{Secret, ServerUrl},
    telemetry::trace,
    token::Jwks,
};
use protocol::{
    calls::{
        Changed, ChangedFound, Dormant, DormantMarked, Events, EventsFound, Guests, GuestsFound,
        MarkRead, Open, Opened, Peers, PeersFound, Post, Posted, View, Viewed,
    },
    limits::MAX_ANSWER_BYTES,
};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    fmt::Display,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

/// A call that takes longer has failed. A longer timeout than the api's own statement timeout is pointless;
/// a shorter one repeats work that is about to finish.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// The apis. Calls go to one of them until it does not answer, then to the next.
#[derive(Clone)]
pub struct HttpBackend {
    inner: Arc<Inner>,
}

struct Inner {
    client: Client<HttpConnector, Full<Bytes>>,
    bases: Vec<String>,
    /// The api that answered last; a failure moves on to the next.
    current: AtomicUsize,
    authorization: HeaderValue,
}

impl HttpBackend {
    /// A backend on these internal listeners, with this shared secret. An error is one sentence for the
    /// operator. Connects to nothing yet.
    pub fn new<'a>(
        apis: impl Iterator<Item = &'a ServerUrl>,
        token: &Secret,
    ) -> Result<Self, String> {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(Duration::from_secs(1)));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            // Below the api's own idle timeout, so that a call never meets a closing connection.
            .pool_idle_timeout(Duration::from_secs(10))
            .build(connector);
        let bases: Vec<String> = apis.map(ToString::to_string).collect();
        if bases.is_empty() {
            return Err(
                "API_URL is missing. Set it to the apis' internal listeners: http://host:port"
                    .into(),
            );
        }
        let mut authorization = HeaderValue::from_str(&format!("Bearer {}", token.reveal()))
            .map_err(|_| "INTERNAL_TOKEN contains characters that an HTTP header cannot carry")?;
        authorization.set_sensitive(true);
        // Gateways start with different apis.
        let current = AtomicUsize::new(rand::random_range(0..bases.len()));
        Ok(Self { inner: Arc::new(Inner { client, bases, current, authorization }) })
    }

    fn post<A: DeserializeOwned>(&self, path: &'static str, call: &impl Serialize) -> ApiAnswer<A> {
        let body = serde_json::to_vec(call).map(Bytes::from);
        let inner = Arc::clone(&self.inner);
        Box::pin(async move {
            let body = body.map_err(|error| Unavailable::Refused(format!("{path}: {error}")))?;
            inner.send("POST", path, body).await
        })
    }
}

impl Inner {
    async fn send<A: DeserializeOwned>(
        &self,
        method: &'static str,
        path: &'static str,
        body: Bytes,
    ) -> Result<A, Unavailable> {
        let current = self.current.load(Ordering::Relaxed);
        let base = &self.bases[current % self.bases.len()];
        let answer = tokio::time::timeout(CALL_TIMEOUT, self.call(method, base, path, body)).await;
        let answer = answer.unwrap_or_else(|_| {
            let why = format!("{path}: no answer within {} s", CALL_TIMEOUT.as_secs());
            Err(Unavailable::NotAnswered(why))
        });
        if let Err(Unavailable::NotAnswered(_)) = &answer {
            // Whoever fails first moves everybody on; the others' failures do not skip one.
            let next = current.wrapping_add(1);
            let _ =
                self.current.compare_exchange(current, next, Ordering::Relaxed, Ordering::Relaxed);
        }
        answer
    }

    async fn call<A: DeserializeOwned>(
        &self,
        method: &'static str,
        base: &str,
        path: &str,
        body: Bytes,
    ) -> Result<A, Unavailable> {
        let refused = |why: &dyn Display| Unavailable::Refused(format!("{path}: {why}"));
        let not_answered = |why: &dyn Display| Unavailable::NotAnswered(format!("{path}: {why}"));
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{base}{path}"))
            .header(AUTHORIZATION, self.authorization.clone())
            .header(CONTENT_TYPE, "application/json");
        if let Some(here) = trace::current() {
            request = request.header(trace::HEADER, here.to_string());
        }
        let request = request.body(Full::new(body)).map_err(|error| not_answered(&error))?;
        let response = self.client.request(request).await.map_err(|error| not_answered(&error))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await;
        let body = body.map_err(|error| match error.is::<LengthLimitError>() {
            true => refused(&error),
            false => not_answered(&error),
        })?;
        if status != StatusCode::OK {
            return Err(Unavailable::status(status.as_u16(), format!("{path}: status {status}")));
        }
        serde_json::from_slice(&body.to_bytes()).map_err(|error| refused(&error))
    }
}

impl Backend for HttpBackend {
    fn open(&self, call: Open) -> ApiAnswer<Opened> {
        self.post("/internal/open", &call)
    }

    fn post(&self, call: Post) -> ApiAnswer<Posted> {
        self.post("/internal/post", &call)
    }

    fn mark_read(&self, call: MarkRead) -> ApiAnswer<()> {
        #[derive(serde::Deserialize)]
        struct Empty {}
        let answer = self.post("/internal/read", &call);
        Box::pin(async move { answer.await.map(|Empty {}| ()) })
    }

    fn events(&self, call: Events) -> ApiAnswer<EventsFound> {
        self.post("/internal/events", &call)
    }

    fn view(&self, call: View) -> ApiAnswer<Viewed> {
        self.post("/internal/view", &call)
    }

    fn dormant(&self, call: Dormant) -> ApiAnswer<DormantMarked> {
        self.post("/internal/dormant", &call)
    }

    fn changed(&self, call: Changed) -> ApiAnswer<ChangedFound> {
        self.post("/internal/changed", &call)
    }

    fn peers(&self, call: Peers) -> ApiAnswer<PeersFound> {
        self.post("/internal/peers", &call)
    }

    fn guests(&self, call: Guests) -> ApiAnswer<GuestsFound> {
        self.post("/internal/guests", &call)
    }

    fn jwks(&self) -> ApiAnswer<Jwks> {
        let inner = Arc::clone(&self.inner);
        Box::pin(async move { inner.send("GET", "/.well-known/jwks.json", Bytes::new()).await })
    }
}
