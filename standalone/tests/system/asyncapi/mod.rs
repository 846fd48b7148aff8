//! The AsyncAPI document against the product: its examples are decoded and encoded by the code that
//! serves them, nothing is missing in it, and whatever a server sends in any test of this binary is
//! what it says (`harness/socket.rs` asks [`Channel::check`]). Whether it is good AsyncAPI was seen
//! with the official parser and is not tried here.

mod complete;
mod document;
mod examples;

pub use document::{Channel, document};
