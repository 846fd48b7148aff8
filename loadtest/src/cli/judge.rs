//! `loadtest compare` and `loadtest report`: commands on existing reports.

use super::{Exit, exit::Failure, print, summary::summary};
use crate::report::{Report, compare as compared};
use anyhow::Context as _;
use clap::Args;
use std::{
    fs,
    path::{Path, PathBuf},
};

#[derive(Args)]
pub(super) struct CompareArgs {
    /// The JSON report of the baseline
    before: PathBuf,
    /// The JSON report to compare with the baseline
    after: PathBuf,
    /// Changes up to this percentage count as noise
    #[arg(long, default_value_t = 10.0, value_name = "PERCENT", value_parser = percent)]
    tolerance: f64,
    /// Writes the comparison as one HTML page: the differences first, both runs' charts over each other
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

#[derive(Args)]
pub(super) struct ReportArgs {
    /// A JSON report
    report: PathBuf,
    /// Writes the report as one HTML page
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Writes the report as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

/// Exit code 99 when something became worse beyond the tolerance.
pub(super) fn compare(args: &CompareArgs) -> Exit {
    let read = |file: &Path| Report::read(file).map_err(Failure::usage);
    let both = read(&args.before).and_then(|before| Ok((before, read(&args.after)?)));
    let (before, after) = match both {
        Ok(both) => both,
        Err(failure) => return failure.tell(),
    };
    let comparison = compared(&before, &after, args.tolerance / 100.0);
    if let Some(file) = &args.html
        && let Err(failure) = write(file, &comparison.to_html([&before, &after]))
    {
        return failure.tell();
    }
    print(&comparison.to_text());
    if comparison.regressions().next().is_some() { Exit::Threshold } else { Exit::Ok }
}

/// Exit code 0 whatever the report says: it is shown again, not judged again.
pub(super) fn report(args: &ReportArgs) -> Exit {
    let shown = Report::read(&args.report).map_err(Failure::usage).and_then(|report| {
        if let Some(file) = &args.html {
            write(file, &report.to_html())?;
        }
        if let Some(file) = &args.junit {
            write(file, &report.to_junit())?;
        }
        Ok(report)
    });
    match shown {
        Ok(report) => {
            print(&summary(&report));
            Exit::Ok
        }
        Err(failure) => failure.tell(),
    }
}

pub(super) fn write(file: &Path, text: &str) -> Result<(), Failure> {
    let written = fs::write(file, text);
    written.with_context(|| format!("cannot write {}", file.display())).map_err(Failure::failed)
}

fn percent(text: &str) -> Result<f64, String> {
    let number = text.trim_end_matches('%').parse().ok();
    let number = number.filter(|number: &f64| (0.0..=1000.0).contains(number));
    number.ok_or_else(|| "write a percentage from 0 to 1000, such as 10".to_owned())
}
