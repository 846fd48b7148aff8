//! The command line: subcommands, their output, exit codes. Each subcommand is one file; the library does the
//! work.

mod abort;
mod command_line;
mod exit;
mod files;
mod interrupt;
mod json_lines;
mod judge;
mod options;
mod prepare;
mod run;
mod scenarios;
mod summary;

pub use exit::Exit;

use crate::agent::{AgentSettings, agent_health, run_agent};
use clap::{Parser, Subcommand};
use platform::settings::{ListenAddr, parse};
use std::process::ExitCode;

/// Puts load from thousands of clients on a Switchboard deployment and checks the results: not only
/// how fast it was, but whether every device received every message once, in order, exactly as
/// stored.
#[derive(Parser)]
#[command(name = "loadtest", version, after_help = AFTER_HELP)]
pub struct Cli {
    #[command(subcommand)]
    command: LoadtestCommand,
}

const AFTER_HELP: &str = "\
Begin with:
  loadtest scenarios                                      list the shipped scenarios
  loadtest run smoke --url http://127.0.0.1:8000          20 seconds with a little of everything
  loadtest scenarios fanout > mine.toml                   a template for your own scenario
  loadtest validate mine.toml

Exit codes:
  0    all thresholds were met and the truth check passed
  64   the scenario or the arguments are wrong; nothing was run
  70   the deployment, an agent or a file failed; there is no result
  98   the load tester itself was the limit; the figures say nothing about the servers
  99   a threshold was missed or the truth check failed
  130  interrupted";

#[derive(Subcommand)]
enum LoadtestCommand {
    /// Runs a scenario and writes a report
    Run(Box<run::RunArgs>),
    /// Checks scenarios without creating load
    Validate(scenarios::ValidateArgs),
    /// Lists the shipped scenarios, or prints one
    Scenarios(scenarios::ScenariosArgs),
    /// Creates or removes a scenario's accounts and chats, so that many runs can use them
    Prepare(Box<prepare::PrepareArgs>),
    /// Waits for a coordinator and runs its share of the load (run --agents)
    Agent(Box<AgentSettings>),
    /// Checks whether an agent on this machine is up
    Health {
        /// The address where the agent listens
        #[arg(long, env = "LISTEN", default_value = "127.0.0.1:7400")]
        listen: ListenAddr,
    },
    /// Compares two reports; exits with 99 if there is a regression
    Compare(judge::CompareArgs),
    /// Shows a JSON report again, as text, HTML or JUnit XML
    Report(judge::ReportArgs),
}

/// Does what the command line says.
pub async fn main() -> ExitCode {
    let cli: Cli = match parse(&[]) {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let exit = match cli.command {
        LoadtestCommand::Run(args) => run::run(&args).await,
        LoadtestCommand::Validate(args) => scenarios::validate(&args),
        LoadtestCommand::Scenarios(args) => scenarios::show(&args),
        LoadtestCommand::Prepare(args) => prepare::prepare(&args).await,
        LoadtestCommand::Agent(settings) => return run_agent(&settings).await,
        LoadtestCommand::Health { listen } => return agent_health(listen).await,
        LoadtestCommand::Compare(args) => judge::compare(&args),
        LoadtestCommand::Report(args) => judge::report(&args),
    };
    exit.into()
}

/// A line for people, beside what is the command's result.
#[expect(clippy::print_stderr, reason = "a command for the terminal")]
fn say(text: impl std::fmt::Display) {
    eprintln!("{text}");
}

/// The command's result.
fn print(text: &str) {
    use std::io::Write as _;
    // A closed pipe (`| head`) is nothing to fail for.
    let _ = writeln!(std::io::stdout().lock(), "{}", text.trim_end());
}
