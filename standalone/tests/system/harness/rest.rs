//! REST as a client sees it: an answer is a status and JSON, and says in a failure what was asked.
//! Every answer must be one that the OpenAPI document knows.

use super::contract::{self, Seen};
use reqwest::{
    Client, Method, RequestBuilder,
    header::{HeaderMap, RETRY_AFTER},
};
use serde_json::Value;

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    #[expect(dead_code, reason = "a failure's text shows it")]
    asked: String,
    pub status: u16,
    pub headers: HeaderMap,
    /// `Null` when the body is empty or no JSON.
    pub body: Value,
}

impl Answer {
    /// The body of an answer that must be a success.
    pub fn ok(self) -> Value {
        assert!((200..300).contains(&self.status), "{self:?}");
        self.body
    }

    /// The answer must be this status, with this code in a problem of the shape of every refusal.
    pub fn refused(self, status: u16, code: &str) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.body["code"], code, "{self:?}");
        assert_eq!(self.headers["content-type"], "application/problem+json", "{self:?}");
        assert_eq!(self.body["status"], status, "{self:?}");
        assert_eq!(self.body["error"], true, "{self:?}");
        assert_eq!(self.body["message"], self.body["detail"], "{self:?}");
        assert!(self.body["timestamp"].is_string(), "{self:?}");
        self
    }

    /// A refusal for bad input names the field.
    pub fn invalid(self, field: &str) {
        let answer = self.refused(422, "validation_failed");
        let names = |error: &Value| error["field"] == field;
        let named = answer.body["errors"].as_array().is_some_and(|all| all.iter().any(names));
        assert!(named, "{field} is not named: {answer:?}");
    }

    /// Seconds after which to come back, when it says so.
    pub fn retry_after(&self) -> Option<u64> {
        self.headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()
    }
}

/// One caller: an origin, and a token if signed in.
#[derive(Clone, Debug)]
pub struct Rest {
    http: Client,
    origin: String,
    token: Option<String>,
}

impl Rest {
    /// A caller whom nobody knows.
    pub fn new(origin: impl Into<String>) -> Self {
        let http = Client::builder().build().expect("a plain client");
        Self { http, origin: origin.into(), token: None }
    }

    /// The same caller with this token.
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    pub async fn get(&self, path: &str) -> Answer {
        Self::send(self.request(Method::GET, path)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        Self::send(self.request(Method::DELETE, path)).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        Self::send(self.request(Method::POST, path).json(&body)).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        Self::send(self.request(Method::PUT, path).json(&body)).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        Self::send(self.request(Method::PATCH, path).json(&body)).await
    }

    /// A request to make more special; send it with [`Rest::send`].
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.origin));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Sends a request; the server must answer something.
    pub async fn send(request: RequestBuilder) -> Answer {
        Self::try_send(request).await.expect("the server answers")
    }

    /// Sends a request to a server that may not be there.
    pub async fn try_send(request: RequestBuilder) -> reqwest::Result<Answer> {
        let request = request.build()?;
        let (method, path) = (request.method().clone(), request.url().path().to_owned());
        let asked = format!("{method} {path}");
        let response = Client::new().execute(request).await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.bytes().await?;
        contract::check(&Seen {
            method: method.as_str(),
            path: &path,
            status,
            headers: &headers,
            body: &body,
        });
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        Ok(Answer { asked, status, headers, body })
    }
}
