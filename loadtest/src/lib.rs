//! The load tester as a library: whole-system tests and benchmarks use the parts of the program `loadtest`. A
//! [`scenario`] defines a run; [`cast`] is its participants, prepared on a deployment; [`history`] judges
//! what the clients recorded and [`measure`] counts it; a [`report`] shows the result.

#![warn(missing_docs, unreachable_pub)]

pub mod agent;
pub mod cast;
pub mod cli;
mod client;
mod duration;
pub mod engine;
pub mod history;
mod live;
pub mod measure;
pub mod metric;
pub mod prepare;
mod recorder;
pub mod report;
pub mod rest;
pub mod scenario;
mod scenarios;
mod suggest;
mod threshold;
pub mod trust;
