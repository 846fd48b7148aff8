//! Errors as HTTP clients see them: the status of each code, and the answer as `application/problem+json`.

use crate::{code::Code, error::Error};
use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use shared::problem::{FieldError, Problem};

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let Error { code, detail, fields, retry_after, chat_id } = error;
        let field = |field: crate::error::FieldError| FieldError {
            field: field.field,
            message: field.message,
        };
        Self {
            status: status(code),
            code: code.as_str(),
            detail,
            fields: fields.into_iter().map(field).collect(),
            retry_after,
            chat_id,
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}

fn status(code: Code) -> StatusCode {
    match code {
        Code::BadRequest
        | Code::BlocklistFull
        | Code::CannotBanYourself
        | Code::CannotBlockYourself
        | Code::ClientMessageIdReused
        | Code::EmailTaken
        | Code::GroupFull
        | Code::InvalidUsername
        | Code::MalformedJson
        | Code::NotARoom
        | Code::PrivateChat
        | Code::PrivateChatExists
        | Code::RecipientIsYourself
        | Code::TooManyBans
        | Code::TooManyChats
        | Code::TooManyInvitations
        | Code::UsernameTaken
        | Code::WrongPassword => StatusCode::BAD_REQUEST,
        Code::BearerOnly
        | Code::InvalidCredentials
        | Code::InvalidRefreshToken
        | Code::InvalidToken
        | Code::SessionEnded
        | Code::TokenExpired
        | Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::AdminOnly
        | Code::Banned
        | Code::Blocked
        | Code::BlockedByRecipient
        | Code::GuestsOff
        | Code::Lobby
        | Code::NotAMember
        | Code::NotTheOwner
        | Code::NotYours
        | Code::OtherUser
        | Code::RecipientBlocked
        | Code::WrongOrigin => StatusCode::FORBIDDEN,
        Code::ChatNotFound
        | Code::MemberNotFound
        | Code::MessageNotFound
        | Code::NotFound
        | Code::RecipientNotFound
        | Code::SessionNotFound
        | Code::UserNotFound => StatusCode::NOT_FOUND,
        Code::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        Code::DemoRefused | Code::LastAdmin => StatusCode::CONFLICT,
        Code::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Code::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Code::ValidationFailed => StatusCode::UNPROCESSABLE_ENTITY,
        Code::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        Code::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        Code::Busy | Code::Timeout | Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
    }
}
