//! Switchboard's words: what clients, gateways and apis say to each other, as data. It knows no socket, no
//! database and no clock but [`time::Timestamp::now`], so that a client can depend on it.
//!
//! Start with [`chat`] (what is said in chats), [`frames`] (the native protocol), [`command`] and its receipt,
//! [`relay`], [`partition`] and [`encoded_run`] (what travels on the bus), [`calls`] (what a gateway asks an api) and [`stream`]
//! (how it asks the hottest of them).

#![warn(missing_docs, unreachable_pub)]

pub mod account;
pub mod bucket;
pub mod calls;
pub mod chat;
pub mod close;
pub mod code;
pub mod command;
pub mod encoded_run;
pub mod frames;
pub mod id;
pub mod limits;
pub mod orders;
pub mod partition;
pub mod refusal;
pub mod relay;
pub mod stream;
pub mod time;
pub mod traceparent;
