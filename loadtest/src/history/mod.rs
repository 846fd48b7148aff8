//! The history checker: decides from what clients recorded whether the promises were kept. Nothing
//! acknowledged lost, nothing twice to a device, every chat in order, the same content everywhere,
//! edits and deletes converged, everyone equal to what the database holds. Pure: it knows no sockets.
//!
//! Clients write into a [`Ledger`], each device through its own [`Log`]; in the end the ledger becomes
//! a [`Record`], which can be sent and merged, and is checked against what is [`StoredChats`].

mod check;
mod fact;
mod ledger;
mod log;
mod record;
mod reported;
mod segment;
mod stored;
mod timeline;
mod verdict;

pub use ledger::{Ledger, LedgerLimits};
pub use log::Log;
pub use record::Record;
pub use reported::{ReportedContent, ReportedEvent};
pub use stored::{HistoryMessage, StoredChats};
pub use verdict::Verdict;

#[cfg(test)]
mod tests;
