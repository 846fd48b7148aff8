//! Finds mistakes in a scenario of the right shape: numbers out of bounds, and parts that contradict each
//! other. Also used for scenarios that arrive over the network.

use super::{
    bounds::{between, name, share},
    mistakes::Mistake,
    phases,
};
use crate::{
    scenario::{ChatKind, ClientDialect, Scenario},
    threshold::Threshold,
};
use std::time::Duration;

const MAX_ACCOUNTS: usize = 1_000_000;
/// Entries of `chats`. Each is a kind and a size; nobody has more of them.
const MAX_KINDS: usize = 100;
const MAX_CHATS: usize = 1_000_000;
/// A chat and a member. Some 100 bytes each in every agent.
const MAX_MEMBERSHIPS: usize = 10_000_000;
const MAX_PHASES: usize = 1_000;
const MAX_FAULTS: usize = 100;
const MAX_THRESHOLDS: usize = 100;
/// A soak over a week.
const MAX_LENGTH: Duration = Duration::from_secs(7 * 24 * 3600);

/// Everything that is wrong with a scenario.
pub(crate) fn check(scenario: &Scenario) -> Vec<Mistake> {
    let mut found = Vec::new();
    name(&mut found, &["name"], &scenario.name);
    people(&mut found, scenario);
    chats(&mut found, scenario);
    between(&mut found, &["phases"], "phases", scenario.phases.len(), 1, MAX_PHASES);
    phases::check(&mut found, scenario);
    faults(&mut found, scenario);
    found.extend(thresholds(scenario));
    found
}

/// What is wrong with its thresholds.
pub(crate) fn thresholds(scenario: &Scenario) -> Vec<Mistake> {
    let mut found = Vec::new();
    between(
        &mut found,
        &["thresholds"],
        "thresholds",
        scenario.thresholds.len(),
        0,
        MAX_THRESHOLDS,
    );
    for (index, text) in scenario.thresholds.iter().enumerate() {
        let index = index.to_string();
        let mut note = |why: String| found.push(Mistake::new(["thresholds", &index], why));
        match text.parse::<Threshold>() {
            Err(why) => note(format!("{text:?}: {why}")),
            Ok(Threshold { phase: Some(phase), .. })
                if !scenario.phases.iter().any(|known| known.name == phase) =>
            {
                let known = scenario.phases.iter().map(|phase| phase.name.as_str());
                let instead = crate::suggest::suggestion(&phase, known);
                note(format!("{text:?}: there is no phase {phase}; {instead}"));
            }
            Ok(_) => {}
        }
    }
    found
}

fn people(found: &mut Vec<Mistake>, scenario: &Scenario) {
    let people = &scenario.people;
    between(found, &["people", "accounts"], "accounts", people.accounts, 1, MAX_ACCOUNTS);
    for (dialect, share) in &people.dialects {
        if !(share.is_finite() && *share >= 0.0) {
            let path = ["people", "dialects", dialect.name()];
            found.push(Mistake::new(path, "a share must be 0 or more"));
        }
    }
    if !people.dialects.values().any(|share| *share > 0.0) {
        found.push(Mistake::new(["people", "dialects"], "one of the shares must be above 0"));
    }
    let Some(slow) = people.slow else { return };
    share(found, &["people", "slow", "share"], slow.share);
    if slow.bytes_per_second == 0 {
        let why = "the server closes a client that reads nothing; write at least 1";
        found.push(Mistake::new(["people", "slow", "bytes_per_second"], why));
    }
}

fn chats(found: &mut Vec<Mistake>, scenario: &Scenario) {
    let accounts = scenario.people.accounts;
    between(found, &["chats"], "kinds of chats", scenario.chats.len(), 0, MAX_KINDS);
    let (mut chats, mut memberships) = (0_usize, 0_usize);
    for (index, kind) in scenario.chats.iter().enumerate() {
        chats = chats.saturating_add(kind.count);
        memberships = memberships.saturating_add(kind.count.saturating_mul(kind.members));
        let index = index.to_string();
        let mut note = |key, why| found.push(Mistake::new(["chats", &index, key], why));
        if kind.count == 0 {
            note("count", "write at least 1, or leave these chats out".to_owned());
        }
        if kind.members == 0 {
            note("members", "a chat must have at least 1 member".to_owned());
        } else if kind.members > accounts {
            let why = format!("{} members are more than the {accounts} accounts", kind.members);
            note("members", format!("{why}; raise people.accounts"));
        }
        if kind.kind == ChatKind::Direct {
            if kind.members != 2 {
                note("members", "a direct chat must have 2 members".to_owned());
            }
            let pairs = accounts.saturating_mul(accounts.saturating_sub(1)) / 2;
            if kind.count > pairs {
                let why =
                    format!("{accounts} accounts make {pairs} pairs, each with one direct chat");
                note("count", format!("{why}; raise people.accounts"));
            }
        }
    }
    between(found, &["chats"], "chats in total", chats, 0, MAX_CHATS);
    between(found, &["chats"], "members in all chats", memberships, 0, MAX_MEMBERSHIPS);
    let speaks = |dialect| scenario.people.dialects.get(&dialect).is_some_and(|share| *share > 0.0);
    for dialect in [ClientDialect::Names, ClientDialect::Numbers] {
        if speaks(dialect) && !scenario.chats.iter().any(|kind| kind.kind == ChatKind::Direct) {
            let why =
                "this dialect has only private messages: add [[chats]] with kind = \"direct\"";
            found.push(Mistake::new(["people", "dialects", dialect.name()], why));
        }
    }
    if speaks(ClientDialect::Chat) && scenario.chats.is_empty() {
        let why = "each of its sockets shows one chat: add [[chats]]";
        found.push(Mistake::new(["people", "dialects", ClientDialect::Chat.name()], why));
    }
}

fn faults(found: &mut Vec<Mistake>, scenario: &Scenario) {
    between(found, &["faults"], "faults", scenario.faults.len(), 0, MAX_FAULTS);
    let length: Duration = scenario
        .phases
        .iter()
        .fold(Duration::ZERO, |sum, phase| sum.saturating_add(phase.duration));
    if length > MAX_LENGTH {
        found.push(Mistake::new(["phases"], "all phases together last at most 168h"));
    }
    for (index, fault) in scenario.faults.iter().enumerate() {
        let index = index.to_string();
        name(found, &["faults", &index, "name"], &fault.name);
        let mut note = |key, why| found.push(Mistake::new(["faults", &index, key], why));
        if fault.at >= length {
            let end = crate::duration::format(length);
            note("at", format!("the run ends after {end}: write an earlier time"));
        }
        if fault.run.trim().is_empty() {
            note("run", "write a shell command".to_owned());
        }
    }
}
