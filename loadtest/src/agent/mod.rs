//! Several machines, one run: an agent does a share of a scenario for a coordinator, which
//! [`coordinate`] is. They talk HTTP: the coordinator prepares, measures the clocks' difference, names
//! the moment to start, polls once a second and fetches what each agent found. What a share is and how
//! the parts are judged is [`crate::engine`]'s business; nothing is measured or checked here.

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
pub use serve::{agent_health, run_agent};
pub use settings::{AgentSettings, SecretArgs};
