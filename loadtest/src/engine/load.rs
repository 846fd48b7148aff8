//! Runs one process's share of the load: through the phases on schedule, then until everything has settled.

use super::{
    Observer, RunError, RunEvent, RunOptions, RunPart, TokenRenewal,
    collect::Collector,
    pages::HistoryPages,
    plan::Plan,
    population::{Backlog, Population},
    schedule::Schedule,
};
use crate::{
    client::{Clock, Fleet, FleetOptions, SocketTarget},
    history::{Ledger, LedgerLimits},
    measure::Op,
    recorder::{Recorder, Shard},
    rest::Rest,
};
use protocol::time::Timestamp;
use std::time::Duration;
use tokio::time::Instant;

/// Actions done before the clock is read again: some hundred microseconds' work.
const BATCH: usize = 256;

/// Between two looks at whether everything has settled.
const LOOK: Duration = Duration::from_millis(100);

struct RunningLoad<'a> {
    options: &'a RunOptions,
    plan: &'a Plan,
    start: Instant,
    population: Population<'a>,
    collector: Collector,
    pages: HistoryPages,
    shard: Shard,
    observer: &'a Observer,
}

/// Does this process's share: connects, goes through the phases, waits until everything has settled.
/// Commands and scrapes are not part of it.
pub(crate) async fn run_part(
    options: &RunOptions,
    observer: Observer,
) -> Result<RunPart, RunError> {
    let scenario = &*options.scenario;
    let plan = Plan::new(scenario, options.share);
    let (needed, there) = (scenario.people.accounts, options.cast.people.len());
    if needed > there {
        return Err(RunError::People { needed, there });
    }
    let target = SocketTarget::resolve(&options.url, &options.trust).await?;
    let rest = Rest::trusting(&options.url, &options.trust)
        .map_err(|error| RunError::Rest(error.to_string()))?;
    let (recorder, ledger) = (Recorder::default(), Ledger::new(LedgerLimits::default()));
    let fleet = Fleet::start(FleetOptions {
        target,
        run: options.run.clone(),
        seed: scenario.seed.wrapping_add(options.share.index as u64),
        clock: Clock::read().shifted(options.clock_offset_micros),
        threads: 0,
        sources: options.local_addresses.clone(),
        ledger: ledger.clone(),
        recorder: recorder.clone(),
    })?;
    let shard = recorder.shard();
    let population = Population::new(options, &plan, &fleet, shard.clone());
    let start = options.start.unwrap_or_else(Instant::now);
    // Threads and accounts exist by now, so that the first action is not late.
    tokio::time::sleep_until(start).await;
    let started = Timestamp::now();
    let mut load = RunningLoad {
        options,
        plan: &plan,
        start,
        population,
        collector: Collector::new(options, &plan, recorder, start),
        pages: HistoryPages::new(rest, shard.clone(), options.tuning.pages),
        shard,
        observer: &observer,
    };
    let (mut interrupted, mut begun) = (false, 0);
    while begun < scenario.phases.len() && !interrupted {
        interrupted = !load.phase(begun).await;
        begun += 1;
    }
    load.settle().await;
    let shortfall = load.population.shortfall();
    let RunningLoad { population, collector, pages, .. } = load;
    pages.finish().await;
    let renewed = renewals(&population).await;
    // It borrows the fleet, which ends below.
    drop(population);
    let (slices, generator) = collector.finish(Instant::now(), &observer);
    fleet.stop().await;
    // Only when the fleet has ended has every device given its log back.
    let record = ledger.record();
    Ok(RunPart { started, slices, record, shortfall, generator, interrupted, begun, renewed })
}

/// The people whose tokens changed in the run, with their present tokens.
async fn renewals(population: &Population<'_>) -> Vec<TokenRenewal> {
    let mut renewed = Vec::new();
    for (person, account) in population.accounts().iter().enumerate() {
        let changed = account.changed().await;
        renewed.extend(changed.map(|(token, refresh)| TokenRenewal { person, token, refresh }));
    }
    renewed
}

impl RunningLoad<'_> {
    /// Whether the phase came to its end.
    async fn phase(&mut self, phase: usize) -> bool {
        (self.observer)(&RunEvent::Phase(phase));
        let scenario = &*self.options.scenario;
        let bytes = scenario.phases[phase].bytes;
        let end = self.start + Duration::from_secs_f64(self.plan.spans()[phase].to);
        let mut schedule = Schedule::new(scenario, self.plan, phase).peekable();
        let went_on = loop {
            let now = Instant::now();
            for _ in 0..BATCH {
                let Some(action) = schedule.next_if(|next| self.start + next.at <= now) else {
                    break;
                };
                let due = self.start + action.at;
                if let Some((account, chat)) = self.population.execute(&action, due, bytes) {
                    // What devices do late they say themselves.
                    let late = now.saturating_duration_since(due).as_micros();
                    self.shard.lock().time(Op::Lag, u64::try_from(late).unwrap_or(u64::MAX));
                    self.pages.read(account, chat, due);
                }
            }
            self.population.connect();
            self.collector.cut(now, self.observer);
            let next = schedule.peek().map_or(end, |next| self.start + next.at);
            if now >= end && schedule.peek().is_none() {
                break true;
            }
            let mut wake = next.min(self.collector.next_cut());
            if self.population.is_crowded() {
                // A handshake may end at any moment, and the next one takes its place.
                wake = now;
            }
            let wake = wake.max(now + self.options.tuning.tick);
            tokio::select! {
                // A stop comes first, even if the schedule is behind.
                biased;
                () = self.options.stop.cancelled() => break false,
                () = tokio::time::sleep_until(wake) => {}
            }
        };
        self.population.end_loops();
        went_on
    }

    /// Waits until every command is answered, everybody is connected and has everything, and nothing
    /// more arrives; or until it has taken too long.
    async fn settle(&mut self) {
        let tuning = &self.options.tuning;
        let quiet = if self.options.share.of > 1 { tuning.quiet_apart } else { tuning.quiet };
        let until = Instant::now() + tuning.settle;
        let (mut since, mut said) = (None, None);
        loop {
            tokio::time::sleep(LOOK).await;
            self.population.connect();
            let now = Instant::now();
            self.collector.cut(now, self.observer);
            let backlog = self.population.backlog();
            if backlog == Backlog::default() {
                if now >= *since.get_or_insert(now) + quiet {
                    return;
                }
            } else {
                // Something is on its way again: the quiet time begins anew.
                since = None;
            }
            // What is acknowledged is known to exist: only then it can be said who has everything.
            if backlog.unacked == 0 {
                self.population.recheck_incomplete();
            }
            let left = until.saturating_duration_since(now);
            if left.is_zero() {
                return;
            }
            if said.is_none_or(|said| now >= said + Duration::from_secs(1)) {
                said = Some(now);
                let Backlog { unacked, away, behind } = backlog;
                (self.observer)(&RunEvent::Settling { unacked, away: away + behind, left });
            }
        }
    }
}
