//! The scenarios that come with the program. Each file's comments teach what it is for and what to
//! raise; they are small enough for one laptop that runs the server, too.

use super::{Mistakes, ScenarioSource, read};
use crate::scenario::Scenario;

/// A scenario of the program's own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShippedScenario {
    pub name: &'static str,
    /// The file, comments and all.
    pub text: &'static str,
}

macro_rules! shipped {
    ($($name:literal),* $(,)?) => {
        [$(ShippedScenario {
            name: $name,
            text: include_str!(concat!("../../scenarios/", $name, ".toml")),
        }),*]
    };
}

/// In the order in which one gets to know a deployment.
pub(crate) const SHIPPED: [ShippedScenario; 11] = shipped![
    "smoke", "idle", "fanout", "rooms", "direct", "mix", "churn", "storm", "slow", "soak",
    "families",
];

/// A shipped scenario as it is.
pub(crate) fn shipped(name: &str) -> Result<Scenario, Mistakes> {
    read(&ScenarioSource::open(name)?, &[])
}
