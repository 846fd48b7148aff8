//! The load tester as a library: whole-system tests and benchmarks use what the program `loadtest`
//! is made of. A [`scenario`] says what shall happen; [`cast`] is who takes part, prepared on a
//! deployment; what the clients recorded is judged by [`history`] and counted in [`measure`]; a
//! [`report`] tells it all.

pub mod agent;
pub mod cast;
pub mod cli;
pub mod client;
mod duration;
pub mod engine;
pub mod history;
pub mod live;
pub mod measure;
pub mod metric;
pub mod prepare;
pub mod recorder;
pub mod report;
pub mod rest;
pub mod scenario;
pub mod scenarios;
mod suggest;
pub mod threshold;
