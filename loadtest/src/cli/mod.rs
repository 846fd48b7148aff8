//! The command line: subcommands, what they print, exit codes. Each subcommand is one file; what they
//! do is done by the library.

mod abort;
mod exit;
mod files;
mod interrupt;
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

/// Loads a Switchboard with clients by the thousand and checks what they got: not only how fast, but
/// whether every device got every message once, in order, as it is stored.
#[derive(Parser)]
#[command(name = "loadtest", version, after_help = AFTER_HELP)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
Begin with:
  loadtest scenarios                                      what is shipped
  loadtest run smoke --url http://127.0.0.1:8000          20 seconds, a little of everything
  loadtest scenarios fanout > mine.toml                   a start for a scenario of your own
  loadtest validate mine.toml

Exit codes:
  0    all thresholds were kept, and the truth
  64   the scenario or the arguments are wrong; nothing was done
  70   the deployment, an agent or a file failed; there is no result
  98   this program was the limit; the figures say nothing of the servers
  99   a threshold or the truth was not kept
  130  interrupted";

#[derive(Subcommand)]
enum Command {
    /// Does a scenario and reports
    Run(Box<run::RunArgs>),
    /// Checks scenarios without any load
    Validate(scenarios::ValidateArgs),
    /// Lists the shipped scenarios, or prints one
    Scenarios(scenarios::ScenariosArgs),
    /// Makes a scenario's accounts and chats, to be used by many runs; or removes them
    Prepare(Box<prepare::PrepareArgs>),
    /// Waits for a coordinator and does its part of runs (run --agents)
    Agent(Box<AgentSettings>),
    /// Asks an agent on this machine whether it is up
    Health {
        /// Where it listens
        #[arg(long, env = "LISTEN", default_value = "127.0.0.1:7400")]
        listen: ListenAddr,
    },
    /// Compares two reports; a regression is exit code 99
    Compare(judge::CompareArgs),
    /// Shows a JSON report again: as text, HTML, JUnit
    Report(judge::ReportArgs),
}

/// Does what the command line says.
pub async fn main() -> ExitCode {
    let cli: Cli = match parse() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let exit = match cli.command {
        Command::Run(args) => run::run(&args).await,
        Command::Validate(args) => scenarios::validate(&args),
        Command::Scenarios(args) => scenarios::show(&args),
        Command::Prepare(args) => prepare::prepare(&args).await,
        Command::Agent(settings) => return run_agent(&settings).await,
        Command::Health { listen } => return agent_health(listen).await,
        Command::Compare(args) => judge::compare(&args),
        Command::Report(args) => judge::report(&args),
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
