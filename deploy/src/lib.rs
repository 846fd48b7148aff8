//! Reads the files that deploy Switchboard and what the code says of itself, so that the tests beside
//! it can hold them against each other: known settings, known metrics. It runs nothing.

pub mod dashboards;
pub mod documents;
pub mod known;
pub mod promql;
pub mod rules;
pub mod series;
