//! An event on its way to many connections: encoded once for each wire format, handed out as the
//! same bytes. It knows no connection.

use crate::native;
use shared::protocol::ChatEvent;
use std::sync::OnceLock;
use tokio_tungstenite::tungstenite::Utf8Bytes;

/// The text of one WebSocket frame. Cloning it counts a reference.
pub type Frame = Utf8Bytes;

/// The wire formats a connection may speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// `WS /gateway`: see [`shared::protocol`].
    Native,
}

/// A chat's event with its encodings.
#[derive(Debug)]
pub struct Relayed {
    pub event: ChatEvent,
    native: OnceLock<Frame>,
}

impl Relayed {
    pub fn new(event: ChatEvent) -> Self {
        Self { event, native: OnceLock::new() }
    }

    /// The event in a dialect.
    pub fn frame(&self, dialect: Dialect) -> Frame {
        match dialect {
            Dialect::Native => self.native.get_or_init(|| native::encode(&self.event)).clone(),
        }
    }

    /// About what it takes in memory, for the windows' bound.
    pub fn bytes(&self) -> usize {
        self.frame(Dialect::Native).len() + size_of::<Self>()
    }
}
