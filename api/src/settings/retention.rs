//! The settings of how long things are kept.

use crate::config::Config;
use clap::Args;
use std::time::Duration;

/// How long deleted and unused data is kept. The one-process binary has these settings too.
#[derive(Args, Clone, Debug)]
pub struct RetentionArgs {
    /// Days until a deleted chat's messages are erased, at least 1. Its members are erased after an
    /// hour. Until then no user can see the messages, but an operator with access to the database
    /// can investigate abuse. 0 keeps them forever
    #[arg(long, env = "DELETED_CHAT_RETENTION_DAYS", default_value_t = 30, global = true)]
    pub deleted_chat_retention_days: u32,
    /// Days since their last visit until guests who never wrote anything are erased, at least 2.
    /// Only the guest's id is lost: the next person to use the name becomes a new guest. 0 keeps
    /// them forever
    #[arg(long, env = "GUEST_RETENTION_DAYS", default_value_t = 30, global = true)]
    pub guest_retention_days: u32,
}

impl RetentionArgs {
    /// Copies these values into the configuration. An error is one sentence.
    pub fn apply(&self, config: &mut Config) -> Result<(), String> {
        let days = |days: u32| match days {
            0 => None,
            days => Some(Duration::from_secs(u64::from(days) * 24 * 60 * 60)),
        };
        if self.guest_retention_days == 1 {
            return Err(
                "GUEST_RETENTION_DAYS must be at least 2, or 0 to keep guests forever".to_owned()
            );
        }
        config.retention.deleted_chats = days(self.deleted_chat_retention_days);
        config.retention.guests = days(self.guest_retention_days);
        Ok(())
    }
}
