//! The deployment's REST service as the load tester uses it: one request, one answer, and waiting if the
//! service says "later". The callers decide what to request.

use crate::trust::{Trust, TrustError};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    Method, Request, StatusCode, Uri,
    body::Bytes,
    header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER},
    http::HeaderValue,
};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use protocol::id::ChatId;
use rustls::ClientConfig;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// A request that takes longer has failed. A deployment answers 503 after 20 s itself.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// The largest answer taken: 1,000 accounts with their tokens have about 600 KiB.
const MAX_ANSWER_BYTES: usize = 8 << 20;

/// Connections kept for the next request: as many as the busiest caller works at once.
const IDLE_CONNECTIONS: usize = 64;

/// A deployment's REST service. Clones share its connections.
#[derive(Clone)]
pub struct Rest {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    base: String,
}

/// Why a request did not do what it should. Never holds a token or a password.
#[expect(missing_docs, reason = "each variant's message says what happened")]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestError {
    #[error("{0:?} is not the URL of a deployment; write http://HOST:PORT or https://HOST:PORT")]
    Url(String),
    #[error("{url}: {why}")]
    Trust { url: String, why: TrustError },
    /// The service's own answer: asking again the same way leads to the same.
    #[error("{path} was refused: {status} {code}: {detail}")]
    Refused {
        path: String,
        status: StatusCode,
        code: String,
        detail: String,
        /// The chat that stands in the way, where one does.
        chat_id: Option<ChatId>,
    },
    /// 429 or 503: the service wants it later.
    #[error("{path} must be requested again in {} s: {status} {code}: {detail}", wait.as_secs())]
    Later { path: String, status: StatusCode, code: String, detail: String, wait: Duration },
    /// No answer, or none of this service.
    #[error("{path}: {why}")]
    Failed { path: String, why: String },
}

impl RestError {
    /// Whether the service refused with this code.
    pub fn is(&self, expected: &str) -> bool {
        matches!(self, Self::Refused { code, .. } if code == expected)
    }
}

impl Rest {
    /// For this base URL: `http://host:port` or `https://host:port`, with a path where the deployment
    /// lies under one.
    pub fn new(url: &str) -> Result<Self, RestError> {
        Self::trusting(url, &Trust::default())
    }

    /// The same, for a deployment that may show these certificates.
    pub fn trusting(url: &str, trust: &Trust) -> Result<Self, RestError> {
        let wrong = || RestError::Url(url.to_owned());
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
        if !is_http || uri.host().is_none() || uri.query().is_some() {
            return Err(wrong());
        }
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_connect_timeout(Some(Duration::from_secs(5)));
        connector.set_nodelay(true);
        let tls = trust.client().map_err(|why| RestError::Trust { url: url.to_owned(), why })?;
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(ClientConfig::clone(&tls))
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(10))
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .build(connector);
        Ok(Self { client, base: url.trim_end_matches('/').to_owned() })
    }

    /// Asks once, see [`Rest::ask`].
    pub async fn get<A: DeserializeOwned>(
        &self,
        path: &str,
        token: Option<&str>,
    ) -> Result<A, RestError> {
        self.ask(Method::GET, path, token, None::<&()>).await
    }

    /// Asks once with a JSON body, see [`Rest::ask`].
    pub async fn post<A: DeserializeOwned>(
        &self,
        path: &str,
        token: Option<&str>,
        body: &impl Serialize,
    ) -> Result<A, RestError> {
        self.ask(Method::POST, path, token, Some(body)).await
    }

    /// Asks once, see [`Rest::ask`].
    pub async fn delete<A: DeserializeOwned>(
        &self,
        path: &str,
        token: Option<&str>,
    ) -> Result<A, RestError> {
        self.ask(Method::DELETE, path, token, None::<&()>).await
    }

    /// Asks once. An answer without a body is read as `null`.
    pub async fn ask<A: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Option<&impl Serialize>,
    ) -> Result<A, RestError> {
        let failed = |why: String| RestError::Failed { path: plain(path), why };
        let call = timeout(CALL_TIMEOUT, self.call(method, path, token, body)).await;
        let (status, wait, body) = call
            .unwrap_or_else(|_| Err(format!("no answer within {} s", CALL_TIMEOUT.as_secs())))
            .map_err(failed)?;
        if !status.is_success() {
            return Err(refusal(path, status, wait, &body));
        }
        let body: &[u8] = if body.is_empty() { b"null" } else { &body };
        serde_json::from_slice(body).map_err(|error| failed(format!("no answer of ours: {error}")))
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Option<&impl Serialize>,
    ) -> Result<(StatusCode, Option<Duration>, Bytes), String> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        if let Some(token) = token {
            let value = HeaderValue::try_from(format!("Bearer {token}"));
            let mut value = value.map_err(|error| error.to_string())?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        let mut bytes = Bytes::new();
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json");
            bytes = serde_json::to_vec(body).map_err(|error| error.to_string())?.into();
        }
        let request = request.body(Full::new(bytes)).map_err(|error| error.to_string())?;
        let response = self.client.request(request).await.map_err(|error| cause(&error))?;
        let status = response.status();
        let wait = response.headers().get(RETRY_AFTER).and_then(|wait| wait.to_str().ok());
        let wait = wait.and_then(|wait| wait.parse().ok()).map(Duration::from_secs);
        let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await;
        Ok((status, wait, body.map_err(|error| error.to_string())?.to_bytes()))
    }
}

/// Asks again when the service says "later", as it says, for at most `patience` altogether; then its
/// last answer stands. `waiting` hears of each wait before it begins.
pub async fn patiently<A, F: Future<Output = Result<A, RestError>>>(
    patience: Duration,
    waiting: impl Fn(Duration),
    mut ask: impl FnMut() -> F,
) -> Result<A, RestError> {
    let until = Instant::now() + patience;
    loop {
        match ask().await {
            Err(RestError::Later { wait, .. }) if Instant::now() + wait < until => {
                waiting(wait);
                sleep(wait).await;
            }
            answer => return answer,
        }
    }
}

fn refusal(path: &str, status: StatusCode, wait: Option<Duration>, body: &[u8]) -> RestError {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |field: &str| body[field].as_str().unwrap_or_default().to_owned();
    let (path, code, detail) = (plain(path), text("code"), text("detail"));
    match status {
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            let wait = wait.unwrap_or(Duration::from_secs(1));
            RestError::Later { path, status, code, detail, wait }
        }
        _ if code.is_empty() => {
            RestError::Failed { path, why: format!("status {status} and no reason of ours") }
        }
        _ => {
            let chat_id = body["chat_id"].as_i64().map(ChatId);
            RestError::Refused { path, status, code, detail, chat_id }
        }
    }
}

/// Without its query, which may name people.
fn plain(path: &str) -> String {
    path.split('?').next().unwrap_or_default().to_owned()
}

/// The innermost cause: `client error (Connect)` alone helps nobody.
fn cause(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn a_url_is_a_url() {
        for good in ["http://127.0.0.1:8000", "https://chat.example/", "http://[::1]:8000/below"] {
            assert!(Rest::new(good).is_ok(), "{good}");
        }
        for bad in ["", "127.0.0.1:8000", "http://x/?a=b", "ws://x"] {
            assert!(matches!(Rest::new(bad), Err(RestError::Url(_))), "{bad}");
        }
    }

    #[test]
    fn refusals_say_what_and_when() {
        let body = br#"{"code":"rate_limited","detail":"Too many requests."}"#;
        let wait = Some(Duration::from_secs(7));
        let later = refusal("/register?x=y", StatusCode::TOO_MANY_REQUESTS, wait, body);
        let RestError::Later { path, wait, .. } = &later else { panic!("{later:?}") };
        assert_eq!((path.as_str(), wait.as_secs()), ("/register", 7));
        assert!(refusal("/x", StatusCode::FORBIDDEN, None, br#"{"code":"blocked"}"#).is("blocked"));
        let foreign = refusal("/x", StatusCode::NOT_FOUND, None, b"<html>nginx</html>");
        assert!(matches!(foreign, RestError::Failed { .. }));
    }

    #[tokio::test(start_paused = true)]
    async fn patience_ends() {
        let later = |wait| RestError::Later {
            path: "/x".to_owned(),
            status: StatusCode::TOO_MANY_REQUESTS,
            code: String::new(),
            detail: String::new(),
            wait: Duration::from_secs(wait),
        };
        let (asked, waited) = (Cell::new(0), Cell::new(0));
        let try_for = async |patience, good_after| {
            asked.set(0);
            let waiting = |wait: Duration| waited.set(waited.get() + wait.as_secs());
            patiently(Duration::from_secs(patience), waiting, || {
                asked.set(asked.get() + 1);
                let answer = if asked.get() > good_after { Ok(()) } else { Err(later(10)) };
                async { answer }
            })
            .await
        };
        assert_eq!(try_for(60, 2).await, Ok(()));
        assert_eq!((asked.get(), waited.get()), (3, 20));
        assert_eq!(try_for(25, 9).await, Err(later(10)));
        assert_eq!(asked.get(), 3);
    }
}
