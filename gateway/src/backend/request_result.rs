//! The result of one request that the api may refuse. The answer to a whole batch is a
//! [`crate::backend::ApiAnswer`].

use crate::backend::{Unavailable, lane::OnAnswer};
use protocol::refusal::Refusal;

/// The result of a request to the api.
pub(crate) type RequestResult<T> = Result<T, RequestError>;

/// The reason why a request to the api has no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RequestError {
    /// The api refused it. It was not carried out and will not be.
    Refused(Refusal),
    /// The request has no answer, although its lane tried for long. Whether it took effect is unknown.
    Unavailable,
}

impl From<Refusal> for RequestError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Unavailable> for RequestError {
    /// Drops the cause, which the lane has logged and no client is told.
    fn from(_: Unavailable) -> Self {
        Self::Unavailable
    }
}

/// Makes a lane's callback that calls `done` with the result of a request.
pub(crate) fn on_result<T>(
    done: impl FnOnce(RequestResult<T>) + Send + 'static,
) -> OnAnswer<Result<T, Refusal>> {
    Box::new(move |answer| {
        let outcome = answer.map_err(RequestError::from);
        done(outcome.and_then(|result| result.map_err(RequestError::from)));
    })
}
