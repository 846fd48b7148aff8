//! The page in real browsers against the real binary: what a person sees and does. A file is a story. What the server
//! answers is tried in `system`; needs chromium and chromedriver.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stderr, reason = "a failure shows what was in sight")]

mod chrome;
mod harness;
mod server;
mod writer;

mod accessibility;
mod account;
mod administration;
mod avatar;
mod chat;
mod documents;
mod editing;
mod failover;
mod frames;
mod language;
mod list;
mod lost_password;
mod members;
mod notifications;
#[path = "../../../api/tests/rest/post_office.rs"]
#[expect(dead_code, reason = "only the api's own tests make the server difficult")]
mod post_office;
mod reading;
mod touch;
mod unsent;
