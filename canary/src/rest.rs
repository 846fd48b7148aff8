//! The api's REST service as the canary uses it: one request, one answer. When to ask and what to do
//! about a refusal is the keeper's business.

use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request, StatusCode,
    body::Bytes,
    header::{AUTHORIZATION, CONTENT_TYPE},
    http::HeaderValue,
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use platform::settings::{Secret, ServerUrl};
use protocol::{
    chat::{ChatType, ChatView},
    id::{ChatId, UserId},
    time::Timestamp,
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::{fmt, time::Duration};

/// A request that takes longer has failed. An api itself gives up earlier.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// The largest answer taken: a page of 500 chats has about 200 KiB.
const MAX_ANSWER_BYTES: usize = 4 << 20;

/// The api's public listener.
#[derive(Clone)]
pub struct PublicApi {
    client: Client<HttpConnector, Full<Bytes>>,
    base: String,
}

/// Why a request did not do what it should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestError {
    /// The api's own answer: status and code. Asking again the same way leads to the same.
    Refused(StatusCode, String),
    /// No answer, or one that says to come back later.
    Unavailable(String),
}

/// What signing in, registering and renewing give.
#[derive(Clone, Debug, Deserialize)]
pub struct TokenGrant {
    /// The user's.
    pub id: UserId,
    #[serde(deserialize_with = "secret")]
    pub access_token: Secret,
    #[serde(deserialize_with = "secret")]
    pub refresh_token: Secret,
    /// Seconds that the access token is good for.
    pub expires_in: u64,
}

/// A chat in the caller's list.
#[derive(Clone, Debug, Deserialize)]
pub struct ListedChat {
    #[serde(flatten)]
    pub view: ChatView,
    pub created_by: Option<UserId>,
    pub created_at: Timestamp,
}

impl PublicApi {
    /// Of this server.
    pub fn new(server: &ServerUrl) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(Duration::from_secs(3)));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(10))
            .build(connector);
        Self { client, base: server.to_string() }
    }

    pub async fn sign_in(
        &self,
        username: &str,
        password: &Secret,
    ) -> Result<TokenGrant, RequestError> {
        let body = json!({ "username": username, "password": password.reveal() });
        self.ask(Method::POST, "/login", None, Some(body)).await
    }

    pub async fn register(
        &self,
        username: &str,
        password: &Secret,
    ) -> Result<TokenGrant, RequestError> {
        let body = json!({
            "username": username,
            "name": "Switchboard's canary",
            "password": password.reveal(),
        });
        self.ask(Method::POST, "/register", None, Some(body)).await
    }

    /// New tokens of the same session. A refresh token is good once.
    pub async fn renew(&self, refresh_token: &Secret) -> Result<TokenGrant, RequestError> {
        let body = json!({ "refresh_token": refresh_token.reveal() });
        self.ask(Method::POST, "/token/refresh", None, Some(body)).await
    }

    /// Ends the session of this token.
    pub async fn sign_out(&self, token: &Secret) -> Result<(), RequestError> {
        self.ask::<Value>(Method::POST, "/logout", Some(token), None).await.map(drop)
    }

    /// The newest 500 chats of the caller.
    pub async fn chats(&self, token: &Secret) -> Result<Vec<ListedChat>, RequestError> {
        self.ask(Method::GET, "/chats", Some(token), None).await
    }

    /// Makes a group of the caller and one other.
    pub async fn make_group(
        &self,
        token: &Secret,
        name: &str,
        other: UserId,
    ) -> Result<ChatId, RequestError> {
        let body = json!({ "chat_type": ChatType::Group, "name": name, "member_ids": [other] });
        let made = self.ask::<ChatView>(Method::POST, "/chats", Some(token), Some(body)).await?;
        Ok(made.id)
    }

    /// Deletes a chat of the caller's for everybody.
    pub async fn delete_chat(&self, token: &Secret, chat: ChatId) -> Result<(), RequestError> {
        let path = format!("/chats/{chat}");
        self.ask::<Value>(Method::DELETE, &path, Some(token), None).await.map(drop)
    }

    async fn ask<A: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        token: Option<&Secret>,
        body: Option<Value>,
    ) -> Result<A, RequestError> {
        let answer = tokio::time::timeout(CALL_TIMEOUT, self.call(method, path, token, body)).await;
        let (status, body) = answer
            .unwrap_or_else(|_| Err(format!("no answer within {} s", CALL_TIMEOUT.as_secs())))
            .map_err(|why| RequestError::Unavailable(format!("{path}: {why}")))?;
        if !status.is_success() {
            return Err(refusal(path, status, &body));
        }
        // An answer without a body is `null`.
        let body: &[u8] = if body.is_empty() { b"null" } else { &body };
        serde_json::from_slice(body).map_err(|error| {
            RequestError::Unavailable(format!("{path}: this is no answer of an api: {error}"))
        })
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        token: Option<&Secret>,
        body: Option<Value>,
    ) -> Result<(StatusCode, Bytes), String> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        if let Some(token) = token {
            let value = HeaderValue::try_from(format!("Bearer {}", token.reveal()));
            let mut value = value.map_err(|error| error.to_string())?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let body = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        let request = request.body(Full::new(body)).map_err(|error| error.to_string())?;
        let response = self.client.request(request).await.map_err(|error| error.to_string())?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await;
        Ok((status, body.map_err(|error| error.to_string())?.to_bytes()))
    }
}

fn refusal(path: &str, status: StatusCode, body: &[u8]) -> RequestError {
    #[derive(Deserialize)]
    struct RefusalBody {
        code: String,
    }
    let problem = serde_json::from_slice::<RefusalBody>(body).ok();
    match problem {
        Some(RefusalBody { code })
            if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS =>
        {
            RequestError::Refused(status, code)
        }
        _ => RequestError::Unavailable(format!("{path}: status {status}")),
    }
}

fn secret<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
    String::deserialize(deserializer).map(Secret::new)
}

impl RequestError {
    /// Whether the api refused with this code.
    pub fn is(&self, code: &str) -> bool {
        matches!(self, Self::Refused(_, refused) if refused == code)
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(status, code) => write!(f, "refused with {status} {code}"),
            Self::Unavailable(why) => f.write_str(why),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_apis_own_word_is_a_refusal() {
        let problem = br#"{"code":"invalid_credentials","detail":"x"}"#;
        assert!(refusal("/login", StatusCode::UNAUTHORIZED, problem).is("invalid_credentials"));
        for (status, body) in [
            (StatusCode::TOO_MANY_REQUESTS, br#"{"code":"rate_limited"}"#.as_slice()),
            (StatusCode::SERVICE_UNAVAILABLE, br#"{"code":"unavailable"}"#),
            (StatusCode::NOT_FOUND, b"<html>nginx</html>"),
        ] {
            assert!(
                matches!(refusal("/login", status, body), RequestError::Unavailable(_)),
                "{status}"
            );
        }
    }

    #[test]
    fn tokens_do_not_print() {
        let grant: TokenGrant = serde_json::from_value(json!({
            "id": 7, "access_token": "aaa", "refresh_token": "rrr", "expires_in": 900
        }))
        .unwrap();
        let text = format!("{grant:?}");
        assert!(!text.contains("aaa") && !text.contains("rrr"), "{text}");
    }
}
