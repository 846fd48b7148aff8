//! A log filter as people write it: a level, and levels for modules. `level.rs` changes it at run time.

use std::{fmt, str::FromStr};
use tracing_subscriber::filter::{LevelFilter, Targets};

/// The module of the pool that logs what it tells.
const POOL: &str = "sqlx_core::pool";

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
const HINT: &str = "Try info, debug or info,gateway=debug";

/// A filter such as `info,gateway=debug`. It always says what holds for modules that it does not name:
/// they would be silent, and a filter with a slip in it would silence everything.
#[derive(Clone, Debug, PartialEq)]
pub struct LogFilter {
    text: String,
    /// Some 500 bytes: without the box, every command of every program would have room for them.
    targets: Box<Targets>,
}

// Targets compare by what they hold, without numbers that differ from themselves.
impl Eq for LogFilter {}

impl LogFilter {
    /// The pool of database connections logs each failed try as an error and tells its caller, too: heard only by
    /// who asks for it.
    pub(super) fn targets(&self) -> Targets {
        let targets = Targets::clone(&self.targets);
        if self.text.contains(POOL) { targets } else { targets.with_target(POOL, LevelFilter::OFF) }
    }
}

impl FromStr for LogFilter {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let parts: Vec<&str> = parts.collect();
        let (levels, modules): (Vec<&str>, Vec<&str>) =
            parts.iter().copied().partition(|part| !part.contains('='));
        // A bare word that is no level would name a module and silence all others.
        let is_level = |word: &str| LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word));
        if let Some(word) = levels.iter().find(|word| !is_level(word)) {
            return Err(format!("{word:?} is no level ({}). {HINT}", LEVELS.join(", ")));
        }
        if let Some(module) = modules.iter().find(|module| module.ends_with('=')) {
            return Err(format!("{module:?} names no level ({}). {HINT}", LEVELS.join(", ")));
        }
        if let Some(level) = modules.iter().find(|module| module.starts_with('=')) {
            return Err(format!("{level:?} names no module. {HINT}"));
        }
        if let Some(part) = parts.iter().find(|part| part.contains(['[', ']', '{', '}'])) {
            return Err(format!(
                "{part:?} names a span or a field; a filter names modules. {HINT}"
            ));
        }
        let text = parts.join(",");
        let targets = text.parse().map(Box::new).map_err(|error| format!("{error}. {HINT}"))?;
        if levels.is_empty() {
            return Err(format!(
                "no level is named for all the rest, which would be silent. {HINT}"
            ));
        }
        Ok(Self { text, targets })
    }
}

impl fmt::Display for LogFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_read_as_people_write_it() {
        for (text, expected) in [
            ("info", "info"),
            ("OFF", "OFF"),
            (" info , gateway=debug, ", "info,gateway=debug"),
            ("gateway=trace,warn", "gateway=trace,warn"),
            ("off,api::db=debug", "off,api::db=debug"),
        ] {
            let read = text.parse::<LogFilter>().map(|filter| filter.to_string());
            assert_eq!(read, Ok(expected.to_owned()), "{text:?}");
        }
    }

    #[test]
    fn what_would_silence_everything_by_a_slip_is_refused() {
        for (text, words) in [
            ("", "no level is named"),
            (",", "no level is named"),
            ("debgu", "\"debgu\" is no level"),
            ("info,gateway", "\"gateway\" is no level"),
            ("blah=", "\"blah=\" names no level"),
            ("info,gateway=", "\"gateway=\" names no level"),
            ("gatway=debug", "which would be silent"),
            ("info,gateway=loud", "expected one of"),
            ("info,[call]=trace", "names a span or a field"),
            ("info,gateway[{chat=1}]=trace", "names a span or a field"),
            ("info,=debug", "\"=debug\" names no module"),
        ] {
            let why = text.parse::<LogFilter>().unwrap_err();
            assert!(why.contains(words) && why.contains("info,gateway=debug"), "{text:?}: {why}");
        }
    }
}
