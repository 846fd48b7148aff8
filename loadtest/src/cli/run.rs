//! `loadtest run`: prepares the cast, runs the scenario here or on agents, writes the reports, removes the
//! cast.

use super::{
    Exit,
    abort::Abort,
    command_line::command_line,
    exit::Failure,
    files::{FileArgs, Files},
    interrupt::Interrupt,
    json_lines::JsonLines,
    options::{ScenarioArgs, TargetArgs},
    say,
    summary::summary,
};
use crate::{
    agent::{Crew, SecretArgs, coordinate},
    cast::Cast,
    engine::{self, Observer, RunOptions, UsageSource},
    live::LiveView,
    metric,
    prepare::{self, LoadTarget, MAX_RUN, Preparation, PreparedCast},
    report::{Report, RunOutcome},
    scenario::Scenario,
    threshold::Threshold,
};
use anyhow::anyhow;
use clap::Args;
use platform::{
    lifecycle::Lifecycle,
    settings::{CommaSeparated, ListenAddr, ServerUrl},
};
use std::{net::IpAddr, path::PathBuf, str::FromStr, sync::Arc};

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  loadtest run smoke --url http://127.0.0.1:8000
  loadtest run fanout --url http://127.0.0.1:8000 --out results \\
      --scrape gateway=http://127.0.0.1:9000/metrics --set phases.steady.messages=50
  loadtest run mine.toml --url http://lb:8000 --agents http://a:7400,http://b:7400 \\
      --agent-secret-file secret --threshold 'delivery.p99<250ms'")]
pub(super) struct RunArgs {
    #[command(flatten)]
    scenario: ScenarioArgs,
    #[command(flatten)]
    target: TargetArgs,
    /// The name of the run, used in its accounts' names and its texts: letters, digits, hyphens. By
    /// default a random name
    #[arg(long, value_name = "NAME", value_parser = run_name)]
    run: Option<String>,
    #[command(flatten)]
    files: FileArgs,
    /// Reads a server's CPU time and memory each second, either from its metrics or from processes
    /// on this machine (gateway=pid:12,13)
    #[arg(long, value_name = "NAME=URL", value_parser = scrape)]
    scrape: Vec<(String, UsageSource)>,
    /// The agents that create the load, each its share; this process coordinates them
    #[arg(long, value_name = "URL,URL")]
    agents: Vec<CommaSeparated<ServerUrl>>,
    #[command(flatten)]
    secret: SecretArgs,
    /// Addresses of this machine to connect from, in turn; each offers about 28,000 ports
    #[arg(long, value_name = "IP,IP")]
    local_address: Vec<CommaSeparated<LocalAddress>>,
    /// Serves the load tester's own metrics (loadtest_*) at this address during the run
    #[arg(long, value_name = "ADDRESS")]
    metrics_listen: Option<ListenAddr>,
    /// A file of accounts that are kept between runs. Uses the file if it exists, writes it
    /// otherwise
    #[arg(long, value_name = "FILE")]
    accounts: Option<PathBuf>,
    /// Keeps the accounts and chats on the deployment after the run
    #[arg(long)]
    keep: bool,
    /// Ends the run as soon as a threshold can no longer be met (counts and maxima)
    #[arg(long)]
    abort_on_fail: bool,
    /// Prints only errors
    #[arg(long)]
    quiet: bool,
    /// Prints only the result, no progress
    #[arg(long)]
    no_live: bool,
}

/// An address of this machine, without a port.
#[derive(Clone, Copy, Debug)]
struct LocalAddress(IpAddr);

impl FromStr for LocalAddress {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let address = text.parse().map(Self);
        address.map_err(|_| "write an address of this machine, such as 10.0.0.5, without a port")
    }
}

pub(super) async fn run(args: &RunArgs) -> Exit {
    match run_and_report(args).await {
        Ok(report) => {
            if !args.quiet {
                say(summary(&report).trim_end());
            }
            report.outcome.into()
        }
        Err(failure) => failure.tell(),
    }
}

async fn run_and_report(args: &RunArgs) -> Result<Report, Failure> {
    let scenario = args.scenario.read()?;
    is_scraped(&scenario, &args.scrape)?;
    let target = args.target.read().await?;
    let crew = args.crew()?;
    // Agents check their own limits; only a run of this process needs its files.
    if crew.is_none() {
        has_files(&scenario)?;
    }
    let files = Files::new(&args.files)?;
    let run = args.run.clone().unwrap_or_else(name_of_run);
    let mut interrupt = Interrupt::new().map_err(Failure::failed)?;

    let lifecycle = Lifecycle::new();
    let live = (!args.quiet && !args.no_live).then(|| LiveView::new(&scenario));
    let mut observers = args.metrics(&scenario, &lifecycle).await?;
    observers.extend(live.as_ref().map(LiveView::observer));
    let lines = args.files.json_lines.as_deref().map(|file| JsonLines::create(file, &scenario));
    let lines = lines.transpose()?;
    observers.extend(lines.as_ref().map(JsonLines::observer));
    let tell = |progress| {
        if let Some(live) = &live {
            live.preparing(progress);
        }
    };

    let accounts = args.accounts.as_deref();
    let plan = Preparation { scenario: &scenario, target: &target, run: &run, accounts };
    let prepared = prepare_cast(plan, &tell, &mut interrupt).await;
    // The view owns the terminal: it has to go before the failure is printed.
    let prepared = prepared.inspect_err(|_| finish(&live))?;

    let options = args.options(scenario, &target, prepared.cast.clone(), &run);
    let abort = args.abort_on_fail.then(|| Abort::new(&options.scenario, options.stop.clone()));
    observers.extend(abort.as_ref().map(Abort::observer));
    let done = perform(&options, crew.as_ref(), all(observers), &mut interrupt).await;
    // Before `done?`: a failed run leaves no accounts behind either.
    let removed = match args.accounts.is_some() || args.keep {
        true => Ok(()),
        false => clean_up(&target, &prepared, &tell, &mut interrupt).await,
    };
    finish(&live);
    if let Err(why) = removed {
        say(format_args!("warning: accounts named lt-{run}-… remain on the deployment: {why:#}"));
    }
    let mut report = done?;
    if let Some(because) = abort.as_ref().and_then(|abort| abort.reason()) {
        say(format_args!("stopped early: {because} can no longer be met"));
        report.outcome = RunOutcome::Failed;
    }
    files.write(&report)?;
    if let Some(Err(why)) = lines.map(|lines| lines.finish(&report)) {
        say(format_args!("warning: --json-lines: {why:#}"));
    }
    Ok(report)
}

impl RunArgs {
    fn options(
        &self,
        scenario: Scenario,
        target: &LoadTarget,
        cast: Cast,
        run: &str,
    ) -> RunOptions {
        RunOptions {
            trust: target.trust.clone(),
            command: command_line(),
            scrape: self.scrape.clone(),
            local_addresses: self.local_address.iter().flatten().map(|one| one.0).collect(),
            ..RunOptions::new(scenario, cast, &target.url, run)
        }
    }

    /// The agents that create the load; none without `--agents`.
    fn crew(&self) -> Result<Option<Crew>, Failure> {
        let secret = self.secret.read().map_err(|why| Failure::usage(anyhow!(why)))?;
        let agents: Vec<String> = self.agents.iter().flatten().map(ToString::to_string).collect();
        let crew = (!agents.is_empty()).then(|| Crew::new(&agents, secret.as_ref()));
        Ok(crew.transpose()?)
    }

    /// Opens the listener of `--metrics-listen` and returns the observer that feeds it; nothing
    /// without that flag.
    async fn metrics(
        &self,
        scenario: &Scenario,
        lifecycle: &Lifecycle,
    ) -> Result<Vec<Observer>, Failure> {
        let Some(listen) = self.metrics_listen else { return Ok(Vec::new()) };
        let listening = metric::listen(listen.0, lifecycle).await;
        listening.map_err(|why| Failure::failed(anyhow!(why)))?;
        Ok(vec![metric::observer(scenario)])
    }
}

async fn prepare_cast(
    plan: Preparation<'_>,
    tell: prepare::Tell<'_>,
    interrupt: &mut Interrupt,
) -> Result<PreparedCast, Failure> {
    let run = plan.run;
    tokio::select! {
        prepared = prepare::prepare(plan, tell) => prepared.map_err(Failure::from),
        () = interrupt.next() => Err(Failure {
            exit: Exit::Interrupted,
            error: anyhow!("interrupted while creating accounts; their names begin with lt-{run}-"),
        }),
    }
}

/// The run itself. The first signal ends it early, and what was done is checked and reported; the
/// second one ends everything.
async fn perform(
    options: &RunOptions,
    crew: Option<&Crew>,
    observer: Observer,
    interrupt: &mut Interrupt,
) -> Result<Report, Failure> {
    let run = async {
        match crew {
            Some(crew) => Ok(coordinate(options, crew, observer).await?),
            None => Ok(engine::run(options, observer).await?),
        }
    };
    let mut run = std::pin::pin!(run);
    let mut interrupted = false;
    loop {
        tokio::select! {
            report = &mut run => return report,
            () = interrupt.next() => {
                if interrupted {
                    let error = anyhow!("interrupted twice; no report was written");
                    return Err(Failure { exit: Exit::Interrupted, error });
                }
                // The run goes on after this, to its checks and its report.
                interrupted = true;
                options.stop.cancel();
                say("stopping and checking the results so far (interrupt again to stop at once)");
            }
        }
    }
}

async fn clean_up(
    target: &LoadTarget,
    prepared: &PreparedCast,
    tell: prepare::Tell<'_>,
    interrupt: &mut Interrupt,
) -> anyhow::Result<()> {
    tokio::select! {
        removed = prepare::clean_up(target, prepared, tell) => Ok(removed?),
        () = interrupt.next() => Err(anyhow!("interrupted")),
    }
}

/// A threshold on a server that is not scraped would fail after the run; better before.
fn is_scraped(scenario: &Scenario, scrape: &[(String, UsageSource)]) -> Result<(), Failure> {
    for text in &scenario.thresholds {
        let Ok(threshold) = text.parse::<Threshold>() else { continue };
        let Some(name) = threshold.metric.target() else { continue };
        if !scrape.iter().any(|(known, _)| known == name) {
            let why = anyhow!("the threshold {text} needs --scrape {name}=URL");
            return Err(Failure::usage(why));
        }
    }
    Ok(())
}

/// Files besides connections: listeners, pipes, the connections to REST.
const OTHER_FILES: usize = 200;

/// Each connection is an open file.
fn has_files(scenario: &Scenario) -> Result<(), Failure> {
    let most = scenario.phases.iter().filter_map(|phase| phase.connections).max().unwrap_or(0);
    let limit = platform::files::raise_limit();
    if most + OTHER_FILES <= limit {
        return Ok(());
    }
    Err(Failure::usage(anyhow!(
        "the scenario needs {most} connections, but the hard limit on open files here is {limit}: use ulimit -H -n {} \
         or --agents",
        most + OTHER_FILES
    )))
}

/// A random name of 8 letters and digits, so that two runs that begin in the same millisecond
/// differ.
pub(super) fn name_of_run() -> String {
    const SIGNS: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    (0..8).map(|_| char::from(SIGNS[rand::random_range(0..SIGNS.len())])).collect()
}

fn all(observers: Vec<Observer>) -> Observer {
    Arc::new(move |progress| observers.iter().for_each(|observer| observer(progress)))
}

fn finish(live: &Option<Arc<LiveView>>) {
    if let Some(live) = live {
        live.finish();
    }
}

fn run_name(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if (1..=MAX_RUN).contains(&text.len()) && text.chars().all(fits) {
        return Ok(text.to_owned());
    }
    Err(format!("a run's name must have 1 to {MAX_RUN} letters, digits or hyphens"))
}

fn scrape(text: &str) -> Result<(String, UsageSource), String> {
    let example = "write it like gateway-1=http://127.0.0.1:9100/metrics or gateway-1=pid:1234";
    let (name, from) = text.split_once('=').ok_or(example)?;
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.len() > 64 || !name.chars().all(fits) || name == "generator" {
        return Err(format!("{name:?} is not a valid server name; {example}"));
    }
    let source = match from.strip_prefix("pid:") {
        Some(pids) => {
            let pids: Result<_, _> = pids.split(',').map(|pid| pid.trim().parse()).collect();
            UsageSource::Processes(pids.map_err(|_| example)?)
        }
        None if from.starts_with("http://") => UsageSource::Metrics(from.to_owned()),
        None => return Err(example.to_owned()),
    };
    Ok((name.to_owned(), source))
}
