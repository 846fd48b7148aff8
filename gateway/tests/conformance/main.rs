//! A socket's conformance with RFC 6455, tried over TCP by a client that writes bytes. The cases are
//! those of the field's well-known suite, sections 1 to 7, 9 and 10, as tables of our own. Two things
//! differ by design: binary messages are thrown away (here they are answered with the text
//! [`BINARY`]), and of pings that come together the newest is answered.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod closing;
mod control;
mod fragments;
mod framing;
mod limits;
mod peer;
mod utf8;

/// What the echo says to a binary message.
const BINARY: &str = "a binary message";
