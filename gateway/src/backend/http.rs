//! The api over HTTP: one POST for each call, JSON both ways, over kept-alive connections. It does not retry,
//! which is up to the lanes; it only turns to the next api when one does not answer.

use crate::backend::{
    ApiAnswer, Backend, Unavailable,
    apis::{Apis, CALL_TIMEOUT, IDLE_TIMEOUT, connector},
};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{
    Request, StatusCode,
    body::Bytes,
    header::{AUTHORIZATION, CONTENT_TYPE},
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
use std::{fmt::Display, sync::Arc};

/// The apis by HTTP.
#[derive(Clone)]
pub struct HttpBackend {
    client: Client<HttpConnector, Full<Bytes>>,
    apis: Arc<Apis>,
}

impl HttpBackend {
    /// A backend on these internal listeners, with this shared secret. An error is one sentence for the
    /// operator. Connects to nothing yet.
    pub fn new<'a>(
        apis: impl Iterator<Item = &'a ServerUrl>,
        token: &Secret,
    ) -> Result<Self, String> {
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .build(connector());
        Ok(Self { client, apis: Arc::new(Apis::new(apis, token)?) })
    }

    /// The apis that it calls.
    pub(super) fn apis(&self) -> &Arc<Apis> {
        &self.apis
    }

    fn post<A: DeserializeOwned>(&self, path: &'static str, call: &impl Serialize) -> ApiAnswer<A> {
        let body = serde_json::to_vec(call).map(Bytes::from);
        let this = self.clone();
        Box::pin(async move {
            let body = body.map_err(|error| Unavailable::Refused(format!("{path}: {error}")))?;
            this.send("POST", path, body).await
        })
    }

    async fn send<A: DeserializeOwned>(
        &self,
        method: &'static str,
        path: &'static str,
        body: Bytes,
    ) -> Result<A, Unavailable> {
        let turn = self.apis.turn();
        let call = self.call(method, self.apis.base(turn), path, body);
        let answer = tokio::time::timeout(CALL_TIMEOUT, call).await;
        let answer = answer.unwrap_or_else(|_| Err(Unavailable::late(path, CALL_TIMEOUT)));
        if let Err(Unavailable::NotAnswered(_)) = &answer {
            self.apis.move_on(turn);
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
            .header(AUTHORIZATION, self.apis.authorization.clone())
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
        let this = self.clone();
        Box::pin(async move { this.send("GET", "/.well-known/jwks.json", Bytes::new()).await })
    }
}
