//! Reads settings: flags and environment variables by clap, secrets also from files. A mistake is one clear
//! line and exit code 64. A value that several processes accept is a type here, parsed in one place and
//! printed in one spelling. Each process has its own list of settings.

mod address;
mod in_force;
mod list;
mod secret;
mod trusted;
mod web;

pub use self::{
    address::{ListenAddr, reachable},
    in_force::{SettingInForce, SettingSource},
    list::CommaSeparated,
    secret::{Secret, shared_secrets},
    trusted::TrustedNetwork,
    web::{Origin, ServerUrl},
};

use clap::{ArgMatches, Command, Parser, error::ErrorKind};
use std::{
    env,
    error::Error,
    ffi::{OsStr, OsString},
    fmt,
    num::{IntErrorKind, ParseIntError},
    process::ExitCode,
};

/// The exit code for wrong settings (`EX_USAGE` of BSD's sysexits).
pub const EXIT_USAGE: u8 = 64;

/// The exit code of a server that cannot begin for another reason.
pub const EXIT_FAILURE: u8 = 1;

/// A setting that only its use shows to be wrong: one sentence that names it. For [`refuse`].
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct WrongSetting(pub String);

/// A subcommand that needs few of its program's settings: its name, and the ids of these settings.
pub type CommandNeeds = (&'static str, &'static [&'static str]);

/// The subcommands that every process has.
pub const COMMON_NEEDS: [CommandNeeds; 2] =
    [("health", &["admin_listen"]), ("log", &["admin_listen"])];

/// Parses the command line and the environment. A flag may stand before and after a subcommand; the help
/// of the subcommands in `needs` shows the settings that they need, and that of the others all. A variable
/// that is empty counts as not set, because that is what compose files and scripts make of one that nobody
/// set. Where a setting is a secret `NAME` (its value is hidden in `--help`), the variable `NAME_FILE` may
/// name a file that holds it instead, as container platforms mount secrets. `Err` is what the process
/// should exit with: the help was printed (0), or one line on stderr said what is wrong (64).
pub fn parse<A: Parser>(needs: &[CommandNeeds]) -> Result<A, ExitCode> {
    parse_with_sources(needs).map(|(settings, _)| settings)
}

/// The same, with what was set and where each value comes from.
pub fn parse_with_sources<A: Parser>(
    needs: &[CommandNeeds],
) -> Result<(A, Vec<SettingInForce>), ExitCode> {
    let said = |name: &str| variable(name.as_ref()).filter(|value| !value.is_empty());
    let secrets = secret::secrets_in_files(&A::command(), said).map_err(refuse)?;
    let mut arguments = env::args_os();
    // Among our own arguments, which no other process sees, before whatever else was given.
    let arguments = arguments.next().into_iter().chain(secrets).chain(arguments);
    let command = arranged(without_empty(A::command()), needs);
    let matches = command.try_get_matches_from(arguments);
    let in_file = |name: &str| said(&format!("{name}_FILE")).is_some();
    let read = |matches: ArgMatches| {
        let in_force = in_force::in_force(&A::command(), &matches, in_file);
        A::from_arg_matches(&matches).map(|settings| (settings, in_force))
    };
    matches.and_then(read).map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            let _ = error.print();
            ExitCode::SUCCESS
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            ExitCode::from(EXIT_USAGE)
        }
        _ => fail(format_args!("{} (see --help)", one_line(&error)), EXIT_USAGE),
    })
}

#[expect(clippy::disallowed_methods, reason = "what clap cannot do: files, and what is empty")]
fn variable(name: &OsStr) -> Option<OsString> {
    env::var_os(name)
}

/// The command without the variables that say nothing, those of its subcommands included.
fn without_empty(command: Command) -> Command {
    let command = command.mut_args(|setting| match setting.get_env().and_then(variable) {
        Some(value) if value.is_empty() => setting.env(None::<&str>),
        _ => setting,
    });
    command.mut_subcommands(without_empty)
}

/// The command whose subcommands take all settings and show what they need.
fn arranged(command: Command, needs: &[CommandNeeds]) -> Command {
    let mut command = command.mut_args(|setting| match setting.get_long() {
        Some(_) => setting.global(true),
        None => setting,
    });
    // Here the subcommands get the settings.
    command.build();
    needs.iter().fold(command, |command, (name, shown)| {
        command.mut_subcommand(name, |subcommand| showing(subcommand, shown))
    })
}

fn showing(command: Command, shown: &[&str]) -> Command {
    let command = command.mut_args(|setting| {
        let other = setting.is_global_set() && !shown.contains(&setting.get_id().as_str());
        setting.hide(other)
    });
    command.mut_subcommands(|subcommand| showing(subcommand, shown))
}

/// What is wrong, without clap's `error: `. Its first line says it all; usage and tips would bury it.
fn one_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let rest = ["Usage:", "For more information"];
    let lines = lines.take_while(|line| !rest.iter().any(|rest| line.starts_with(rest)));
    let line = lines.collect::<Vec<_>>().join(" ");
    let line = line.strip_prefix("error: ").unwrap_or(&line);
    if let Some((start, range)) = line.rsplit_once(" is not in ")
        && let (Some((start, _)), Some((least, most))) =
            (start.rsplit_once(' '), range.split_once("..="))
    {
        return format!("{start} it must be a whole number from {least} to {most}");
    }
    let number = error.source().and_then(<dyn Error>::downcast_ref::<ParseIntError>);
    match number.and_then(|why| Some((line.strip_suffix(&why.to_string())?, why.kind()))) {
        Some((start, IntErrorKind::PosOverflow)) => format!("{start}the number is too large"),
        Some((start, _)) => format!("{start}it must be a whole number, such as 10"),
        None => line.to_owned(),
    }
}

/// One line on stderr about settings that parse and still cannot work.
pub fn refuse(message: impl fmt::Display) -> ExitCode {
    fail(message, EXIT_USAGE)
}

/// One line on stderr about why a process cannot begin, and the exit code for that.
#[expect(clippy::print_stderr, reason = "before a process serves, stderr is where errors go")]
pub fn fail(message: impl fmt::Display, code: u8) -> ExitCode {
    eprintln!("error: {message}");
    ExitCode::from(code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory as _, FromArgMatches as _};

    #[derive(Debug, Parser)]
    struct Settings {
        #[arg(long, env = "CONNECTIONS", default_value_t = 7)]
        connections: u64,
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=50))]
        gateways: u16,
        #[arg(long, default_value = "127.0.0.1:1")]
        listen: ListenAddr,
    }

    #[test]
    fn what_is_wrong_is_one_line_in_plain_words() {
        for (argument, words) in [
            ("--connections=abc", "'abc' for '--connections <CONNECTIONS>': it must be a whole"),
            ("--connections=", "it must be a whole number"),
            ("--connections=-1", "it must be a whole number"),
            ("--connections=1.5", "it must be a whole number"),
            ("--connections=99999999999999999999", "the number is too large"),
            ("--gateways=x", "it must be a whole number"),
            (
                "--gateways=51",
                "'51' for '--gateways <GATEWAYS>': it must be a whole number from 1 to 50",
            ),
            ("--gateways=-1", "it must be a whole number from 1 to 50"),
            ("--listen=localhost", "127.0.0.1:8000"),
            ("--lisen=:1", "a similar argument exists: '--listen'"),
        ] {
            let error = Settings::try_parse_from(["x", argument]).unwrap_err();
            let line = one_line(&error);
            assert!(line.contains(words) && line.lines().count() == 1, "{argument}: {line}");
            assert!(!line.contains("--help") && !line.contains("error:"), "{argument}: {line}");
        }
    }

    #[derive(Debug, Parser)]
    struct Program {
        #[command(subcommand)]
        command: Option<ProgramCommand>,
        #[arg(long, default_value_t = 7)]
        connections: u64,
        #[arg(long, default_value = "127.0.0.1:1")]
        admin_listen: ListenAddr,
    }

    #[derive(Debug, clap::Subcommand)]
    enum ProgramCommand {
        Serve,
        Health,
        Log { filter: Option<String> },
    }

    #[test]
    fn settings_stand_before_and_after_a_subcommand_which_shows_those_that_it_needs() {
        let command = || arranged(Program::command(), &COMMON_NEEDS);
        for line in [
            ["x", "--connections=8", "serve"],
            ["x", "serve", "--connections=8"],
            ["x", "log", "--connections=8"],
        ] {
            let matches = command().try_get_matches_from(line).unwrap();
            assert_eq!(Program::from_arg_matches(&matches).unwrap().connections, 8, "{line:?}");
        }
        let help = |subcommand: &str| {
            command().try_get_matches_from(["x", subcommand, "--help"]).unwrap_err().to_string()
        };
        let serve = help("serve");
        assert!(serve.contains("--connections") && serve.contains("--admin-listen"), "{serve}");
        for subcommand in ["health", "log"] {
            let text = help(subcommand);
            assert!(text.contains("--admin-listen") && text.contains("--help"), "{text}");
            assert!(!text.contains("--connections"), "{text}");
        }
    }
}
