//! Where Redis is, and the numbers about talking to it.

use super::{
    limits::RedisLimits,
    tls::RedisTls,
    topology::{InvalidRedisUrl, Topology},
};
use crate::settings::Secret;

/// Where Redis is and how long to wait for it.
#[derive(Clone, Debug)]
pub struct RedisConfig {
    /// The servers.
    pub topology: Topology,
    /// Servers to which the bus publishes as well, while its channels move between them and those above.
    pub also: Option<Topology>,
    /// May be changed before the configuration is used.
    pub limits: RedisLimits,
}

impl RedisConfig {
    /// Reads a URL of any form of [`Topology`], without certificates of one's own; connects to nothing.
    pub fn new(url: &Secret) -> Result<Self, InvalidRedisUrl> {
        Self::with_tls(url, &RedisTls::default())
    }

    /// Likewise, with these certificates.
    pub fn with_tls(url: &Secret, tls: &RedisTls) -> Result<Self, InvalidRedisUrl> {
        let topology = Topology::new(url, tls)?;
        Ok(Self { topology, also: None, limits: RedisLimits::default() })
    }
}
