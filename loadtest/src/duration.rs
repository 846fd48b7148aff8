//! Durations as people write them: `250ms`, `30s`, `5m`, `1h`.

use serde::{Deserialize, Deserializer, Serializer, de::Error as _};
use std::time::Duration;

/// Units, the longest name first: `ms` ends with the letter that `s` is.
const UNITS: [(&str, u64); 5] =
    [("us", 1), ("ms", 1_000), ("s", 1_000_000), ("m", 60_000_000), ("h", 3_600_000_000)];

/// Reads a number with its unit; `None` when it is neither.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    let text = text.trim();
    let (unit, micros) = UNITS.iter().find(|(unit, _)| {
        text.strip_suffix(unit).is_some_and(|number| number.trim().parse::<f64>().is_ok())
    })?;
    let number: f64 = text.strip_suffix(unit)?.trim().parse().ok()?;
    Duration::try_from_secs_f64(number * *micros as f64 / 1e6).ok()
}

/// Writes it in the largest unit that needs no fraction.
pub(crate) fn format(duration: Duration) -> String {
    let micros = duration.as_micros();
    let exact = UNITS.iter().rev().find(|(_, unit)| micros.is_multiple_of(u128::from(*unit)));
    let (unit, each) = exact.unwrap_or(&UNITS[0]);
    format!("{}{unit}", micros / u128::from(*each))
}

pub(crate) fn serialize<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&format(*duration))
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(from)?;
    let wrong = || D::Error::custom(format!("{text:?} is no duration; write 250ms, 30s, 5m or 1h"));
    parse(&text).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for (text, millis) in [("250ms", 250), ("30s", 30_000), ("5m", 300_000), ("1h", 3_600_000)]
        {
            assert_eq!(parse(text), Some(Duration::from_millis(millis)), "{text}");
            assert_eq!(format(Duration::from_millis(millis)), text);
        }
        assert_eq!(parse("1.5s"), Some(Duration::from_millis(1500)));
        for bad in ["", "5", "s", "-1s", "5 days", "infs"] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }
}
