//! The deployment's REST service: one request, one answer. Connections are kept between requests and
//! belong to the runtime that first used them, so each thread has a client of its own.

use super::Target;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request, StatusCode,
    body::Bytes,
    header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER},
    http::HeaderValue,
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::time::Duration;

/// A request that takes longer has failed. An api itself gives up earlier.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// The largest answer taken: some thousand accounts with their tokens.
const MAX_ANSWER_BYTES: usize = 16 << 20;

/// Idle connections kept.
const MAX_IDLE: usize = 16;

/// A client for one deployment. Clones share its connections.
#[derive(Clone, Debug)]
pub struct Rest {
    client: Client<HttpConnector, Full<Bytes>>,
    base: String,
}

/// Why a request did not do what it should. Never holds a token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestError {
    /// The api's own answer. Asking again the same way leads to the same.
    #[error("{path} was refused with {status} {code}")]
    Refused { path: String, status: u16, code: String },
    /// Not now.
    #[error("{path} said {status}: come back later")]
    Later { path: String, status: u16, after: Option<Duration> },
    /// No answer, or none of an api's.
    #[error("{path}: {why}")]
    NoAnswer { path: String, why: String },
}

impl Rest {
    /// Opens nothing yet.
    pub fn new(target: &Target) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(Duration::from_secs(5)));
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(10))
            .pool_max_idle_per_host(MAX_IDLE)
            .build(connector);
        Self { client, base: format!("http://{}", target.authority) }
    }

    /// `path` begins with a slash and may have a query.
    pub async fn get<A: DeserializeOwned>(
        &self,
        path: &str,
        token: Option<&str>,
    ) -> Result<A, RestError> {
        self.ask(Method::GET, path, token, Bytes::new()).await
    }

    /// Posts JSON.
    pub async fn post<A: DeserializeOwned>(
        &self,
        path: &str,
        token: Option<&str>,
        body: &impl Serialize,
    ) -> Result<A, RestError> {
        let body = serde_json::to_vec(body).map_err(|why| no_answer(path, &why))?;
        self.ask(Method::POST, path, token, body.into()).await
    }

    async fn ask<A: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Bytes,
    ) -> Result<A, RestError> {
        let asked = tokio::time::timeout(CALL_TIMEOUT, self.call(method, path, token, body)).await;
        let body = asked.unwrap_or_else(|_| {
            Err(no_answer(path, &format!("none within {} s", CALL_TIMEOUT.as_secs())))
        })?;
        // An answer without a body is `null`.
        let body: &[u8] = if body.is_empty() { b"null" } else { &body };
        serde_json::from_slice(body).map_err(|why| no_answer(path, &why))
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Bytes,
    ) -> Result<Bytes, RestError> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        if let Some(token) = token {
            let value = HeaderValue::try_from(format!("Bearer {token}"));
            let mut value = value.map_err(|why| no_answer(path, &why))?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request = request.body(Full::new(body)).map_err(|why| no_answer(path, &why))?;
        let response = self.client.request(request).await.map_err(|why| no_answer(path, &why))?;
        let status = response.status();
        let after = response.headers().get(RETRY_AFTER).and_then(|value| {
            Some(Duration::from_secs(value.to_str().ok()?.parse().ok()?))
        });
        let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await;
        let body = body.map_err(|why| no_answer(path, &why))?.to_bytes();
        if status.is_success() { Ok(body) } else { Err(refusal(path, status, after, &body)) }
    }
}

fn no_answer(path: &str, why: &impl ToString) -> RestError {
    RestError::NoAnswer { path: bare(path), why: why.to_string() }
}

/// Queries may hold names.
fn bare(path: &str) -> String {
    path.split('?').next().unwrap_or_default().to_owned()
}

fn refusal(path: &str, status: StatusCode, after: Option<Duration>, body: &[u8]) -> RestError {
    #[derive(Deserialize)]
    struct Problem {
        code: String,
    }
    let (path, later) = (bare(path), status == StatusCode::TOO_MANY_REQUESTS);
    let problem = serde_json::from_slice::<Problem>(body).ok();
    let status_number = status.as_u16();
    match problem {
        Some(Problem { code }) if status.is_client_error() && !later => {
            RestError::Refused { path, status: status_number, code }
        }
        _ => RestError::Later { path, status: status_number, after },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_apis_own_word_is_a_refusal() {
        let problem = br#"{"code":"invalid_refresh_token","detail":"x"}"#;
        let error = refusal("/token/refresh?x=1", StatusCode::UNAUTHORIZED, None, problem);
        assert_eq!(error.to_string(), "/token/refresh was refused with 401 invalid_refresh_token");
        let second = Some(Duration::from_secs(1));
        for (status, body) in [
            (StatusCode::TOO_MANY_REQUESTS, br#"{"code":"rate_limited"}"#.as_slice()),
            (StatusCode::SERVICE_UNAVAILABLE, br#"{"code":"unavailable"}"#),
            (StatusCode::NOT_FOUND, b"<html>nginx</html>"),
        ] {
            let error = refusal("/x", status, second, body);
            assert!(matches!(error, RestError::Later { after, .. } if after == second), "{error}");
        }
    }
}
