//! Scenarios from TOML: reading, changing by `--set`, checking, and the shipped examples. A scenario that
//! [`read`] returns can be run as it is. An error reports all mistakes at once, each with its line and its
//! correction.

mod bounds;
mod check;
mod keys;
mod mistakes;
mod phases;
mod position;
mod set;
mod shape;
mod shipped;

pub(crate) use check::check;
pub(crate) use mistakes::{Mistake, Mistakes};
pub(crate) use set::ScenarioOverride;
pub(crate) use shipped::{SHIPPED, shipped};

use crate::{scenario::Scenario, suggest::suggestion};
use position::KeyPositions;
use serde::Deserialize as _;
use std::{fs::File, io::Read as _};

/// The largest file taken for a scenario: a thousand phases fit several times.
const MAX_BYTES: u64 = 1 << 20;

/// A scenario's text and where it is from.
#[derive(Clone, Debug)]
pub(crate) struct ScenarioSource {
    /// The file as it was named, or the shipped scenario's name.
    pub name: String,
    pub text: String,
}

impl ScenarioSource {
    /// A file when it has a slash or ends in `.toml`, a shipped scenario otherwise.
    pub(crate) fn open(name: &str) -> Result<Self, Mistakes> {
        let wrong = |text: String| Mistakes::new(name, vec![Mistake::of_all(text)]);
        if !name.contains('/') && !name.ends_with(".toml") {
            let found = SHIPPED.iter().find(|shipped| shipped.name == name);
            let shipped = found.ok_or_else(|| {
                let known = suggestion(name, SHIPPED.iter().map(|shipped| shipped.name));
                wrong(format!("no shipped scenario has this name; {known} (a file ends in .toml)"))
            })?;
            return Ok(Self { name: name.to_owned(), text: shipped.text.to_owned() });
        }
        let file = File::open(name).map_err(|error| wrong(error.to_string()))?;
        let mut text = String::new();
        let read = file.take(MAX_BYTES + 1).read_to_string(&mut text);
        read.map_err(|error| wrong(error.to_string()))?;
        if text.len() as u64 > MAX_BYTES {
            return Err(wrong("the file is larger than 1 MiB; is it the right file?".to_owned()));
        }
        Ok(Self { name: name.to_owned(), text })
    }
}

/// Reads a scenario, with these changes, and checks it.
pub(crate) fn read(
    source: &ScenarioSource,
    sets: &[ScenarioOverride],
) -> Result<Scenario, Mistakes> {
    let wrong = |found: Vec<Mistake>| Mistakes::new(&source.name, found);
    let places = KeyPositions::new(&source.text).map_err(wrong)?;
    let found = |mut found: Vec<Mistake>| {
        for mistake in &mut found {
            mistake.position = places.of(&mistake.path, sets);
        }
        wrong(found)
    };
    let read = source.text.parse::<toml::Table>();
    let mut table = read.map_err(|error| wrong(vec![places.of_error(&error)]))?;
    set::apply(sets, &mut table).map_err(found)?;
    shape::check(&table).map_err(found)?;
    let scenario = Scenario::deserialize(table);
    let scenario = scenario.map_err(|error| wrong(vec![Mistake::of_all(error.message())]))?;
    match check(&scenario) {
        mistakes if mistakes.is_empty() => Ok(scenario),
        mistakes => Err(found(mistakes)),
    }
}

#[cfg(test)]
mod tests;
