//! The public routes over a real socket, each test on a database of its own: SQLite,
//! and once more PostgreSQL for every query of the accounts.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod accounts;
mod admin;
mod avatars;
mod bad_input;
mod bucket;
#[path = "../../../standalone/tests/system/harness/contract.rs"]
mod contract;
mod cookies;
mod deletion;
mod direct;
mod documented;
mod email;
mod health;
mod limits;
mod lobby;
mod lost_password;
mod names;
mod names_dialect;
mod people;
mod post_office;
mod postgres;
mod second_factor;
mod sessions;
mod stopping;
mod support;
mod users;
