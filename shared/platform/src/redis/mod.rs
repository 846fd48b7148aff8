//! Where Redis is, and how a connection to it is made: every form of `REDIS_URL`, certificates, Sentinel. The bus,
//! presence and limits stand on it. What they say to Redis is not known here.

mod access;
mod config;
mod sentinel;
mod server;
mod tls;
mod topology;

pub use self::{
    config::{RedisConfig, RedisLimits, pool},
    server::{Connected, Server, Watch},
    tls::RedisTls,
    topology::{InvalidRedisUrl, Seeds, Topology},
};
