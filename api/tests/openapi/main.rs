//! The OpenAPI document: a reviewed snapshot, complete, and true to itself. Whether answers are as it
//! says is tried with real traffic, in the whole-system tests.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod complete;
mod snapshot;
