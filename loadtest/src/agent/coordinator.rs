//! Leads agents through one run: gives them their orders, compares their clocks, starts them at one moment,
//! polls them once a second and collects their results. The coordinator alone runs commands against the
//! servers and scrapes them. An agent that fails fails the run, because the other agents' results do not
//! cover the scenario.

use super::{
    clocks::{Offset, worst_pair},
    merged::MergedProgress,
    message::{LEASE, RunRequest, RunStage, Start, UPDATES_AT_ONCE},
    remote::{AgentFault, Remote},
};
use crate::{
    client::Clock,
    engine::{self, Observer, RunError, RunOptions},
    report::Report,
    rest::RestError,
};
use futures_util::future::{join_all, try_join_all};
use platform::settings::Secret;
use std::{collections::BTreeSet, time::Duration};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// The most agents. Each second one coordinator takes in some ten KiB of each.
const MAX_AGENTS: usize = 64;

/// From the order to start to the start: a slow way there and a slow thread at the other end.
const START_DELAY: Duration = Duration::from_secs(2);

const POLL: Duration = Duration::from_secs(1);

/// Why several agents did no run together.
#[expect(missing_docs, reason = "each variant's message says what happened")]
#[derive(Debug, thiserror::Error)]
pub enum AgentsError {
    #[error("{0:?} is not the URL of an agent; write http://HOST:7400")]
    Url(String),
    #[error("{0} is listed twice: each agent runs one share")]
    Twice(String),
    #[error("{0} agents are listed: there must be 1 to {MAX_AGENTS}")]
    Number(usize),
    #[error("agent {agent}: {fault}")]
    Agent { agent: String, fault: AgentFault },
    #[error(transparent)]
    Run(#[from] RunError),
}

/// The agents of a coordinator.
#[derive(Clone)]
pub struct Crew(Vec<Remote>);

impl Crew {
    /// Agents by their base URLs, which all know this secret. Asks them nothing yet.
    pub fn new(urls: &[String], secret: Option<&Secret>) -> Result<Self, AgentsError> {
        if urls.is_empty() || urls.len() > MAX_AGENTS {
            return Err(AgentsError::Number(urls.len()));
        }
        let mut seen = BTreeSet::new();
        let mut agents = Vec::with_capacity(urls.len());
        for url in urls {
            if !seen.insert(url.trim_end_matches('/')) {
                return Err(AgentsError::Twice(url.clone()));
            }
            let agent = Remote::new(url, secret.cloned());
            agents.push(agent.map_err(|_| AgentsError::Url(url.clone()))?);
        }
        Ok(Self(agents))
    }

    /// Does the same with all at once. The first fault, with the agent's name, ends it.
    async fn for_each_agent<'c, A, F>(
        &'c self,
        ask: impl Fn(usize, &'c Remote) -> F,
    ) -> Result<Vec<A>, AgentsError>
    where
        F: Future<Output = Result<A, AgentFault>>,
    {
        let asked = self.0.iter().enumerate().map(|(place, agent)| {
            let answer = ask(place, agent);
            async move { answer.await.map_err(|fault| blame(agent, fault)) }
        });
        try_join_all(asked).await
    }
}

fn blame(agent: &Remote, fault: AgentFault) -> AgentsError {
    AgentsError::Agent { agent: agent.name.clone(), fault }
}

/// Does a whole run on these agents, as [`engine::run`] does it in one process. The agents' share,
/// start and clock are said here, whatever `options` say of them. Dropping it ends the run, too: the
/// agents notice.
pub async fn coordinate(
    options: &RunOptions,
    crew: &Crew,
    observer: Observer,
) -> Result<Report, AgentsError> {
    let report = lead(options, crew, observer).await;
    // After a failure, too: an agent that is not released stays busy until its lease ends.
    join_all(crew.0.iter().map(|agent| agent.release(&options.run))).await;
    report
}

async fn lead(
    options: &RunOptions,
    crew: &Crew,
    observer: Observer,
) -> Result<Report, AgentsError> {
    let (run, of) = (options.run.as_str(), crew.0.len());
    crew.for_each_agent(|index, agent| async move {
        agent.prepare(&RunRequest::new(options, index, of)).await
    })
    .await?;
    // After the preparation, which may take long: the offsets have to be fresh when the load starts.
    let clock = Clock::read();
    let offsets: Vec<Offset> = crew.for_each_agent(|_, agent| agent.offset(run, &clock)).await?;
    let start = Instant::now() + START_DELAY;
    let unix_micros = clock.micros(start);
    crew.for_each_agent(|place, agent| {
        let add_micros = offsets.get(place).map_or(0, |offset| offset.micros.saturating_neg());
        async move { agent.start(run, &Start { unix_micros, add_micros }).await }
    })
    .await?;

    let done = CancellationToken::new();
    let follow = async {
        let followed = follow(run, crew, &options.stop, &observer).await;
        done.cancel();
        followed
    };
    let watch = engine::watch(options, start, done.clone(), observer.clone());
    let (followed, watched) = tokio::join!(follow, watch);
    followed?;

    // Once more, because clocks drift: both readings together bound the error in between.
    let ends: Vec<Offset> = crew.for_each_agent(|_, agent| agent.offset(run, &clock)).await?;
    let parts = crew.for_each_agent(|_, agent| agent.result(run)).await?;
    let mut report = engine::conclude(options, parts, watched, observer).await?;
    let uncertain = offsets.iter().zip(&ends).map(|(start, end)| start.until(*end));
    report.generator.clock_uncertainty_ms = worst_pair(&uncertain.collect::<Vec<_>>());
    Ok(report)
}

/// What is known of an agent that is followed.
#[derive(Clone)]
struct FollowedAgent {
    since: u64,
    heard: Instant,
    ended: bool,
}

/// Polls all agents until all have ended, tells what they do, and hands on that the run shall stop.
async fn follow(
    run: &str,
    crew: &Crew,
    stop: &CancellationToken,
    observer: &Observer,
) -> Result<(), AgentsError> {
    let mut live = MergedProgress::new(crew.0.len());
    let mut all =
        vec![FollowedAgent { since: 0, heard: Instant::now(), ended: false }; crew.0.len()];
    let mut polls = interval(POLL);
    // A slow round of polls must not be followed by several at once.
    polls.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut stopping = false;
    while all.iter().any(|one| !one.ended) {
        tokio::select! {
            _ = polls.tick() => {}
            () = stop.cancelled(), if !stopping => stopping = true,
        }
        let asked = crew.0.iter().zip(&all).enumerate().filter(|(_, (_, one))| !one.ended);
        let asked = asked.map(async |(place, (agent, one))| {
            // Each time: an order that was lost is given again, and a second one changes nothing.
            if stopping && let Err(fault) = agent.stop(run).await {
                return (place, Err(fault));
            }
            (place, agent.progress(run, one.since).await)
        });
        for (place, answer) in join_all(asked.collect::<Vec<_>>()).await {
            let (Some(one), Some(agent)) = (all.get_mut(place), crew.0.get(place)) else {
                continue;
            };
            let progress = match answer {
                Ok(progress) => progress,
                // The agent keeps running for a lease without its coordinator, so nothing is
                // lost before that.
                Err(fault) if is_transient(&fault) && one.heard.elapsed() < LEASE => continue,
                Err(fault) => return Err(blame(agent, fault)),
            };
            one.heard = Instant::now();
            one.since = progress.next;
            // A full answer may not be the last one: an ended agent is asked until it has told all.
            let more = progress.updates.len() == UPDATES_AT_ONCE;
            live.hear(place, progress.updates).iter().for_each(|said| observer(said));
            match progress.state {
                RunStage::Failed(why) => return Err(blame(agent, AgentFault::Failed(why))),
                RunStage::Ended if !more => {
                    one.ended = true;
                    live.ended(place);
                }
                RunStage::Ended | RunStage::Prepared | RunStage::Running => {}
            }
        }
        live.complete().iter().for_each(|said| observer(said));
    }
    Ok(())
}

/// Whether the next poll may have an answer.
fn is_transient(fault: &AgentFault) -> bool {
    matches!(
        fault,
        AgentFault::Silent { .. }
            | AgentFault::Rest(RestError::Failed { .. } | RestError::Later { .. })
    )
}
