//! Switchboard in one process: api and gateway on SQLite and an in-process bus. The binary is
//! `switchboard`.

pub mod commands;
mod direct;
pub mod server;
pub mod settings;
