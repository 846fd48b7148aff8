//! The settings of how much one account or address may do.

use crate::config::Config;
use clap::Args;
use platform::limit::Rate;
use std::time::Duration;

/// Limits per account and per address. The one-process binary has them too.
#[derive(Args, Clone, Debug)]
pub struct LimitArgs {
    /// Cost units per second that an account may spend over REST on all apis together; after a
    /// quiet period, a burst of four times as many. A cheap read costs 1. A change costs 5, so that
    /// REST accepts as many messages as FRAMES_PER_SECOND lets a socket send. A page costs as much
    /// as it may read. Raise the limit for a load test
    #[arg(long, env = "REQUESTS_PER_SECOND", default_value_t = 250, global = true)]
    pub requests_per_second: u32,
    /// The same limit for all clients behind one address that present no account: sign-ins, the
    /// guests' lobby, /status. The default is twice an account's limit, so that a school behind one
    /// router can reconnect at once
    #[arg(long, env = "REQUESTS_WITHOUT_ACCOUNT_PER_SECOND", default_value_t = 500, global = true)]
    pub requests_without_account_per_second: u32,
    /// Sign-in attempts per minute from one address; after a quiet period, a burst of five times as
    /// many. Enough for an office behind one router. Each attempt costs 15 ms of one core
    #[arg(long, env = "LOGINS_PER_MINUTE", default_value_t = 120, global = true)]
    pub logins_per_minute: u32,
    /// New accounts per minute from one address; after a quiet period, a burst of five times as
    /// many. Enough for a classroom that registers at once, not for a flood of accounts
    #[arg(long, env = "REGISTRATIONS_PER_MINUTE", default_value_t = 60, global = true)]
    pub registrations_per_minute: u32,
}

impl LimitArgs {
    /// Copies these values into the configuration. An error is one sentence.
    pub fn apply(&self, config: &mut Config) -> Result<(), String> {
        let second = Duration::from_secs(1);
        let minute = Duration::from_secs(60);
        config.requests = rate("REQUESTS_PER_SECOND", self.requests_per_second, second, 4)?;
        config.requests_without_account = rate(
            "REQUESTS_WITHOUT_ACCOUNT_PER_SECOND",
            self.requests_without_account_per_second,
            second,
            4,
        )?;
        config.login_per_address = rate("LOGINS_PER_MINUTE", self.logins_per_minute, minute, 5)?;
        config.register_per_address =
            rate("REGISTRATIONS_PER_MINUTE", self.registrations_per_minute, minute, 5)?;
        Ok(())
    }
}

/// A rate of `count` per `time`, with a burst of `times` as many after a quiet period.
fn rate(name: &str, count: u32, time: Duration, times: u32) -> Result<Rate, String> {
    if count == 0 {
        return Err(format!("{name} must be at least 1"));
    }
    Ok(Rate { per: time / count, burst: count.saturating_mul(times) })
}
