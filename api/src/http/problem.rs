//! Errors as HTTP clients see them: the status of each code, and the answer as `application/problem+json`.

use super::again::Conflict;
use crate::error::Error;
use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use platform::problem::{FieldError, Problem};

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let Error { code, detail, fields, retry_after, chat_id, second_step, conflict: _ } = error;
        let field = |field: crate::error::InvalidField| FieldError {
            field: field.field,
            message: field.message,
        };
        Self {
            status: StatusCode::from_u16(code.status())
                .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            code: code.as_str(),
            detail,
            fields: fields.into_iter().map(field).collect(),
            retry_after,
            chat_id,
            second_step: second_step.map(Box::new),
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let conflict = self.conflict;
        let mut response = Problem::from(self).into_response();
        if conflict {
            response.extensions_mut().insert(Conflict);
        }
        response
    }
}
