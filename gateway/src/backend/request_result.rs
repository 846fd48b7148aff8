//! What became of a request that the api may refuse. The api's answer to a whole batch is a
//! [`crate::backend::ApiAnswer`].

use crate::backend::{Unavailable, lane::OnAnswer};
use protocol::refusal::Refusal;

/// What a request brought, or why it brought nothing.
pub(crate) type RequestResult<T> = Result<T, RequestError>;

/// Why a request to the api brought nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RequestError {
    /// The api refused it. It was not carried out and will not be.
    Refused(Refusal),
    /// There is no answer, although its lane tried for long. Whether it was carried out is unknown.
    Unavailable,
}

impl From<Refusal> for RequestError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Unavailable> for RequestError {
    /// The cause is in the lane's log: no client is told it.
    fn from(_: Unavailable) -> Self {
        Self::Unavailable
    }
}

/// Has `done` called with the outcome of a request in a lane.
pub(crate) fn on_result<T>(
    done: impl FnOnce(RequestResult<T>) + Send + 'static,
) -> OnAnswer<Result<T, Refusal>> {
    Box::new(move |answer| {
        let outcome = answer.map_err(RequestError::from);
        done(outcome.and_then(|result| result.map_err(RequestError::from)));
    })
}
