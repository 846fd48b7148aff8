//! The options of a run. Types and their numbers only.

use crate::{cast::Cast, scenario::Scenario, trust::Trust};
use std::{fmt, future::Future, net::IpAddr, pin::Pin, sync::Arc, time::Duration};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// What to do, to whom, as whom.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// The whole scenario, even if this process runs only a share of it.
    pub scenario: Arc<Scenario>,
    /// Everybody in the scenario. Their tokens must be valid when the run starts.
    pub cast: Arc<Cast>,
    /// The deployment's base URL for REST and sockets: `http://host:port` or `https://host:port`.
    pub url: String,
    /// Whose certificates it may show.
    pub trust: Trust,
    /// The command line that asked for the run, without secrets; for the report.
    pub command: String,
    /// Names the run in every text that it sends: 1 to 20 letters, digits and hyphens.
    pub run: String,
    /// Which part of the scenario this process does.
    pub share: Share,
    /// When the first phase begins; at once when not said. Agents agree on a moment.
    pub start: Option<Instant>,
    /// What is added to this machine's clock in the stamps of messages, in microseconds, so that
    /// agents on several machines mean the same time.
    pub clock_offset_micros: i64,
    /// Addresses that connections come from, in turn; the system's choice when empty. An address has
    /// about 28,000 ports towards one server.
    pub local_addresses: Vec<IpAddr>,
    /// Servers whose CPU time and memory are read each second, by name.
    pub scrape: Vec<(String, UsageSource)>,
    /// What happens from outside, beside the scenario's own commands.
    pub faults: Vec<Fault>,
    /// The engine's own limits and pauses. The defaults suit every run; tests shorten some.
    pub tuning: Tuning,
    /// Cancelled: the run ends now, and what has happened is still checked and reported.
    pub stop: CancellationToken,
}

impl RunOptions {
    /// For the whole of a scenario, at once, with nothing scraped.
    pub fn new(
        scenario: Scenario,
        cast: Cast,
        url: impl Into<String>,
        run: impl Into<String>,
    ) -> Self {
        Self {
            scenario: Arc::new(scenario),
            cast: Arc::new(cast),
            url: url.into(),
            trust: Trust::default(),
            command: String::new(),
            run: run.into(),
            share: Share::default(),
            start: None,
            clock_offset_micros: 0,
            local_addresses: Vec::new(),
            scrape: Vec::new(),
            faults: Vec::new(),
            tuning: Tuning::default(),
            stop: CancellationToken::new(),
        }
    }
}

/// Part `index` of `of` equal ones. The parts divide the people, and with them their connections and
/// what these do: nobody is in two, and all together are the scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Which part, counted from 0.
    pub index: usize,
    /// The number of parts, at least 1.
    pub of: usize,
}

impl Default for Share {
    fn default() -> Self {
        Self { index: 0, of: 1 }
    }
}

impl Share {
    /// Whether this part has the person at this place of [`Cast::people`].
    pub fn has(self, person: usize) -> bool {
        person % self.of == self.index
    }
}

/// Where a server's CPU time and memory are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UsageSource {
    /// Its Prometheus metrics: `process_cpu_seconds_total` and `process_resident_memory_bytes`.
    Metrics(String),
    /// These processes of this machine, added up: user and system time, proportional memory.
    Processes(Vec<u32>),
}

/// Something that happens from outside at a moment of the run and is marked on the charts.
#[derive(Clone)]
pub struct Fault {
    /// The label of the mark on the charts.
    pub name: String,
    /// Since the first phase began.
    pub at: Duration,
    /// What the run does at that moment.
    pub act: Act,
}

/// What a fault does.
#[derive(Clone)]
pub enum Act {
    /// A command for `sh -c`.
    Command(String),
    /// A program's own doing. What it returns is the mark's outcome.
    Call(Arc<dyn Fn() -> Pin<Box<dyn Future<Output = String> + Send>> + Send + Sync>),
}

impl Fault {
    /// Calls `act` once, at its time.
    pub fn call<F: Future<Output = String> + Send + 'static>(
        name: impl Into<String>,
        at: Duration,
        act: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self {
        Self { name: name.into(), at, act: Act::Call(Arc::new(move || Box::pin(act()))) }
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fault")
            .field("name", &self.name)
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

/// The engine's own numbers.
#[derive(Clone, Debug)]
pub struct Tuning {
    /// The least time between two looks at the schedule. A timer has a millisecond; at this pace
    /// looking costs 1 % of a core at the most, and nothing leaves later than that.
    pub tick: Duration,
    /// Handshakes on their way at once. More would measure the listen backlog (usually 4,096 for the
    /// deployment, 511 in nginx) and not the server.
    pub handshakes: usize,
    /// How long to wait after the last phase until everything is acknowledged and received. A gateway
    /// repairs a lost event within 4 s, a client that was cut comes back within about 20 s.
    pub settle: Duration,
    /// For how long everybody must have had everything before the run counts as settled: what comes
    /// twice would come in this time.
    pub quiet: Duration,
    /// The same for one part of several, which does not know what the others' people were acknowledged:
    /// longer than the 4 s in which gateways compare themselves with the database.
    pub quiet_apart: Duration,
    /// Requests for the database's messages in flight at once: below the connections that an api
    /// keeps to its database.
    pub readers: usize,
    /// Pages of history (the phases' `history`) on their way at once; what is due beyond is skipped.
    pub pages: usize,
    /// The generator was the limit when one in a hundred of its actions began later than this: a fifth
    /// of what people notice, and beyond the pauses of a busy shared machine …
    pub max_lag: Duration,
    /// … or when it used more than this share of the cores that it may use: above that the operating
    /// system, and not the schedule, decides when something is sent …
    pub busy: f64,
    /// … in more than this share of the seconds that count.
    pub busy_seconds: f64,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            tick: Duration::from_millis(1),
            handshakes: 256,
            settle: Duration::from_secs(30),
            quiet: Duration::from_secs(1),
            quiet_apart: Duration::from_secs(5),
            readers: 8,
            pages: 64,
            max_lag: Duration::from_millis(50),
            busy: 0.9,
            busy_seconds: 0.5,
        }
    }
}
