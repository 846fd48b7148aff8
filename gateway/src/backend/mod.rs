//! The gateway's calls to the api. The gateway does not know who answers them: an api over HTTP in a cluster,
//! the api's own functions in one process.
//!
//! - `http.rs`: the api over HTTP; `stream/`: its hottest call over streams; `apis.rs`: the addresses of both
//! - `lane/`: batches and repeats of one kind of request; `lanes.rs`: the lanes of connections;
//!   `hub_lanes.rs`: those of the hub
//! - `request_result.rs`: the result of a request that the api may refuse
//! - `keys.rs`: the public keys that tokens are verified with

mod apis;
pub mod http;
pub(crate) mod hub_lanes;
pub(crate) mod keys;
pub(crate) mod lane;
pub(crate) mod lanes;
pub(crate) mod request_result;
#[cfg(test)]
pub(crate) mod scripted;
pub mod stream;

use futures_util::future::BoxFuture;
use platform::token::Jwks;
use protocol::calls::{
    Changed, ChangedFound, Dormant, DormantMarked, Events, EventsFound, Guests, GuestsFound,
    MarkRead, Open, Opened, Peers, PeersFound, Post, Posted, View, Viewed,
};
use std::time::Duration;

/// The api as a gateway sees it. Every call is a batch, safe to repeat, and is answered item by item in the
/// order of its items. The refusal of one item does not stop the others. [`protocol::calls`] has the bounds of
/// each call.
pub trait Backend: Send + Sync + 'static {
    /// Checks that these sessions are open, and returns the chats with which their connections start. Called
    /// before a connection is ready, and again for all sessions when the gateway may have missed the end of one.
    fn open(&self, call: Open) -> ApiAnswer<Opened>;
    /// Carries out commands. The answer to an item is its receipt, given after the commit. A command that was
    /// committed before gets its earlier receipt again. The answer also has the events.
    fn post(&self, call: Post) -> ApiAnswer<Posted>;
    /// Moves read marks forward. A mark of a user who is not a member changes nothing and is no error.
    fn mark_read(&self, call: MarkRead) -> ApiAnswer<()>;
    /// Returns a page of each range of events, or `None` for a deleted chat. A page that stops before the chat's
    /// head says how far it reaches. Ask again from there.
    fn events(&self, call: Events) -> ApiAnswer<EventsFound>;
    /// Returns chats as these users may watch them now, or a refusal.
    fn view(&self, call: View) -> ApiAnswer<Viewed>;
    /// Marks chats as dormant for users: the next message in such a chat wakes the user. `false` for a user who
    /// is not a member and will not be woken.
    fn dormant(&self, call: Dormant) -> ApiAnswer<DormantMarked>;
    /// Returns recent changes, which include everything that the bus may have lost. Called every few seconds.
    fn changed(&self, call: Changed) -> ApiAnswer<ChangedFound>;
    /// Returns the private chats of these pairs. Makes a chat for a pair that has none.
    fn peers(&self, call: Peers) -> ApiAnswer<PeersFound>;
    /// Returns the guests of these names. A name keeps its id.
    fn guests(&self, call: Guests) -> ApiAnswer<GuestsFound>;
    /// Returns the public keys that verify access tokens. Called once a minute, and at once for a token of an
    /// unknown key.
    fn jwks(&self) -> ApiAnswer<Jwks>;
}

/// A pending answer to a whole batch.
pub type ApiAnswer<T> = BoxFuture<'static, Result<T, Unavailable>>;

/// There is no answer. Whether the call took effect is unknown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// Nobody answered, or the api failed for a reason of its own. The same call may be answered a moment
    /// later, or by another api.
    #[error("the api did not answer: {0}")]
    NotAnswered(String),
    /// The api does not accept this call, or its answer is too long or malformed. The same call would end
    /// the same way.
    #[error("the api refused the call: {0}")]
    Refused(String),
}

impl Unavailable {
    /// The error for a call that took longer than it may.
    fn late(call: &str, timeout: Duration) -> Self {
        Self::NotAnswered(format!("{call}: no answer within {} s", timeout.as_secs()))
    }

    /// The error for an HTTP status other than 200. Only a status that judges the body repeats for the same
    /// body. Any other one, such as for a wrong secret or an unknown path, depends on the api's state, and a
    /// smaller call would not get around it.
    pub fn status(status: u16, why: String) -> Self {
        match status {
            400 | 413 | 422 => Self::Refused(why),
            _ => Self::NotAnswered(why),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_judges_the_body_is_a_refusal() {
        for status in [400, 413, 422] {
            assert!(matches!(Unavailable::status(status, String::new()), Unavailable::Refused(_)));
        }
        for status in [401, 403, 404, 408, 429, 500, 502, 503, 504] {
            let error = Unavailable::status(status, String::new());
            assert!(matches!(error, Unavailable::NotAnswered(_)), "{status}");
        }
    }
}
