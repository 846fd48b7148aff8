//! The addresses of the apis, what a gateway shows them, and whose turn it is: calls go to one api until it does not
//! answer, then to the next.

use hyper::http::HeaderValue;
use hyper_util::client::legacy::connect::HttpConnector;
use platform::settings::{Secret, ServerUrl};
use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

/// A call that takes longer has failed. A longer timeout than the api's own statement timeout is pointless;
/// a shorter one repeats work that is about to finish.
pub(super) const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a connection without a call is kept. Below the api's own idle timeout, so that a call never meets a
/// closing connection.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_secs(10);

/// The apis. All calls of a node share it.
pub(super) struct Apis {
    bases: Vec<String>,
    /// The turn of the api that answered last; a failure moves on to the next.
    current: AtomicUsize,
    /// The header that each call carries.
    pub authorization: HeaderValue,
}

/// One api's turn.
#[derive(Clone, Copy, Debug)]
pub(super) struct ApiTurn(usize);

impl Apis {
    /// At least one, with the shared secret. An error is one sentence for the operator.
    pub(super) fn new<'a>(
        apis: impl Iterator<Item = &'a ServerUrl>,
        token: &Secret,
    ) -> Result<Self, String> {
        let bases: Vec<String> = apis.map(ToString::to_string).collect();
        if bases.is_empty() {
            return Err(
                "API_URL is missing. Set it to the apis' internal listeners: http://host:port"
                    .into(),
            );
        }
        let mut authorization = HeaderValue::from_str(&format!("Bearer {}", token.reveal()))
            .map_err(|_| "INTERNAL_TOKEN contains characters that an HTTP header cannot carry")?;
        authorization.set_sensitive(true);
        // Gateways start with different apis.
        let current = AtomicUsize::new(rand::random_range(0..bases.len()));
        Ok(Self { bases, current, authorization })
    }

    /// Whose turn it is.
    pub(super) fn turn(&self) -> ApiTurn {
        ApiTurn(self.current.load(Ordering::Relaxed))
    }

    /// The address of the api.
    pub(super) fn base(&self, ApiTurn(turn): ApiTurn) -> &str {
        &self.bases[turn % self.bases.len()]
    }

    /// Whether both turns are those of one address. A single one is always next.
    pub(super) fn is_same(&self, ApiTurn(one): ApiTurn, ApiTurn(other): ApiTurn) -> bool {
        one % self.bases.len() == other % self.bases.len()
    }

    /// The api of this turn is about to stop: whatever turn it has now, the next one begins.
    pub(super) fn leave(&self, turn: ApiTurn) {
        let now = self.turn();
        if self.is_same(now, turn) {
            self.move_on(now);
        }
    }

    /// The api does not answer. Whoever finds out first moves everybody on; the others do not
    /// skip one.
    pub(super) fn move_on(&self, ApiTurn(turn): ApiTurn) {
        let (next, relaxed) = (turn.wrapping_add(1), Ordering::Relaxed);
        let _ = self.current.compare_exchange(turn, next, relaxed, relaxed);
    }
}

/// Connects to apis.
pub(super) fn connector() -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(Duration::from_secs(1)));
    connector
}
