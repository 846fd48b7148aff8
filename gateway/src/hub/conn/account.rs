//! The share of this node that one account has. All its connections use the same share, so a new connection adds
//! nothing. A guest's connection has no account and therefore a share of its own. Pure except for the lock.

use crate::config::{AccountConfig, Config};
use parking_lot::{Mutex, MutexGuard};
use platform::limit::{Bucket, Rate};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

/// An account's share of this node.
#[derive(Debug, Default)]
pub(crate) struct Account {
    allowance: Mutex<Allowance>,
    in_flight: AtomicUsize,
}

/// What is left of the rates in [`Config`], 8 bytes each.
#[derive(Debug, Default)]
pub(crate) struct Allowance {
    pub frames: Bucket,
    pub refused: Bucket,
    pub typing: Bucket,
    pub openings: Bucket,
}

/// The place of a command that has no answer yet. Dropping it frees the place.
#[derive(Debug)]
pub(crate) struct CommandInFlight(Arc<Account>);

impl Account {
    /// The rest of the allowance. Callers hold it for one frame and never across an await.
    pub(crate) fn allowance(&self) -> MutexGuard<'_, Allowance> {
        self.allowance.lock()
    }

    /// A place for one more command, if the account has fewer than `most` without an answer.
    pub(crate) fn try_command(self: &Arc<Self>, most: usize) -> Option<CommandInFlight> {
        // Counts first and checks then: of two calls at once both may be refused, but not both admitted.
        let one = CommandInFlight(Arc::clone(self));
        (self.in_flight.fetch_add(1, Ordering::Relaxed) < most).then_some(one)
    }
}

impl Drop for CommandInFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The time without a frame after which an account has its full allowance again, and may be forgotten.
pub(crate) fn full_after(config: &Config) -> Duration {
    let full = |rate: &Rate| rate.per.saturating_mul(rate.burst.max(1));
    let AccountConfig { frames, refused_frames, typing, openings, .. } = &config.account;
    let all = [full(frames), full(refused_frames), full(typing), full(openings)];
    all.into_iter().fold(config.presence.grace, Duration::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever comes and goes in whatever order, never more than the bound, and never a place lost.
        #[test]
        fn commands_in_flight_are_bounded_and_every_place_comes_back(
            most in 1usize..6,
            steps in prop::collection::vec(any::<Option<prop::sample::Index>>(), 1..200),
        ) {
            let account = Arc::new(Account::default());
            let mut held = Vec::new();
            for step in steps {
                match step {
                    Some(place) if !held.is_empty() => drop(held.swap_remove(place.index(held.len()))),
                    _ => {
                        let taken = account.try_command(most);
                        prop_assert_eq!(taken.is_some(), held.len() < most);
                        held.extend(taken);
                    }
                }
                prop_assert_eq!(account.in_flight.load(Ordering::Relaxed), held.len());
            }
        }
    }

    #[test]
    fn an_account_is_remembered_until_nothing_is_missing() {
        let config = Config::default();
        let (full, start) = (full_after(&config), Duration::from_secs(9));
        let mut allowance = Allowance::default();
        while allowance.openings.try_take(&config.account.openings, start, 1).is_ok() {}
        while allowance.refused.try_take(&config.account.refused_frames, start, 1).is_ok() {}
        assert!(!allowance.openings.is_full(start + full - Duration::from_millis(1)));
        assert!(allowance.openings.is_full(start + full));
        assert!(allowance.refused.is_full(start + full));
    }
}
