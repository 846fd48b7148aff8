//! The settings that say where Redis is; every process that uses it has them.

use super::{config::RedisConfig, tls::RedisTls, topology::InvalidRedisUrl};
use crate::settings::Secret;
use clap::Args;

/// Where Redis is.
#[derive(Args, Clone, Debug, Default)]
pub struct RedisArgs {
    /// The Redis server that relays between nodes: `redis://[[user]:password@]host:port[/db]`, or
    /// `rediss://…` for TLS. Several, separated by commas, each take a share.
    /// `redis+sentinel://[[user]:password@]host:port,host:port/name[?db=0]` is the primary that
    /// sentinels name, `redis+cluster://[[user]:password@]host:port,host:port` a cluster; `rediss+…`
    /// for TLS. All processes need the same
    #[arg(long, env = "REDIS_URL", hide_env_values = true, global = true)]
    pub redis_url: Option<Secret>,
    /// Another Redis for presence and rate limits, in any of these forms [default: REDIS_URL, and
    /// of several servers the first]
    #[arg(long, env = "REDIS_STATE_URL", hide_env_values = true, global = true)]
    pub redis_state_url: Option<Secret>,
    /// Redis servers to which everything is published as well, in any of these forms, while nodes move
    /// from them to those of REDIS_URL or the other way round, one after the other
    #[arg(long, env = "REDIS_ALSO_URL", hide_env_values = true, global = true)]
    pub redis_also_url: Option<Secret>,
    /// The certificates of the authorities that sign the certificates of Redis servers, as PEM
    /// [default: the authorities that browsers trust]
    #[arg(long, env = "REDIS_CA", hide_env_values = true, global = true)]
    pub redis_ca: Option<Secret>,
    /// The certificate that Redis servers ask for, as PEM, followed by those that it was signed with
    #[arg(long, env = "REDIS_CERTIFICATE", hide_env_values = true, global = true)]
    pub redis_certificate: Option<Secret>,
    /// The private key of that certificate, as PEM
    #[arg(long, env = "REDIS_KEY", hide_env_values = true, global = true)]
    pub redis_key: Option<Secret>,
}

/// Both uses of Redis, checked. Nothing has connected yet.
#[derive(Clone, Debug)]
pub struct RedisConfigs {
    /// What relays.
    pub bus: RedisConfig,
    /// What has presence and limits.
    pub state: RedisConfig,
}

impl RedisArgs {
    /// Checks the settings. An error is one sentence without any secret.
    pub fn check(&self) -> Result<RedisConfigs, String> {
        let url = self.redis_url.as_ref().ok_or(
            "REDIS_URL is missing. Set it to the Redis server that relays between nodes: redis://host:port",
        )?;
        let tls = RedisTls {
            authorities: self.redis_ca.clone(),
            certificate: self.redis_certificate.clone(),
            key: self.redis_key.clone(),
        };
        let read = |name: &str, url: &Secret| {
            RedisConfig::with_tls(url, &tls).map_err(|error| match error {
                InvalidRedisUrl::Certificates(why) => why,
                error => format!("{name}: {error}"),
            })
        };
        let mut bus = read("REDIS_URL", url)?;
        let state = match &self.redis_state_url {
            Some(url) => read("REDIS_STATE_URL", url)?,
            None => bus.clone(),
        };
        if let Some(url) = &self.redis_also_url {
            bus.also = Some(read("REDIS_ALSO_URL", url)?.topology);
        }
        Ok(RedisConfigs { bus, state })
    }
}
