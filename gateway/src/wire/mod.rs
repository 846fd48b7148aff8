//! Frames as bytes: reads and writes one client's TCP stream. It knows neither chats nor dialects.
//!
//! - `socket.rs`: a server's end of a WebSocket
//! - `reader.rs`, `utf8.rs`: a client's frames out of whatever pieces the kernel delivers
//! - `frame.rs`: a server's frame, encoded once for all who are sent it
//! - `credit.rs`: the memory that incomplete frames of unknown clients may take

pub mod credit;
pub mod frame;
mod reader;
pub mod socket;
mod utf8;
