//! What everything costs, beside this machine's limit: the table of `make bench`. Each row is measured
//! on a fresh cluster (gateway, api, Redis, PostgreSQL that flushes its commits), some times; medians count.
//!
//! `cargo bench -p switchboard-loadtest --bench table [-- ROW…] [--against DIR] [--binaries DIR] [--runs 3] [--quick]`

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark shows what it measures"
)]

mod abuse;
mod attack;
mod attacked;
mod book;
mod bystander;
mod cold;
mod crowd;
mod deployment;
mod dial;
mod durable;
mod fanout;
mod flow;
mod frame;
mod history;
mod idle;
mod limit;
mod memory;
mod row;
mod run;
mod siege;
mod stand;
mod storm;
mod stranger;
mod usage;

use anyhow::{Context, Result, ensure};
use book::Book;
use clap::Parser;
use cluster::Cpus;
use row::TableRow;
use run::Run;
use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};
use tokio::task::LocalSet;

/// 10,000 connections, and both ends of 9,900 where the limit is measured.
const FILES: u64 = 20_000;

/// Measures what Switchboard costs, row by row, and writes target/bench/table.md and table.json.
#[derive(Parser)]
struct Args {
    /// The rows; the whole table when none is named
    #[arg(value_enum)]
    rows: Vec<TableRow>,
    /// Measures the binaries in this folder instead of building them
    ///
    /// The folder must hold `api` and `gateway`, for the row `attack` also `switchboard`, for example
    /// target/release after `cargo build --release --workspace --bin api --bin gateway --bin switchboard
    /// --features otlp`. When one is missing, the exit code is 64.
    #[arg(long, value_name = "DIR")]
    binaries: Option<PathBuf>,
    /// Measures the binaries in this folder in turn with the first, to compare before and after
    #[arg(long, value_name = "DIR")]
    against: Option<PathBuf>,
    /// How often everything is measured
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=50))]
    runs: u8,
    /// A look of some minutes instead of a measurement
    #[arg(long)]
    quick: bool,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    match run(Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            cluster::exit_code(&error)
        }
    }
}

fn run(args: Args) -> Result<()> {
    // The clients' CPU time is measured, too: one thread, whose cost is plain.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, bench(args))
}

async fn bench(args: Args) -> Result<()> {
    let cpus = Cpus::separate().unwrap_or_else(|| {
        eprintln!(
            "one CPU, or no taskset: servers and clients share their caches, figures are worse"
        );
        Cpus::default()
    });
    ensure!(
        usage::open_files()? >= FILES,
        "this takes {FILES} open files: ulimit -S -n {FILES} (make bench does it)"
    );
    let run = Run {
        rows: if args.rows.is_empty() { TableRow::TABLE.to_vec() } else { args.rows },
        cpus,
        now: args.binaries,
        before: args.against,
        duration: Duration::from_secs(if args.quick { 4 } else { 10 }),
        quick: args.quick,
    };
    let mut book = Book::default();
    let runs = if args.quick { 1 } else { args.runs };
    for number in 1..=runs {
        eprintln!("run {number} of {runs}");
        run.once(&mut book).await?;
        // After each run: a long measurement that is stopped leaves what it has.
        write(&book)?;
    }
    println!("{}", book.markdown());
    Ok(())
}

fn write(book: &Book) -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bench");
    fs::create_dir_all(&folder).context("cannot create target/bench")?;
    fs::write(folder.join("table.md"), book.markdown())?;
    fs::write(folder.join("table.json"), serde_json::to_string_pretty(&book.json())?)?;
    Ok(())
}
