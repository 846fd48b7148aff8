//! `loadtest scenarios` and `loadtest validate`.

use super::{Exit, print, say};
use crate::{
    duration,
    scenario::Scenario,
    scenarios::{SHIPPED, ScenarioOverride, ScenarioSource, read, shipped},
};
use clap::Args;
use std::time::Duration;

#[derive(Args)]
pub(super) struct ScenariosArgs {
    /// The scenario to print, comments included, as a template
    name: Option<String>,
}

#[derive(Args)]
pub(super) struct ValidateArgs {
    /// Scenario files or names of shipped scenarios
    #[arg(required = true, value_name = "SCENARIO")]
    scenarios: Vec<String>,
    /// Changes a value in each scenario, such as people.accounts=200
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<ScenarioOverride>,
}

pub(super) fn show(args: &ScenariosArgs) -> Exit {
    let Some(name) = &args.name else {
        for known in SHIPPED {
            if let Ok(scenario) = shipped(known.name) {
                let length = duration::format(length(&scenario));
                print(&format!("{:<10} {length:>5}  {}", known.name, scenario.description));
            }
        }
        return Exit::Ok;
    };
    match ScenarioSource::open(name) {
        Ok(source) => {
            print(&source.text);
            Exit::Ok
        }
        Err(mistakes) => {
            say(mistakes);
            Exit::Usage
        }
    }
}

pub(super) fn validate(args: &ValidateArgs) -> Exit {
    let mut exit = Exit::Ok;
    for name in &args.scenarios {
        match ScenarioSource::open(name).and_then(|source| read(&source, &args.set)) {
            Ok(scenario) => print(&format!("{name}: ok: {}", one_line(&scenario))),
            Err(mistakes) => {
                say(mistakes);
                exit = Exit::Usage;
            }
        }
    }
    exit
}

/// What it would do.
fn one_line(scenario: &Scenario) -> String {
    let most = scenario.phases.iter().filter_map(|phase| phase.connections).max().unwrap_or(0);
    let messages = scenario.phases.iter().map(|phase| {
        let rate = phase.messages;
        f64::midpoint(rate.from, rate.to) * phase.duration.as_secs_f64()
    });
    let closed = scenario.phases.iter().any(|phase| phase.closed.is_some());
    format!(
        "{} accounts, {} chats, up to {most} connections, {:.0} messages{} in {}",
        scenario.people.accounts,
        scenario.chats.iter().map(|chats| chats.count).sum::<usize>(),
        messages.sum::<f64>(),
        if closed { " and as many as a closed loop takes" } else { "" },
        duration::format(length(scenario)),
    )
}

fn length(scenario: &Scenario) -> Duration {
    scenario.phases.iter().map(|phase| phase.duration).sum()
}
