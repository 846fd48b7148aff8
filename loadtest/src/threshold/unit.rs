//! The units of a threshold's number, by kind of metric. Reports hold milliseconds, bytes and plain numbers;
//! those have the scale 1.

use crate::report::text::FigureUnit;
use std::fmt;

/// What a threshold's number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ThresholdUnit {
    /// Pieces.
    None,
    Micros,
    Millis,
    Seconds,
    Minutes,
    PerSecond,
    Bytes,
    Kib,
    Mib,
    Gib,
    /// CPU seconds a second.
    Cores,
}

/// What a metric is a measure of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quantity {
    Number,
    Time,
    Rate,
    Memory,
    Cpu,
}

impl ThresholdUnit {
    /// How much one is of what reports hold.
    pub(super) const fn scale(self) -> f64 {
        match self {
            Self::None | Self::Millis | Self::PerSecond | Self::Bytes | Self::Cores => 1.0,
            Self::Micros => 0.001,
            Self::Seconds => 1_000.0,
            Self::Minutes => 60_000.0,
            Self::Kib => 1_024.0,
            Self::Mib => 1_048_576.0,
            Self::Gib => 1_073_741_824.0,
        }
    }

    const fn text(self) -> &'static str {
        match self {
            Self::None | Self::Cores => "",
            Self::Micros => "us",
            Self::Millis => "ms",
            Self::Seconds => "s",
            Self::Minutes => "m",
            Self::PerSecond => "/s",
            Self::Bytes => "B",
            Self::Kib => "KiB",
            Self::Mib => "MiB",
            Self::Gib => "GiB",
        }
    }
}

impl Quantity {
    /// How people read a figure of it, which reports hold in units of scale 1.
    pub(super) const fn figure(self) -> FigureUnit {
        match self {
            Self::Number => FigureUnit::Plain,
            Self::Time => FigureUnit::Millis,
            Self::Rate => FigureUnit::PerSecond,
            Self::Memory => FigureUnit::Bytes,
            Self::Cpu => FigureUnit::Cores,
        }
    }

    /// The units that a number of it may have, the one that is meant when there is none first.
    pub(super) const fn units(self) -> &'static [ThresholdUnit] {
        match self {
            Self::Number => &[ThresholdUnit::None],
            Self::Time => &[
                ThresholdUnit::Millis,
                ThresholdUnit::Micros,
                ThresholdUnit::Seconds,
                ThresholdUnit::Minutes,
            ],
            Self::Rate => &[ThresholdUnit::PerSecond],
            Self::Memory => {
                &[ThresholdUnit::Bytes, ThresholdUnit::Kib, ThresholdUnit::Mib, ThresholdUnit::Gib]
            }
            Self::Cpu => &[ThresholdUnit::Cores],
        }
    }

    pub(super) fn unit(self, text: &str) -> Result<ThresholdUnit, String> {
        let units = self.units();
        let found = if text.is_empty() {
            units.first()
        } else {
            units.iter().find(|unit| unit.text() == text)
        };
        found.copied().ok_or_else(|| {
            let known: Vec<&str> = units.iter().map(|unit| unit.text()).collect();
            match known.as_slice() {
                [""] => format!("{text:?} must not follow the number: this metric has no unit"),
                known => format!(
                    "{text:?} is not a unit of this metric; write one of {}",
                    known.join(", ")
                ),
            }
        })
    }
}

impl fmt::Display for ThresholdUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}
