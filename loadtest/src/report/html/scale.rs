//! The axes of charts: the position of a value, and which values get labels.

use crate::report::text::{FigureUnit, byte_unit, moment};

/// The plot's edges: labels of the phases above, of the axes at the left and below.
pub(super) const LEFT: f64 = 62.0;
pub(super) const RIGHT: f64 = 628.0;
pub(super) const TOP: f64 = 24.0;
pub(super) const BOTTOM: f64 = 242.0;

/// An axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Scale {
    /// Even, from 0.
    Even { to: f64 },
    /// Each power of ten takes the same room.
    Log { from: f64, to: f64 },
    /// Percentiles: each further nine takes the same room.
    Nines { to: f64 },
}

/// The lowest place of a log axis: 10 µs, below which nothing on a network is.
const LOWEST: f64 = 0.01;

/// How much higher than its highest value an even axis goes at least.
const AIR: f64 = 1.08;

impl Scale {
    /// An even axis that ends at a round value above all of these, with some air for labels.
    pub(super) fn even(values: impl Iterator<Item = f64>, unit: FigureUnit) -> Self {
        let most = values.fold(0.0, f64::max) * AIR;
        let step = step(most, unit);
        Self::Even { to: if most > 0.0 { (most / step - 1e-9).ceil() * step } else { 1.0 } }
    }

    /// A log axis between round values around all of these.
    pub(super) fn log(values: impl Iterator<Item = f64> + Clone) -> Self {
        let least = values.clone().fold(f64::MAX, f64::min).max(LOWEST);
        let most = values.fold(LOWEST, f64::max).max(least);
        let (from, mut to) = (round_down(least), round_down(most));
        if to < most || to == from {
            to = next(to);
        }
        Self::Log { from, to }
    }

    /// Where a value is, from 0 to 1. What is outside is at the edge.
    pub(super) fn place(self, value: f64) -> f64 {
        let place = match self {
            Self::Even { to } => value / to,
            Self::Log { from, to } => (value.max(from) / from).log10() / (to / from).log10(),
            Self::Nines { to } => nines(value) / nines(to),
        };
        place.clamp(0.0, 1.0)
    }

    /// The labelled values of an axis that shows figures.
    pub(super) fn ticks(self, unit: FigureUnit) -> Vec<(f64, String)> {
        match self {
            Self::Even { to } => {
                let step = step(to, unit);
                let count = (to / step).round() as u32;
                let values = (0..=count).map(|n| f64::from(n) * step);
                values.map(|value| (value, unit.label(value, step, to))).collect()
            }
            Self::Log { from, to } => {
                let steps = std::iter::successors(Some(from), |value| Some(next(*value)));
                let all: Vec<f64> = steps.take_while(|value| *value < to * 1.001).collect();
                let crowded = all.len() > 7;
                let shown = all.into_iter().filter(|value| !crowded || is_power(*value));
                shown.map(|value| (value, unit.text(value))).collect()
            }
            Self::Nines { to } => {
                let all = [0.0, 50.0, 90.0, 99.0, 99.9, 99.99, 99.999, 99.9999];
                let shown = all.into_iter().filter(|value| *value <= to);
                shown.map(|value| (value, format!("{value} %"))).collect()
            }
        }
    }

    /// The labelled values of an axis that shows moments of the run.
    pub(super) fn moments(self) -> Vec<(f64, String)> {
        const STEPS: [f64; 14] = [
            1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 10_800.0,
            43_200.0,
        ];
        let Self::Even { to } = self else { return Vec::new() };
        let step = STEPS.into_iter().find(|step| to / step <= 8.0);
        let step = step.unwrap_or_else(|| (to / 8.0 / 86_400.0).ceil() * 86_400.0);
        let values = (0..=8).map(|n| f64::from(n) * step).take_while(|value| *value <= to);
        values.map(|value| (value, moment(value))).collect()
    }
}

fn nines(percentile: f64) -> f64 {
    -(1.0 - percentile.min(99.999_999) / 100.0).log10()
}

/// From label to label on an even axis up to `most`: 1, 2 or 5 times a power of ten of what the unit is
/// counted in, so that there are at most six.
fn step(most: f64, unit: FigureUnit) -> f64 {
    let each = if unit == FigureUnit::Bytes { byte_unit(most).0 } else { 1.0 };
    let least = (most / each / 6.0).max(1e-9);
    let down = round_down(least);
    each * if down < least * 0.999_999 { next(down) } else { down }
}

/// The greatest of 1, 2, 5 times a power of ten that is not above.
fn round_down(value: f64) -> f64 {
    let power = 10f64.powf((value.log10() + 1e-9).floor());
    let first = value / power * 1.000_001;
    power
        * if first >= 5.0 {
            5.0
        } else if first >= 2.0 {
            2.0
        } else {
            1.0
        }
}

/// The next of 1, 2, 5 times a power of ten.
fn next(value: f64) -> f64 {
    let power = 10f64.powf((value.log10() + 1e-9).floor());
    let first = (value / power).round();
    if first < 2.0 {
        2.0 * power
    } else if first < 5.0 {
        5.0 * power
    } else {
        10.0 * power
    }
}

fn is_power(value: f64) -> bool {
    let log = value.log10();
    (log - log.round()).abs() < 1e-6
}

/// How far to the right a value stands.
pub(super) fn pixel_of(scale: Scale, value: f64) -> f64 {
    LEFT + scale.place(value) * (RIGHT - LEFT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(ticks: Vec<(f64, String)>) -> Vec<String> {
        ticks.into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn axes_are_round_and_hold_everything() {
        let even = Scale::even([3.0, 4570.0].into_iter(), FigureUnit::Plain);
        assert_eq!(even, Scale::Even { to: 5000.0 });
        let ticks = labels(even.ticks(FigureUnit::Plain));
        assert_eq!(ticks, ["0", "1,000", "2,000", "3,000", "4,000", "5,000"]);
        assert_eq!(Scale::even(std::iter::empty(), FigureUnit::Plain), Scale::Even { to: 1.0 });
        let bytes = Scale::even([61e6].into_iter(), FigureUnit::Bytes).ticks(FigureUnit::Bytes);
        assert_eq!(labels(bytes), ["0 MiB", "20 MiB", "40 MiB", "60 MiB", "80 MiB"]);
        let cores = Scale::even([0.017].into_iter(), FigureUnit::Cores).ticks(FigureUnit::Cores);
        assert_eq!(labels(cores), ["0", "0.005", "0.01", "0.015", "0.02"]);
        let rare = Scale::even([0.004].into_iter(), FigureUnit::PerSecond);
        let rare = labels(rare.ticks(FigureUnit::PerSecond));
        assert_eq!(rare.iter().collect::<std::collections::BTreeSet<_>>().len(), rare.len());

        let log = Scale::log([0.7, 61.0, 940.0].into_iter());
        let Scale::Log { from, to } = log else { panic!("{log:?}") };
        assert!((from - 0.5).abs() < 1e-9 && (to - 1000.0).abs() < 1e-6, "{log:?}");
        assert_eq!(labels(log.ticks(FigureUnit::Millis)), ["1 ms", "10 ms", "100 ms", "1 s"]);
        assert!((log.place(1000.0) - 1.0).abs() < 1e-9);
        assert_eq!(log.place(0.0), 0.0, "nothing is off the chart");
    }

    #[test]
    fn a_nine_is_as_wide_as_the_other() {
        let nines = Scale::Nines { to: 99.99 };
        let widths: Vec<f64> = [0.0, 90.0, 99.0, 99.9, 99.99]
            .windows(2)
            .map(|w| nines.place(w[1]) - nines.place(w[0]))
            .collect();
        assert!(widths.iter().all(|width| (width - 0.25).abs() < 1e-6), "{widths:?}");
    }

    #[test]
    fn moments_are_few_and_whole() {
        assert_eq!(labels(Scale::Even { to: 60.0 }.moments())[..3], ["0 s", "10 s", "20 s"]);
        assert_eq!(labels(Scale::Even { to: 7200.0 }.moments()).len(), 5);
        assert!(labels(Scale::Even { to: 5e6 }.moments()).len() >= 5);
    }
}
