//! The files for a run's reports, and the check whether they can be written.

use super::{exit::Failure, judge::write};
use crate::report::Report;
use anyhow::Context as _;
use clap::Args;
use std::{fs, path::PathBuf};

#[derive(Args, Debug)]
pub(super) struct FileArgs {
    /// Writes report.json, report.html and junit.xml into this folder
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Writes the report as JSON; /dev/stdout is allowed
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Writes what is measured while the run goes on, as a JSON object a line: phases, each second's
    /// figures, faults, the outcome; /dev/stdout and named pipes are allowed
    #[arg(long, value_name = "FILE")]
    pub json_lines: Option<PathBuf>,
    /// Writes the report as one HTML page
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Writes the results of the thresholds and of the truth check as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

/// Where the report goes.
pub(super) struct Files {
    json: Vec<PathBuf>,
    html: Vec<PathBuf>,
    junit: Vec<PathBuf>,
}

impl Files {
    /// Makes the folder and tries every file: an hour of load is not for a report that cannot be
    /// written.
    pub(super) fn new(args: &FileArgs) -> Result<Self, Failure> {
        if let Some(out) = &args.out {
            let made = fs::create_dir_all(out);
            made.with_context(|| format!("cannot create {}", out.display()))
                .map_err(Failure::failed)?;
        }
        let files = |file: &Option<PathBuf>, name: &str| -> Vec<PathBuf> {
            file.iter().cloned().chain(args.out.iter().map(|out| out.join(name))).collect()
        };
        let json = files(&args.json, "report.json");
        let html = files(&args.html, "report.html");
        let junit = files(&args.junit, "junit.xml");
        for file in json.iter().chain(&html).chain(&junit) {
            let opened = fs::OpenOptions::new().append(true).create(true).open(file);
            let opened = opened.with_context(|| format!("cannot write {}", file.display()));
            opened.map_err(Failure::failed)?;
        }
        Ok(Self { json, html, junit })
    }

    pub(super) fn write(&self, report: &Report) -> Result<(), Failure> {
        let all = |files: &[PathBuf], text: &dyn Fn() -> String| -> Result<(), Failure> {
            files.iter().try_for_each(|file: &PathBuf| write(file, &text()))
        };
        all(&self.json, &|| report.to_json())?;
        all(&self.html, &|| report.to_html())?;
        all(&self.junit, &|| report.to_junit())
    }
}
