//! What the gateway and the api both need. Something enters here only when two crates need it.
//!
//! Start with [`chat`] (the domain's words), [`relay`] (what travels on the bus) and [`internal`]
//! (what a gateway asks of the api).

pub mod admin;
mod breaker;
pub mod bus;
pub mod chat;
pub mod close;
pub mod credentials;
pub mod files;
pub mod forwarded;
pub mod id;
pub mod internal;
pub mod lifecycle;
pub mod limit;
pub mod metric;
pub mod presence;
pub mod problem;
pub mod protocol;
pub mod relay;
pub mod serve;
pub mod settings;
pub mod telemetry;
pub mod text;
pub mod time;
pub mod token;
