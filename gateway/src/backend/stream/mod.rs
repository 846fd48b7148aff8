//! The api over a few long-lived streams: the call of every message, `post`, as binary frames. Everything else goes
//! by HTTP, and so does `post` where the api has no streams of this version. It does not retry, which is up to the
//! lanes.
//!
//! - `connection.rs`: one stream and the calls on it; `opening.rs`: makes streams

mod connection;
mod opening;

use super::{
    ApiAnswer, Backend, Unavailable,
    apis::{ApiTurn, Apis, CALL_TIMEOUT, IDLE_TIMEOUT},
    http::HttpBackend,
};
use connection::{CallError, StreamClient};
use opening::Opener;
use platform::{lifecycle::Lifecycle, telemetry::trace, token::Jwks};
use protocol::{
    calls::{
        Changed, ChangedFound, Dormant, DormantMarked, Events, EventsFound, Guests, GuestsFound,
        MarkRead, Open, Opened, Peers, PeersFound, Post, Posted, View, Viewed,
    },
    stream::post::PostBody,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout_at},
};

/// The streams of a gateway: one for each of its lanes of commands, as HTTP would have connections. With two, a new
/// api behind the same name gets half of a gateway's load at a time.
const STREAMS: usize = 2;

/// How long a stream is used, and up to twice as long. Then a new one is made, which a balancer may give to another
/// api: within some minutes a new api has its share. Making one costs as much as some ten calls by HTTP.
const LIFE: Duration = Duration::from_secs(60);

/// How long calls go by HTTP after an api refused a stream: a rolling upgrade behind one name ends within minutes,
/// and a refusal costs one call by HTTP.
const BY_HTTP: Duration = Duration::from_secs(10);

/// The apis, `post` over streams.
#[derive(Clone)]
pub struct StreamBackend {
    http: HttpBackend,
    inner: Arc<StreamSlots>,
}

struct StreamSlots {
    apis: Arc<Apis>,
    opener: Opener,
    slots: [Mutex<StreamSlot>; STREAMS],
    /// Deals the calls out among the slots.
    next: AtomicUsize,
}

/// The way that calls go now, until they need a new one.
#[derive(Default)]
struct StreamSlot {
    way: Option<PostWay>,
}

#[derive(Clone)]
struct PostWay {
    turn: ApiTurn,
    until: Instant,
    by: By,
}

#[derive(Clone)]
enum By {
    Stream(Arc<StreamClient>),
    /// The api refused a stream.
    Http,
}

impl StreamBackend {
    /// On the same apis as `http`. The streams' tasks are `lifecycle`'s. Connects to nothing yet.
    pub fn new(http: HttpBackend, lifecycle: &Lifecycle) -> Self {
        let apis = Arc::clone(http.apis());
        let opener = Opener::new(Arc::clone(&apis), lifecycle.clone());
        let inner =
            StreamSlots { apis, opener, slots: Default::default(), next: AtomicUsize::new(0) };
        Self { http, inner: Arc::new(inner) }
    }

    async fn post_on_stream(&self, call: Post) -> Result<Posted, Unavailable> {
        let deadline = Instant::now() + CALL_TIMEOUT;
        let late = || Unavailable::late("post", CALL_TIMEOUT);
        loop {
            let turn = self.inner.apis.turn();
            let way = timeout_at(deadline, self.inner.way(turn)).await;
            let answer = match way.unwrap_or_else(|_| Err(late())) {
                Err(error) => Err(error),
                Ok(By::Http) => return self.http.post(call).await,
                Ok(By::Stream(stream)) => {
                    let body = PostBody::new(&call, trace::current());
                    match stream.post(&body, deadline).await {
                        // It was taken out of use in this moment; the next one is new.
                        Err(CallError::NotSent) => continue,
                        Err(CallError::Late) => Err(late()),
                        Err(CallError::Failed(error)) => Err(error),
                        Ok(posted) => Ok(posted),
                    }
                }
            };
            if let Err(Unavailable::NotAnswered(_)) = &answer {
                self.inner.apis.move_on(turn);
            }
            return answer;
        }
    }
}

impl StreamSlots {
    /// The way of the next call to the api whose turn it is.
    async fn way(&self, turn: ApiTurn) -> Result<By, Unavailable> {
        let slot = self.next.fetch_add(1, Ordering::Relaxed) % STREAMS;
        // Held while a stream is made, so that calls wait for one and do not make more.
        let mut slot = self.slots[slot].lock().await;
        if let Some(way) = &slot.way
            && self.apis.is_same(way.turn, turn)
            && Instant::now() < way.until
        {
            match &way.by {
                By::Http => return Ok(By::Http),
                By::Stream(stream) if stream.is_usable(IDLE_TIMEOUT) => return Ok(way.by.clone()),
                By::Stream(_) => {}
            }
        }
        slot.retire();
        let (by, lasts) = match self.opener.open(turn).await? {
            Some(stream) => (By::Stream(stream), LIFE.mul_f64(rand::random_range(1.0..2.0))),
            None => (By::Http, BY_HTTP),
        };
        slot.way = Some(PostWay { turn, until: Instant::now() + lasts, by: by.clone() });
        Ok(by)
    }
}

impl StreamSlot {
    /// Lets the stream end once its calls are answered.
    fn retire(&mut self) {
        if let Some(PostWay { by: By::Stream(stream), .. }) = self.way.take() {
            stream.retire();
        }
    }
}

impl Backend for StreamBackend {
    fn post(&self, call: Post) -> ApiAnswer<Posted> {
        let this = self.clone();
        Box::pin(async move { this.post_on_stream(call).await })
    }

    fn open(&self, call: Open) -> ApiAnswer<Opened> {
        self.http.open(call)
    }

    fn mark_read(&self, call: MarkRead) -> ApiAnswer<()> {
        self.http.mark_read(call)
    }

    fn events(&self, call: Events) -> ApiAnswer<EventsFound> {
        self.http.events(call)
    }

    fn view(&self, call: View) -> ApiAnswer<Viewed> {
        self.http.view(call)
    }

    fn dormant(&self, call: Dormant) -> ApiAnswer<DormantMarked> {
        self.http.dormant(call)
    }

    fn changed(&self, call: Changed) -> ApiAnswer<ChangedFound> {
        self.http.changed(call)
    }

    fn peers(&self, call: Peers) -> ApiAnswer<PeersFound> {
        self.http.peers(call)
    }

    fn guests(&self, call: Guests) -> ApiAnswer<GuestsFound> {
        self.http.guests(call)
    }

    fn jwks(&self) -> ApiAnswer<Jwks> {
        self.http.jwks()
    }
}
