//! Extractors whose refusals are [`Error`]s: 400 for what is not JSON at all, 413, 415, and 422
//! with the field's name for what has the wrong shape. They check shapes, not rules.

use crate::error::{Error, InvalidField, Result};
use axum::{
    extract::{
        FromRequest, FromRequestParts, MatchedPath, Request,
        path::ErrorKind,
        rejection::{FormRejection, JsonRejection, PathRejection, QueryRejection},
    },
    http::{StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use protocol::code::Code;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeOwned, MapAccess, Visitor, value::MapAccessDeserializer},
};
use std::{error::Error as StdError, fmt, marker::PhantomData};

/// A JSON body, both ways.
#[derive(Debug)]
pub(crate) struct Json<T>(pub T);

/// The query string.
#[derive(Debug)]
pub(crate) struct Query<T>(pub T);

/// The path's parameters.
#[derive(Debug)]
pub(crate) struct Path<T>(pub T);

/// A body as JSON or as `application/x-www-form-urlencoded`, whichever the client says it is.
#[derive(Debug)]
pub(crate) struct JsonOrForm<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self> {
        match axum::Json::from_request(request, state).await {
            Ok(axum::Json(Object(value))) => Ok(Self(value)),
            Err(JsonRejection::JsonSyntaxError(error)) => Err(Error::new(
                Code::MalformedJson,
                format!("The body is not JSON: {}.", cause(&error)),
            )),
            Err(JsonRejection::JsonDataError(error)) => {
                Err(wrong_field::<serde_json::Error>(&error))
            }
            Err(JsonRejection::MissingJsonContentType(_)) => {
                Err(unsupported("Send the body as application/json."))
            }
            Err(JsonRejection::BytesRejection(error)) => Err(unreadable(error.status())),
            Err(error) => Err(unreadable(error.status())),
        }
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonOrForm<T> {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self> {
        let form = request.headers().get(header::CONTENT_TYPE).is_some_and(|kind| {
            let kind = kind.as_bytes();
            let name = kind.split(|byte| *byte == b';').next().unwrap_or_default();
            name.trim_ascii().eq_ignore_ascii_case(b"application/x-www-form-urlencoded")
        });
        if !form {
            return Json::from_request(request, state)
                .await
                .map(|Json(value)| Self(value))
                .map_err(|error| match error.code {
                    Code::UnsupportedMediaType => unsupported(
                        "Send the body as application/json or application/x-www-form-urlencoded.",
                    ),
                    _ => error,
                });
        }
        match axum::Form::from_request(request, state).await {
            Ok(axum::Form(value)) => Ok(Self(value)),
            Err(FormRejection::BytesRejection(error)) => Err(unreadable(error.status())),
            Err(error) => Err(wrong_field::<serde::de::value::Error>(&error)),
        }
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        match axum::extract::Query::from_request_parts(parts, state).await {
            Ok(axum::extract::Query(value)) => Ok(Self(value)),
            Err(QueryRejection::FailedToDeserializeQueryString(error)) => {
                Err(wrong_field::<serde::de::value::Error>(&error))
            }
            Err(error) => Err(unreadable(error.status())),
        }
    }
}

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(PathRejection::FailedToDeserializePathParams(error)) => {
                Err(match error.into_kind() {
                    ErrorKind::ParseErrorAtKey { key, .. }
                    | ErrorKind::InvalidUtf8InPathParam { key }
                    | ErrorKind::DeserializeError { key, .. } => {
                        Error::field(&key, "is not of the expected type")
                    }
                    // A lone parameter's name is only in the route.
                    _ => {
                        let route = parts.extensions.get::<MatchedPath>();
                        let name = route.and_then(|route| {
                            route.as_str().split_once('{')?.1.split_once('}').map(|(name, _)| name)
                        });
                        Error::field(name.unwrap_or("path"), "is not of the expected type")
                    }
                })
            }
            Err(error) => Err(unreadable(error.status())),
        }
    }
}

/// A JSON object, as all our bodies are. By itself serde also takes `["ann", "secret"]` for a struct,
/// field after field.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData)).map(Self)
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map))
    }
}

/// 422 naming the field that serde stumbled over.
fn wrong_field<E: StdError + 'static>(error: &(dyn StdError + 'static)) -> Error {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<serde_path_to_error::Error<E>>() {
            let mut reason = found.inner().to_string();
            if let Some(end) = reason.find(" at line ") {
                reason.truncate(end);
            }
            let path = found.path().to_string();
            // For a missing field serde names the object around it; the field is in the text.
            if let Some(missing) = reason.strip_prefix("missing field `") {
                return Error::field(missing.trim_end_matches('`'), "is required");
            }
            return Error::field(if path == "." { "body" } else { &path }, reason);
        }
        next = error.source();
    }
    let fields = vec![InvalidField { field: "body".to_owned(), message: cause(error) }];
    Error { fields, ..Error::field("body", "has the wrong shape") }
}

/// The innermost cause's text.
fn cause(error: &(dyn StdError + 'static)) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

fn unsupported(detail: &'static str) -> Error {
    Error::new(Code::UnsupportedMediaType, detail)
}

/// The request could not be read: too large, or broken off.
fn unreadable(status: StatusCode) -> Error {
    if status == StatusCode::PAYLOAD_TOO_LARGE {
        Code::BodyTooLarge.into()
    } else if status.is_client_error() {
        Code::BadRequest.into()
    } else {
        Error::internal()
    }
}
