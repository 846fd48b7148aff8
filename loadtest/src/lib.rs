//! The load tester as a library: whole-system tests and benchmarks use the parts of the program `loadtest`. A
//! [`scenario`] defines a run; [`cast`] is its participants, prepared on a deployment; [`history`] judges
//! what the clients recorded and [`measure`] counts it; a [`report`] shows the result.

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
