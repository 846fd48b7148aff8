//! Finds the line and column of a key from its path.

use super::{
    mistakes::{Mistake, Position},
    set::ScenarioOverride,
};
use std::ops::Range;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// The places of a text's keys.
pub(super) struct KeyPositions<'a> {
    text: &'a str,
    table: Spanned<DeTable<'a>>,
}

impl<'a> KeyPositions<'a> {
    /// What is no TOML is told, all of it.
    pub(super) fn new(text: &'a str) -> Result<Self, Vec<Mistake>> {
        let (table, errors) = DeTable::parse_recoverable(text);
        let places = Self { text, table };
        if errors.is_empty() {
            return Ok(places);
        }
        Err(errors.iter().map(|error| places.of_error(error)).collect())
    }

    /// A parser's error as a mistake.
    pub(super) fn of_error(&self, error: &toml::de::Error) -> Mistake {
        let mut mistake = Mistake::of_all(error.message().replace('\n', "; "));
        mistake.position = error.span().map(|span| self.at(&span)).unwrap_or_default();
        mistake
    }

    /// Where the value of a path is, or as much of the path as there is.
    pub(super) fn of(&self, path: &[String], sets: &[ScenarioOverride]) -> Position {
        if sets.iter().any(|set| set.covers(path)) {
            return Position::Set;
        }
        let Some((first, rest)) = path.split_first() else { return Position::Unknown };
        let Some((key, value)) = find(self.table.get_ref(), first) else {
            return Position::Unknown;
        };
        let (mut span, mut value) = (key, value);
        for name in rest {
            let found = match value {
                DeValue::Table(table) => find(table, name),
                DeValue::Array(items) => {
                    let item = name.parse().ok().and_then(|index: usize| items.get(index));
                    item.map(|item| (item.span(), item.get_ref()))
                }
                _ => None,
            };
            let Some(found) = found else { break };
            (span, value) = found;
        }
        self.at(&span)
    }

    fn at(&self, span: &Range<usize>) -> Position {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
        Position::Line { line: before.matches('\n').count() + 1, column }
    }
}

/// A key's place and value.
fn find<'t, 'a>(table: &'t DeTable<'a>, name: &str) -> Option<(Range<usize>, &'t DeValue<'a>)> {
    let found = table.iter().find(|(key, _)| key.get_ref() == name);
    found.map(|(key, value)| (key.span(), value.get_ref()))
}
