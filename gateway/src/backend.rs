//! What a gateway asks of the api. The gateway may not know who answers: over HTTP in a cluster,
//! by direct calls in one process.

use futures_util::future::BoxFuture;
use shared::{
    internal::{
        Changed, ChangedFound, Dormant, DormantMarked, Events, EventsFound, Guests, GuestsFound,
        MarkRead, Open, Opened, Peers, PeersFound, Post, Posted, View, Viewed,
    },
    token::Jwks,
};

/// The api as a gateway sees it: batches, each safe to repeat. See [`shared::internal`] for what
/// each promises.
pub trait Backend: Send + Sync + 'static {
    fn open(&self, call: Open) -> Answer<Opened>;
    fn post(&self, call: Post) -> Answer<Posted>;
    fn mark_read(&self, call: MarkRead) -> Answer<()>;
    fn events(&self, call: Events) -> Answer<EventsFound>;
    fn view(&self, call: View) -> Answer<Viewed>;
    fn dormant(&self, call: Dormant) -> Answer<DormantMarked>;
    fn changed(&self, call: Changed) -> Answer<ChangedFound>;
    fn peers(&self, call: Peers) -> Answer<PeersFound>;
    fn guests(&self, call: Guests) -> Answer<GuestsFound>;
    /// The public keys that access tokens verify with.
    fn jwks(&self) -> Answer<Jwks>;
}

/// An answer on its way.
pub type Answer<T> = BoxFuture<'static, Result<T, Unavailable>>;

/// The api did not answer, or not as agreed: whether the call took effect is unknown. Try again.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the api does not answer: {0}")]
pub struct Unavailable(pub String);
