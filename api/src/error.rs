//! What a service returns instead of a result: a refusal that the caller is shown, or a failure of ours,
//! whose cause goes to the log where it is handled and never in here. It knows no HTTP.

use platform::settings::Secret;
use protocol::code::Code;
use protocol::id::ChatId;
use std::{borrow::Cow, fmt::Display};

/// What services return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Safe to show to the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// What clients go by; it decides the status, too.
    pub code: Code,
    /// One sentence for a person: the code's own, or one that says more.
    pub detail: Cow<'static, str>,
    /// The fields that did not validate, each with its reason.
    pub fields: Vec<InvalidField>,
    /// Seconds after which the caller may come back, where that is known.
    pub retry_after: Option<u64>,
    /// The chat that the caller meant, where there is one already.
    pub chat_id: Option<ChatId>,
    /// What the second step of signing in needs to go on.
    pub second_step: Option<Secret>,
    /// Whether the database asked to carry the transaction out again: nothing of it is stored.
    pub conflict: bool,
}

/// One field that did not validate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidField {
    /// As the request names it; a path such as `chats[3].name` inside of lists.
    pub field: String,
    /// What is wrong with it, to be read behind the field's name.
    pub message: String,
}

impl Error {
    /// A refusal with a sentence of its own.
    pub fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            detail: detail.into(),
            fields: Vec::new(),
            retry_after: None,
            chat_id: None,
            second_step: None,
            conflict: false,
        }
    }

    /// `validation_failed`, with one field and its reason.
    pub fn field(field: &str, message: impl Into<String>) -> Self {
        let message = message.into();
        let detail = format!("{field}: {message}");
        let fields = vec![InvalidField { field: field.to_owned(), message }];
        Self { fields, ..Self::new(Code::ValidationFailed, detail) }
    }

    /// The database or another part does not answer: come back in a second.
    pub fn unavailable() -> Self {
        Self { retry_after: Some(1), ..Code::Unavailable.into() }
    }

    /// The transaction got into another one's way.
    pub(crate) fn conflict() -> Self {
        Self { conflict: true, ..Self::unavailable() }
    }

    /// Come back in this many seconds, at least one.
    pub fn too_many(retry_after: u64) -> Self {
        Self { retry_after: Some(retry_after.max(1)), ..Code::RateLimited.into() }
    }

    /// Whether it is about what the caller asked for, and not a failure of ours.
    pub(crate) fn is_refusal(&self) -> bool {
        self.code.status() < 500
    }

    /// A fault of ours. The cause is in the log.
    pub fn internal() -> Self {
        Code::Internal.into()
    }
}

impl From<Code> for Error {
    fn from(code: Code) -> Self {
        Self::new(code, code.sentence())
    }
}

/// Logs the cause of a fault that is not the database's, and makes the error: `.map_err(fault)?`.
pub fn fault(cause: impl Display) -> Error {
    tracing::error!(error = format!("{cause:#}"), "a request failed");
    Error::internal()
}
