//! The description of a metric: name, kind, help and labels, in one table per crate. A table describes the
//! metrics to the recorder, starts counters at zero, and is the reference for documents, alert rules and
//! dashboards. The code that measures uses the name directly.

use metrics::Label;

/// One metric of a process.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// By the conventions of Prometheus: base units, `_total` for counters.
    pub name: &'static str,
    /// What Prometheus makes of it.
    pub kind: Kind,
    /// One sentence for `# HELP` and docs/metrics.md.
    pub help: &'static str,
    /// Its labels, with the values that each may have.
    pub labels: &'static [Name],
}

/// A label: its name and what its values may be. There is always a bound; never a user, a chat or an
/// address.
pub type Name = (&'static str, Values);

/// What Prometheus makes of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows; its name ends in `_total`.
    Counter,
    /// A counter of time, exact: the recorder counts in whole numbers, so this is read for each scrape
    /// and never recorded ([`crate::telemetry`]). Its name ends in `_seconds_total`.
    Seconds,
    /// A number that rises and falls.
    Gauge,
    /// In buckets; its name ends in `_seconds` or `_size` (see [`crate::telemetry`]).
    Histogram,
}

/// The values that a label may have.
#[derive(Clone, Copy, Debug)]
pub enum Values {
    /// All there are.
    These(&'static [&'static str]),
    /// All there are, listed elsewhere in the code.
    From(fn() -> Vec<&'static str>),
    /// Known only at run time and bounded all the same, by what this says.
    Bounded(&'static str),
}

impl Values {
    /// All values, where they are known before anything happened.
    pub fn known(&self) -> Option<Vec<&'static str>> {
        match self {
            Self::These(values) => Some(values.to_vec()),
            Self::From(values) => Some(values()),
            Self::Bounded(_) => None,
        }
    }
}

impl Kind {
    /// As `# TYPE` spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter | Self::Seconds => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A counter's row in a table.
pub const fn counter(name: &'static str, labels: &'static [Name], help: &'static str) -> Metric {
    Metric { name, kind: Kind::Counter, help, labels }
}

/// The row of a counter of time in a table.
pub const fn seconds(name: &'static str, help: &'static str) -> Metric {
    Metric { name, kind: Kind::Seconds, help, labels: &[] }
}

/// A gauge's row in a table.
pub const fn gauge(name: &'static str, labels: &'static [Name], help: &'static str) -> Metric {
    Metric { name, kind: Kind::Gauge, help, labels }
}

/// A histogram's row in a table.
pub const fn histogram(name: &'static str, labels: &'static [Name], help: &'static str) -> Metric {
    Metric { name, kind: Kind::Histogram, help, labels }
}

/// Describes the metrics of a table to the recorder and starts the counters among them at zero, for
/// all values of their labels: a rate over one that has not happened yet is then 0 and not missing.
/// After [`crate::telemetry::start_metrics`], once a process.
pub fn register(table: &[Metric]) {
    for metric in table {
        match metric.kind {
            Kind::Counter => {
                metrics::describe_counter!(metric.name, metric.help);
                for labels in combinations(metric.labels) {
                    metrics::counter!(metric.name, labels).absolute(0);
                }
            }
            Kind::Seconds => {}
            Kind::Gauge => metrics::describe_gauge!(metric.name, metric.help),
            Kind::Histogram => metrics::describe_histogram!(metric.name, metric.help),
        }
    }
}

/// Every combination of the labels' values; none where a value is known only at run time.
fn combinations(labels: &[Name]) -> Vec<Vec<Label>> {
    labels.iter().fold(vec![Vec::new()], |rows, (name, values)| {
        let values = values.known().unwrap_or_default();
        let with = |row: &Vec<Label>, value| {
            let mut row = row.clone();
            row.push(Label::new(*name, value));
            row
        };
        rows.iter().flat_map(|row| values.iter().map(move |value| with(row, *value))).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_combinations_of_known_values() {
        let two = ("a", Values::These(&["1", "2"]));
        let three = ("b", Values::From(|| vec!["x", "y", "z"]));
        assert_eq!(combinations(&[]).len(), 1, "without labels there is one series");
        assert_eq!(combinations(&[two, three]).len(), 6);
        assert_eq!(combinations(&[two, ("c", Values::Bounded("routes"))]).len(), 0);
    }
}
