//! How a command ended.

use super::say;
use crate::{
    agent::AgentsError, engine::RunError, prepare::PrepareError, report::RunOutcome,
    scenarios::Mistakes,
};
use std::process::ExitCode;

/// The exit codes of the program. 64 and 70 are BSD's `EX_USAGE` and `EX_SOFTWARE`, 99 is what load
/// testers use for thresholds, 130 what shells say of Ctrl-C.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The command did its work and found nothing wrong.
    Ok = 0,
    /// The arguments or the scenario are wrong. Nothing was run.
    Usage = 64,
    /// The deployment, an agent or a file failed. There is no result.
    Failed = 70,
    /// The load tester was the limit. The figures say nothing about the servers.
    GeneratorLimited = 98,
    /// A threshold was missed, or a comparison found a regression.
    Threshold = 99,
    /// A signal ended the command.
    Interrupted = 130,
}

/// Why a command came to no result: what is said on stderr, and the exit code.
#[derive(Debug)]
pub(super) struct Failure {
    pub exit: Exit,
    pub error: anyhow::Error,
}

impl Failure {
    pub(super) fn usage(error: impl Into<anyhow::Error>) -> Self {
        Self { exit: Exit::Usage, error: error.into() }
    }

    pub(super) fn failed(error: impl Into<anyhow::Error>) -> Self {
        Self { exit: Exit::Failed, error: error.into() }
    }

    /// Says it.
    pub(super) fn tell(self) -> Exit {
        match self.exit {
            Exit::Interrupted => say(self.error),
            _ => say(format_args!("error: {:#}", self.error)),
        }
        self.exit
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl From<RunOutcome> for Exit {
    fn from(outcome: RunOutcome) -> Self {
        match outcome {
            RunOutcome::Passed => Self::Ok,
            RunOutcome::Failed => Self::Threshold,
            RunOutcome::GeneratorLimited => Self::GeneratorLimited,
            RunOutcome::Interrupted => Self::Interrupted,
        }
    }
}

impl From<Mistakes> for Failure {
    /// Many lines, so they begin on one of their own.
    fn from(mistakes: Mistakes) -> Self {
        Self::usage(anyhow::anyhow!("the scenario cannot be run\n{mistakes}"))
    }
}

impl From<PrepareError> for Failure {
    fn from(error: PrepareError) -> Self {
        match error {
            PrepareError::Run(_) | PrepareError::Chats(_) => Self::usage(error),
            _ => Self::failed(error),
        }
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        Self::failed(error)
    }
}

impl From<AgentsError> for Failure {
    fn from(error: AgentsError) -> Self {
        match error {
            AgentsError::Url(_) | AgentsError::Twice(_) | AgentsError::Number(_) => {
                Self::usage(error)
            }
            _ => Self::failed(error),
        }
    }
}
