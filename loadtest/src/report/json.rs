//! The report as a file: written for people's scripts, read by `compare` and `report`. Its schema is
//! docs/loadtest-report.schema.json.

use super::{Report, VERSION};
use serde::Deserialize;
use std::{fs, io, path::Path};

/// The largest report that is read: one has about 2 MB with five servers scraped, and this much is
/// surely something else.
const MAX_BYTES: u64 = 64 << 20;

/// Why a file is no report that can be read. Complete sentences for the terminal.
#[expect(missing_docs, reason = "each variant's message says what happened")]
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("cannot read {path}: {cause}")]
    File { path: String, cause: io::Error },
    #[error("{path} is not a report: it has {bytes} bytes, and a report has at most {MAX_BYTES}")]
    TooBig { path: String, bytes: u64 },
    #[error(
        "{path} is not a report of the load tester: {cause}. Write one with loadtest run --json"
    )]
    NoReport { path: String, cause: serde_json::Error },
    #[error(
        "{path} is a report of version {found}, and this load tester reads version {VERSION}: use the \
         one that wrote it, or repeat the run"
    )]
    Version { path: String, found: u64 },
}

/// Only what all versions have.
#[derive(Deserialize)]
struct Head {
    version: u64,
}

impl Report {
    /// The JSON text, indented.
    pub fn to_json(&self) -> String {
        // Nothing in it can fail: no map has other keys than strings.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// Reads a report from its text; `path` is for the error.
    pub fn from_json(text: &str, path: &str) -> Result<Self, ReadError> {
        let no_report = |cause| ReadError::NoReport { path: path.to_owned(), cause };
        let Head { version } = serde_json::from_str(text).map_err(no_report)?;
        if version != u64::from(VERSION) {
            return Err(ReadError::Version { path: path.to_owned(), found: version });
        }
        serde_json::from_str(text).map_err(no_report)
    }

    /// Reads a report's file.
    pub fn read(file: &Path) -> Result<Self, ReadError> {
        let path = file.display().to_string();
        let failed = |cause| ReadError::File { path: path.clone(), cause };
        let bytes = fs::metadata(file).map_err(failed)?.len();
        if bytes > MAX_BYTES {
            return Err(ReadError::TooBig { path, bytes });
        }
        Self::from_json(&fs::read_to_string(file).map_err(failed)?, &path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::sample;
    use serde_json::{Value, json};

    const SCHEMA: &str =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/loadtest-report.schema.json");

    #[test]
    fn what_is_written_is_read() {
        let report = sample();
        let text = report.to_json();
        let read = Report::from_json(&text, "a.json").unwrap();
        assert_eq!(read.to_json(), text);
    }

    #[test]
    fn a_report_is_as_its_schema_says() {
        let schema: Value = serde_json::from_str(&fs::read_to_string(SCHEMA).unwrap()).unwrap();
        let validator = jsonschema::validator_for(&schema).unwrap();
        let report: Value = serde_json::from_str(&sample().to_json()).unwrap();
        let wrong: Vec<_> = validator.iter_errors(&report).map(|error| error.to_string()).collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
        let mut strange = report.clone();
        strange["truth"]["surprise"] = json!(1);
        assert!(!validator.is_valid(&strange), "a field that the schema does not know");
        strange = report;
        strange["series"][0]["connections"] = json!("many");
        assert!(!validator.is_valid(&strange));
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        let said = |text: &str| Report::from_json(text, "a.json").unwrap_err().to_string();
        assert!(said("[]").starts_with("a.json is not a report of the load tester: "));
        assert!(said("{\"version\":1}").contains("missing field"), "{}", said("{\"version\":1}"));
        assert!(said("{\"version\":7}").contains("is a report of version 7, and this load tester"));
        let missing = Report::read(Path::new("/nowhere/a.json")).unwrap_err().to_string();
        assert!(missing.starts_with("cannot read /nowhere/a.json: "), "{missing}");
    }
}
