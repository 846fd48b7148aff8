//! Where Redis is, and how a connection to it is made: every form of `REDIS_URL`, certificates, Sentinel. The bus,
//! presence and limits stand on it. What they say to Redis is not known here.

mod access;
mod args;
mod config;
mod found;
mod guides;
mod limits;
mod server;
mod slots;
mod state;
mod tls;
mod topology;

pub(crate) use self::slots::{SLOTS, SlotOwners, slot_owners};
pub use self::{
    args::{RedisArgs, RedisConfigs},
    config::RedisConfig,
    limits::RedisLimits,
    server::{RedisConnection, Server, ServerWatch},
    state::{State, StateConnection},
    tls::RedisTls,
    topology::{InvalidRedisUrl, Seeds, Topology},
};
