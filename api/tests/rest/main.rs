//! The public routes over a real socket, on a SQLite database of their own.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod accounts;
mod admin;
mod bad_input;
mod cookies;
mod limits;
mod sessions;
mod support;
mod users;
