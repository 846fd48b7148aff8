//! One run on several machines: an agent runs a share of a scenario for a coordinator ([`coordinate`]). They
//! talk HTTP: the coordinator prepares, measures the difference between the clocks, sets the start, polls
//! once a second and fetches each agent's result. [`crate::engine`] defines a share and judges the parts;
//! nothing is measured or checked here.

mod clocks;
mod coordinator;
mod merged;
mod message;
mod remote;
mod routes;
mod run;
mod serve;
mod settings;
mod slot;
#[cfg(test)]
mod tests;

pub use coordinator::{AgentsError, Crew, coordinate};
pub use remote::AgentFault;
pub use routes::routes;
pub(crate) use serve::{agent_health, run_agent};
pub(crate) use settings::{AgentSettings, SecretArgs};
