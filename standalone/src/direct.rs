//! The gateway's view of the api in one process: direct calls, no HTTP between.

use api::{Api, error::Error, internal};
use gateway::backend::{ApiAnswer, Backend, Unavailable};
use platform::{problem::Problem, token::Jwks};
use protocol::calls::{
    Changed, ChangedFound, Dormant, DormantMarked, Events, EventsFound, Guests, GuestsFound,
    MarkRead, Open, Opened, Peers, PeersFound, Post, Posted, View, Viewed,
};

/// Calls the api's services.
pub struct Direct(pub Api);

/// Implements one call: the service of the same name, a refusal of the whole call told as over HTTP.
macro_rules! call {
    ($self:ident, $call:ident, $service:path) => {{
        let api = $self.0.clone();
        Box::pin(async move { $service(&api, $call).await.map_err(unavailable) })
    }};
}

impl Backend for Direct {
    fn open(&self, call: Open) -> ApiAnswer<Opened> {
        call!(self, call, internal::open)
    }

    fn post(&self, call: Post) -> ApiAnswer<Posted> {
        call!(self, call, internal::post)
    }

    fn mark_read(&self, call: MarkRead) -> ApiAnswer<()> {
        call!(self, call, internal::mark_read)
    }

    fn events(&self, call: Events) -> ApiAnswer<EventsFound> {
        call!(self, call, internal::events)
    }

    fn view(&self, call: View) -> ApiAnswer<Viewed> {
        call!(self, call, internal::view)
    }

    fn dormant(&self, call: Dormant) -> ApiAnswer<DormantMarked> {
        call!(self, call, internal::dormant)
    }

    fn changed(&self, call: Changed) -> ApiAnswer<ChangedFound> {
        call!(self, call, internal::changed)
    }

    fn peers(&self, call: Peers) -> ApiAnswer<PeersFound> {
        call!(self, call, internal::peers)
    }

    fn guests(&self, call: Guests) -> ApiAnswer<GuestsFound> {
        call!(self, call, internal::guests)
    }

    fn jwks(&self) -> ApiAnswer<Jwks> {
        let jwks = self.0.tokens.jwks().clone();
        Box::pin(async move { Ok(jwks) })
    }
}

fn unavailable(error: Error) -> Unavailable {
    let problem = Problem::from(error);
    Unavailable::status(problem.status.as_u16(), problem.detail.to_string())
}

#[cfg(test)]
mod tests;
