//! Frames as bytes: reads and writes one client's TCP stream. It knows neither chats nor dialects.
//!
//! - `socket.rs`: a server's end of a WebSocket, with its halves `input.rs` and `output.rs`
//! - `stream.rs`: the bytes under it
//! - `reader.rs`: decodes a client's frames; `utf8.rs`: checks a text that arrives in pieces
//! - `frame.rs`: a server's frame, encoded once for all receivers
//! - `credit.rs`: the memory budget for incomplete frames of unknown clients

pub mod credit;
pub mod frame;
pub mod input;
pub mod output;
mod reader;
pub mod socket;
mod stream;
mod utf8;
