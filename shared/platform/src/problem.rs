//! Errors as HTTP clients see them: `application/problem+json` with the fields that the clients of every
//! dialect expect. The code that handles an error logs its cause; this file never does.

use crate::settings::Secret;
use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use protocol::{id::ChatId, time::Timestamp};
use serde::Serialize;
use std::borrow::Cow;

/// A refusal: safe to show to the caller. Turns into a response by itself.
#[derive(Debug, Clone)]
pub struct Problem {
    /// The HTTP status.
    pub status: StatusCode,
    /// Stable and machine-readable, snake_case.
    pub code: &'static str,
    /// One sentence for a person: what is wrong and what to do.
    pub detail: Cow<'static, str>,
    /// For validation errors: the fields concerned, each with its reason.
    pub fields: Vec<FieldError>,
    /// For 429 and 503: seconds after which to come back.
    pub retry_after: Option<u64>,
    /// The chat that the caller meant, where there is one already.
    pub chat_id: Option<ChatId>,
    /// What the second step of signing in needs to go on. Boxed, because every refusal carries its space.
    pub second_step: Option<Box<Secret>>,
}

/// One field that did not validate.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FieldError {
    /// The name of the field, as the client wrote it.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

/// The content type of every refusal (RFC 9457).
pub const PROBLEM_JSON: &str = "application/problem+json";

/// A refusal: `code` is for programs, `detail` for people.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Problem))]
pub struct ProblemBody<'a> {
    /// The status of the answer.
    status: u16,
    title: &'a str,
    /// What is wrong and what to do. The text may change.
    detail: &'a str,
    /// Always true.
    error: bool,
    /// Stable, snake_case.
    code: &'a str,
    /// The same as `detail`.
    message: &'a str,
    timestamp: Timestamp,
    /// For validation errors: the fields concerned.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [FieldError],
    /// The chat that the caller meant, where there is one already.
    #[serde(skip_serializing_if = "Option::is_none")]
    chat_id: Option<ChatId>,
    /// With `second_step_required`: the token for `POST /login/second-step`.
    #[serde(skip_serializing_if = "Option::is_none")]
    second_step: Option<&'a str>,
}

impl Problem {
    /// A problem with this status, code and sentence.
    pub fn new(
        status: StatusCode,
        code: &'static str,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            status,
            code,
            detail: detail.into(),
            fields: Vec::new(),
            retry_after: None,
            chat_id: None,
            second_step: None,
        }
    }

    /// 422 about one field.
    pub fn field(field: &str, message: impl Into<String>) -> Self {
        let message = message.into();
        let mut problem = Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "validation_failed",
            format!("{field}: {message}"),
        );
        problem.fields.push(FieldError { field: field.to_owned(), message });
        problem
    }

    /// 503: the database or another part does not answer; come back in a second.
    pub fn unavailable() -> Self {
        let mut problem = Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            "The service cannot answer right now. Try again in a moment.",
        );
        problem.retry_after = Some(1);
        problem
    }

    /// 429: come back in so many seconds.
    pub fn too_many(retry_after: u64) -> Self {
        let mut problem = Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "rate_limited",
            "Too many requests. Wait and try again.",
        );
        problem.retry_after = Some(retry_after.max(1));
        problem
    }

    /// 500: a fault of ours. The cause is in the log.
    pub fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "Something went wrong on our side.",
        )
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = ProblemBody {
            status: self.status.as_u16(),
            title: self.status.canonical_reason().unwrap_or("Error"),
            detail: &self.detail,
            error: true,
            code: self.code,
            message: &self.detail,
            timestamp: Timestamp::now(),
            errors: &self.fields,
            chat_id: self.chat_id,
            second_step: self.second_step.as_deref().map(Secret::reveal),
        };
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
