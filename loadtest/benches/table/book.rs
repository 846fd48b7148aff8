//! All that was measured, and the table made of it: medians over the runs, before beside now where
//! both were measured, and how far from this machine's limit.

use crate::row::TableRow;
use serde::Serialize;
use serde_json::{Value, json};
use std::{collections::BTreeMap, fmt::Write};

/// Whose figure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The binaries that are compared with.
    Before,
    Now,
    /// What this machine takes at best.
    Limit,
}

/// The name of a row's own figure; others are told below the table.
pub const MAIN: &str = "figure";

/// The figures of all runs.
#[derive(Default)]
pub struct Book {
    figures: BTreeMap<(TableRow, Side, String), Vec<f64>>,
}

impl Book {
    pub fn note(&mut self, row: TableRow, side: Side, name: impl Into<String>, value: f64) {
        self.figures.entry((row, side, name.into())).or_default().push(value);
    }

    pub fn median(&self, row: TableRow, side: Side, name: &str) -> Option<f64> {
        let mut values = self.figures.get(&(row, side, name.to_owned()))?.clone();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let even = values.len().is_multiple_of(2);
        Some(if even { f64::midpoint(values[middle - 1], values[middle]) } else { values[middle] })
    }

    /// The newest figure, for what is measured in relation to it in the same run.
    pub fn last(&self, row: TableRow, side: Side, name: &str) -> Option<f64> {
        self.figures.get(&(row, side, name.to_owned()))?.last().copied()
    }

    /// The table as Markdown, then each row's other figures.
    pub fn markdown(&self) -> String {
        let mut text = String::from(
            "| measure | unit | aim | before | now | now / before | limit here | × limit here | best peers | their limit |\n\
             |---|---|---|--:|--:|--:|--:|--:|---|--:|\n",
        );
        for row in
            TableRow::TABLE.into_iter().filter(|row| self.median(*row, Side::Now, MAIN).is_some())
        {
            let side = |side| self.median(row, side, MAIN);
            let ratio = |to: Option<f64>| side(Side::Now).zip(to).map(|(now, to)| now / to);
            let about = row.about();
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | **{}** | {} | {} | {} | {} | {} |",
                about.measure,
                about.unit,
                about.aim,
                cell(side(Side::Before)),
                cell(side(Side::Now)),
                cell(ratio(side(Side::Before))),
                cell(side(Side::Limit)),
                cell(ratio(side(Side::Limit))),
                about.peers,
                about.limit,
            );
        }
        text.push_str("\n| row | side | also | median | all runs |\n|---|---|---|--:|---|\n");
        for ((row, side, name), values) in &self.figures {
            let all: Vec<String> = values.iter().map(|value| short(*value)).collect();
            let median = cell(self.median(*row, *side, name));
            let (row, side) = (slug(row), slug(side));
            let _ = writeln!(text, "| {row} | {side} | {name} | {median} | {} |", all.join(" "));
        }
        text
    }

    /// The same with every run's figures.
    pub fn json(&self) -> Value {
        let figure = |((row, side, name), values): (&(TableRow, Side, String), &Vec<f64>)| {
            json!({ "row": row, "side": side, "name": name, "runs": values,
                "median": self.median(*row, *side, name) })
        };
        json!({ "figures": self.figures.iter().map(figure).collect::<Vec<_>>() })
    }
}

fn cell(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), short)
}

/// Three significant digits.
fn short(value: f64) -> String {
    let digits = match value.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        _ => 3,
    };
    format!("{value:.digits$}")
}

fn slug(value: &impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}
