//! Reads the files that deploy Switchboard and what the code says of itself, so that the tests beside
//! it can hold them against each other: known settings, known metrics. It runs nothing but kustomize.

#![warn(missing_docs, unreachable_pub)]

pub mod compose;
pub mod dashboards;
pub mod documents;
pub mod image;
pub mod known;
pub mod kubernetes;
pub mod promql;
pub mod registry;
pub mod rules;
pub mod series;
