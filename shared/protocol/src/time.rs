//! Points in time as the product stores and shows them. This is the one file that reads the wall clock. Durations
//! inside a process use `tokio::time::Instant`.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::fmt;
use time::{OffsetDateTime, format_description::well_known::Rfc3339, macros::format_description};

/// Milliseconds since 1970-01-01 UTC. In JSON: RFC 3339 with milliseconds and `Z`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(
    feature = "openapi",
    derive(utoipa::ToSchema),
    schema(value_type = String, format = DateTime, examples("2026-11-21T10:00:00.000Z"))
)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The wall clock of this process. For expiry and logs. Chats take their times from the database, so that
    /// nodes with different clocks agree.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
    pub fn now() -> Self {
        let since =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    /// Whole seconds since 1970-01-01 UTC.
    pub fn unix_seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }
}

impl fmt::Display for Timestamp {
    /// Formats the years 1970 to 9999 by hand. Every message of every page and frame has a time, and the general
    /// formatter took a twentieth of a page's time.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(text) = u64::try_from(self.0).ok().and_then(rfc3339) {
            return f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?);
        }
        let format = format_description!(
            "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z"
        );
        let text = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000)
            .ok()
            .and_then(|at| at.format(format).ok())
            .ok_or(fmt::Error)?;
        f.write_str(&text)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let at = OffsetDateTime::parse(&text, &Rfc3339).map_err(D::Error::custom)?;
        i64::try_from(at.unix_timestamp_nanos() / 1_000_000).map(Self).map_err(D::Error::custom)
    }
}

/// The text of a time; `None` after the year 9999, which needs more than four digits.
fn rfc3339(millis: u64) -> Option<[u8; 24]> {
    const DAY: u64 = 24 * 60 * 60 * 1000;
    /// From 0000-03-01, where the leap day is a year's last, to 1970.
    const BEFORE_1970: u64 = 719_468;
    // The number of days in 400 years, always the same.
    const ERA: u64 = 146_097;
    let (day, of_day) = (millis / DAY + BEFORE_1970, millis % DAY);
    let (era, day) = (day / ERA, day % ERA);
    // Takes out the leap days: one every 4 years, but not every 100.
    let year = (day - day / 1_460 + day / 36_524 - day / (ERA - 1)) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    // Five months from March on have 153 days, and so have the next five.
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) = if month < 10 { (year, month + 3) } else { (year + 1, month - 9) };
    let year = era * 400 + year;
    if year > 9_999 {
        return None;
    }
    let mut text = *b"0000-00-00T00:00:00.000Z";
    let mut put = |from: usize, to: usize, mut number: u64| {
        for digit in text[from..to].iter_mut().rev() {
            *digit = b'0' + (number % 10) as u8;
            number /= 10;
        }
    };
    put(0, 4, year);
    put(5, 7, month);
    put(8, 10, day);
    put(11, 13, of_day / 3_600_000);
    put(14, 16, of_day / 60_000 % 60);
    put(17, 19, of_day / 1_000 % 60);
    put(20, 23, of_day % 1_000);
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_rfc3339_with_milliseconds() {
        let at = Timestamp(1_700_000_000_007);
        let json = serde_json::to_string(&at).unwrap();
        assert_eq!(json, "\"2023-11-14T22:13:20.007Z\"");
        assert_eq!(serde_json::from_str::<Timestamp>(&json).unwrap(), at);
    }

    #[test]
    fn every_day_until_the_year_9999_reads_back() {
        const DAY: i64 = 86_400_000;
        let last = 253_402_300_799_999;
        // A moment of each of 60 days around every turn of a year that is or is not a leap year, …
        let turns =
            (0..8_030).flat_map(|year| (-30..30).map(move |day| year * 31_556_952_000 + day * DAY));
        // … of some others, and the ends.
        let others = (0..last / DAY).step_by(11).map(|day| day * DAY + day % DAY);
        for at in turns.chain(others).chain([0, last]).filter(|at| (0..=last).contains(at)) {
            let text = Timestamp(at).to_string();
            let read = OffsetDateTime::parse(&text, &Rfc3339).unwrap().unix_timestamp_nanos();
            assert_eq!(read, i128::from(at) * 1_000_000, "{text}");
        }
        assert_eq!(Timestamp(-1).to_string(), "1969-12-31T23:59:59.999Z");
    }
}
