//! Free ports for servers that cannot be asked to bind port 0.

use rand::RngExt;
use std::{
    net::TcpListener,
    sync::{
        LazyLock,
        atomic::{AtomicU16, Ordering},
    },
};

/// Below the range that the kernel hands out to outgoing connections (32768 and up), so that none
/// of them can take a port between our look and the server's bind.
const FIRST: u16 = 10_000;
const COUNT: u16 = 20_000;

/// Every process starts somewhere else and goes upwards, so that test binaries which run side by
/// side rarely look at the same port, and one process never hands out a port twice in a row.
static NEXT: LazyLock<AtomicU16> =
    LazyLock::new(|| AtomicU16::new(rand::rng().random_range(0..COUNT)));

/// A port of 127.0.0.1 that nobody listens on right now. Another process may still take it first:
/// start again with another one then.
pub fn free_port() -> u16 {
    loop {
        let port = FIRST + NEXT.fetch_add(1, Ordering::Relaxed) % COUNT;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
