//! Thresholds: `delivery.p99<250ms`, `lost==0`, `phase(steady).ack.mean<=20ms`. Parses them and decides
//! whether a report meets them. It does not decide when a threshold stops a run.

mod metric;
mod unit;

pub(crate) use metric::ThresholdMetric;
pub(crate) use unit::ThresholdUnit;

use crate::report::{Report, Sums, ThresholdResult, text::number};
use std::{fmt, str::FromStr};

/// What must be true of a run, or of one of its phases.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Threshold {
    /// All phases but the warm-ups, when none is named.
    pub phase: Option<String>,
    pub metric: ThresholdMetric,
    pub comparison: Comparator,
    /// In [`Threshold::unit`]. Finite and not negative.
    pub bound: f64,
    pub unit: ThresholdUnit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparator {
    Less,
    LessOrEqual,
    More,
    MoreOrEqual,
    Equal,
    NotEqual,
}

/// Why a text is no threshold, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct ThresholdError(String);

/// What is demanded of every run, unless its scenario says something else of the same.
const ALWAYS: [&str; 8] = [
    "lost==0",
    "repeated==0",
    "reordered==0",
    "altered==0",
    "not_stored==0",
    "stored_twice==0",
    "unconnected==0",
    "unsent==0",
];

/// What a report says to each of these expressions, and to the truth whether or not they speak of it.
/// An expression that is no threshold fails; [`crate::scenarios`] refuses such a scenario before it
/// runs.
pub(crate) fn judge(expressions: &[String], report: &Report) -> Vec<ThresholdResult> {
    let read: Vec<_> = expressions.iter().map(|text| text.parse::<Threshold>()).collect();
    let is_said = |always: &Threshold| {
        read.iter().flatten().any(|threshold| threshold.metric == always.metric)
    };
    let always = ALWAYS.iter().filter_map(|text| text.parse::<Threshold>().ok());
    let always = always.filter(|always| !is_said(always)).map(|always| always.judge(report));
    let judged = expressions.iter().zip(&read).map(|(text, threshold)| {
        let judged = threshold.as_ref().ok().map(|threshold| threshold.judge(report));
        let (value, ok) = judged.map_or((None, false), |judged| (judged.value, judged.ok));
        ThresholdResult { expression: text.clone(), value, ok }
    });
    judged.chain(always).collect()
}

impl Threshold {
    /// Whether the report keeps it. What was not measured has no value and fails: a threshold on
    /// deliveries must not pass because nothing was delivered.
    pub(crate) fn judge(&self, report: &Report) -> ThresholdResult {
        let value = self.metric.find(report, self.phase.as_deref());
        let value = value.map(|value| value / self.unit.scale());
        let ok = value.is_some_and(|value| self.comparison.holds(value, self.bound));
        ThresholdResult { expression: self.to_string(), value, ok }
    }

    /// A value of it as people read it: in the unit that suits the value, whatever that of the bound is.
    pub(crate) fn shown(&self, value: f64) -> String {
        self.metric.quantity().figure().text(value * self.unit.scale())
    }

    /// How many times the bound a value is; none where there is no distance to speak of, as with `==`.
    pub(crate) fn of_bound(&self, value: f64) -> Option<f64> {
        let is_exact = matches!(self.comparison, Comparator::Equal | Comparator::NotEqual);
        (!is_exact && self.bound > 0.0).then(|| value / self.bound)
    }

    /// Whether it is an upper bound of something that only grows while a run goes on, so that
    /// [`Threshold::is_broken`] is final. A percentile may still sink.
    pub(crate) fn only_gets_worse(&self) -> bool {
        let is_upper = matches!(
            self.comparison,
            Comparator::Less | Comparator::LessOrEqual | Comparator::Equal
        );
        is_upper && self.metric.only_grows()
    }

    /// Whether what was measured so far, of its phase or of all that counts, is above the bound.
    pub(crate) fn is_broken(&self, so_far: &Sums) -> bool {
        let value = self.metric.in_sums(so_far).map(|value| value / self.unit.scale());
        value.is_some_and(|value| match self.comparison {
            Comparator::Less => value >= self.bound,
            _ => value > self.bound,
        })
    }
}

impl ThresholdResult {
    /// What was found, as people read it.
    pub(crate) fn found(&self) -> String {
        let Some(value) = self.value else { return "nothing was measured".to_owned() };
        let threshold = self.expression.parse::<Threshold>();
        threshold.map_or_else(|_| number(value), |threshold| threshold.shown(value))
    }

    /// How many times the bound that is, see [`Threshold::of_bound`].
    pub(crate) fn of_bound(&self) -> Option<f64> {
        self.expression.parse::<Threshold>().ok()?.of_bound(self.value?)
    }
}

impl Comparator {
    /// The longer ones first: `<=` begins with `<`.
    const ALL: [(&str, Self); 6] = [
        ("<=", Self::LessOrEqual),
        (">=", Self::MoreOrEqual),
        ("==", Self::Equal),
        ("!=", Self::NotEqual),
        ("<", Self::Less),
        (">", Self::More),
    ];

    fn holds(self, value: f64, bound: f64) -> bool {
        // Counts are whole and below 2^53, so that equality means what it says.
        match self {
            Self::Less => value < bound,
            Self::LessOrEqual => value <= bound,
            Self::More => value > bound,
            Self::MoreOrEqual => value >= bound,
            Self::Equal => value == bound,
            Self::NotEqual => value != bound,
        }
    }

    /// The first one in a text: what is before it, itself, what is after it.
    fn split(text: &str) -> Option<(&str, Self, &str)> {
        let at = text.find(['<', '>', '=', '!'])?;
        let (before, rest) = text.split_at(at);
        let found = Self::ALL.iter().find_map(|(sign, comparison)| {
            rest.strip_prefix(sign).map(|after| (*comparison, after))
        });
        found.map(|(comparison, after)| (before, comparison, after))
    }
}

impl FromStr for Threshold {
    type Err = ThresholdError;

    fn from_str(text: &str) -> Result<Self, ThresholdError> {
        let text = text.trim();
        let (phase, rest) = match text.strip_prefix("phase(") {
            None => (None, text),
            Some(rest) => {
                let split = rest.split_once(").").filter(|(name, _)| !name.is_empty());
                let (name, rest) = split.ok_or_else(|| no("write a phase as phase(NAME)."))?;
                (Some(name.to_owned()), rest)
            }
        };
        let shape = || {
            no("write a metric, one of < <= > >= == != and a number, such as \
                delivery.p99<250ms or lost==0")
        };
        let (metric, comparison, bound) = Comparator::split(rest).ok_or_else(shape)?;
        let metric: ThresholdMetric = metric.trim().parse().map_err(ThresholdError)?;
        if phase.is_some() && !metric.is_of_phases() {
            return Err(no(format!("{metric} is known only for the whole run: omit the phase")));
        }
        let bound = bound.trim();
        let digits = bound.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(bound.len());
        let (number, unit) = bound.split_at(digits);
        let number = number.parse().ok().filter(|number: &f64| number.is_finite());
        let bound = number.ok_or_else(shape)?;
        let unit = metric.quantity().unit(unit.trim()).map_err(ThresholdError)?;
        Ok(Self { phase, metric, comparison, bound, unit })
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(phase) = &self.phase {
            write!(f, "phase({phase}).")?;
        }
        write!(f, "{}{}{}{}", self.metric, self.comparison, self.bound, self.unit)
    }
}

impl fmt::Display for Comparator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = Self::ALL.iter().find(|(_, comparison)| comparison == self);
        f.write_str(sign.map_or("", |(sign, _)| sign))
    }
}

fn no(why: impl Into<String>) -> ThresholdError {
    ThresholdError(why.into())
}

#[cfg(test)]
mod tests;
