//! Presence in Redis.

use super::{PresenceConfig, PresenceError};
use crate::id::{NodeId, UserId};
use deadpool_redis::Pool;
use std::collections::HashSet;

/// The register in Redis; clones share it.
#[derive(Clone)]
pub struct RedisPresence {}

impl RedisPresence {
    pub(super) fn new(_pool: Pool, _config: PresenceConfig) -> Self {
        Self {}
    }
    pub(super) async fn enter(
        &self,
        _: NodeId,
        _: &[UserId],
    ) -> Result<Vec<UserId>, PresenceError> {
        Ok(vec![])
    }
    pub(super) async fn leave(
        &self,
        _: NodeId,
        _: &[UserId],
    ) -> Result<Vec<UserId>, PresenceError> {
        Ok(vec![])
    }
    pub(super) async fn renew(&self, _: NodeId, _: u64) -> Result<bool, PresenceError> {
        Ok(true)
    }
    pub(super) async fn retire(&self, _: NodeId) -> Result<(), PresenceError> {
        Ok(())
    }
    pub(super) async fn online(&self, _: &[UserId]) -> Result<HashSet<UserId>, PresenceError> {
        Ok(HashSet::new())
    }
    pub(super) async fn online_page(
        &self,
        _: UserId,
        _: usize,
    ) -> Result<Vec<UserId>, PresenceError> {
        Ok(vec![])
    }
    pub(super) async fn connections(&self) -> Result<u64, PresenceError> {
        Ok(0)
    }
}
