//! Holds the files that deploy Switchboard against the code and against each other. No server and no
//! external program is needed; what those say of the files is `make check-deploy`.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

mod balancers;
mod compose;
mod dashboards;
mod documents;
mod generated;
mod image;
mod kubernetes;
mod links;
mod redis;
mod rules;
