//! Changes to a scenario from the command line: `--set people.accounts=200`.

use super::mistakes::{Mistake, Position};
use std::str::FromStr;
use toml::{Table, Value};

/// One change: a path of keys with dots, and the value as TOML, or as text without quotes. An item of
/// a list is named by its number, from 0, or by its `name`: `phases.steady.duration=10s`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ScenarioOverride {
    path: Vec<String>,
    value: Value,
}

impl FromStr for ScenarioOverride {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (path, value) = text.split_once('=').ok_or("write KEY=VALUE")?;
        let path: Vec<String> = path.trim().split('.').map(str::to_owned).collect();
        if path.iter().any(String::is_empty) {
            return Err("write KEY=VALUE with a key such as people.accounts".to_owned());
        }
        let value = value.trim();
        let read = format!("value = {value}").parse::<Table>().ok();
        let read =
            read.filter(|table| table.len() == 1).and_then(|mut table| table.remove("value"));
        Ok(Self { path, value: read.unwrap_or_else(|| Value::String(value.to_owned())) })
    }
}

impl ScenarioOverride {
    /// Whether it decides what is at this path. Names of items are taken for any item.
    pub(super) fn covers(&self, path: &[String]) -> bool {
        let is_number = |text: &str| text.parse::<usize>().is_ok();
        self.path.len() <= path.len()
            && self
                .path
                .iter()
                .zip(path)
                .all(|(own, other)| own == other || (is_number(other) && !is_number(own)))
    }
}

/// Carries the changes out, in their order.
pub(super) fn apply(sets: &[ScenarioOverride], table: &mut Table) -> Result<(), Vec<Mistake>> {
    let mut mistakes = Vec::new();
    for set in sets {
        let Some((last, tables)) = set.path.split_last() else { continue };
        match within(table, tables) {
            Ok(place) => {
                place.insert(last.clone(), set.value.clone());
            }
            Err(why) => mistakes.push(Mistake {
                position: Position::Set,
                ..Mistake::new(set.path.iter().map(String::as_str), why)
            }),
        }
    }
    if mistakes.is_empty() { Ok(()) } else { Err(mistakes) }
}

/// The table at a path; one that is missing is made.
fn within<'t>(table: &'t mut Table, path: &[String]) -> Result<&'t mut Table, String> {
    let mut path = path.iter();
    let mut table = table;
    while let Some(name) = path.next() {
        let entry = table.entry(name.clone()).or_insert_with(|| Value::Table(Table::new()));
        table = match entry {
            Value::Table(inner) => inner,
            Value::Array(items) => {
                let item = path.next().ok_or_else(|| {
                    format!("{name} is a list: select an item by its index, from 0")
                })?;
                let at = item.parse().ok().or_else(|| {
                    let is_it = |value: &Value| {
                        value.get("name").and_then(Value::as_str) == Some(item.as_str())
                    };
                    items.iter().position(is_it)
                });
                let found = at.and_then(|at: usize| items.get_mut(at));
                let found = found.and_then(Value::as_table_mut);
                found.ok_or_else(|| format!("{name} has no item {item}"))?
            }
            _ => return Err(format!("{name} is not a table")),
        };
    }
    Ok(table)
}
