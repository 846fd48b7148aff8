//! How long to wait before connecting again: doubling, bounded, and spread by chance, so that a
//! server that comes back is not met by all nodes at once.

use super::config::RedisLimits;
use std::time::Duration;

/// The pauses of one connection.
pub(super) struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    pub(super) fn new(limits: &RedisLimits) -> Self {
        let first = limits.backoff_first;
        Self { first, longest: limits.backoff_longest.max(first), next: first }
    }

    /// The pause before the next attempt, from the upper half of its range; `chance` is in `0..1`.
    pub(super) fn pause(&mut self, chance: f64) -> Duration {
        let pause = self.next;
        self.next = pause.saturating_mul(2).min(self.longest);
        pause.mul_f64(0.5 + chance / 2.0)
    }

    /// The connection works: the next loss starts from the first pause.
    pub(super) fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_are_spread() {
        let mut backoff = Backoff::new(&RedisLimits::default());
        let pauses: Vec<u128> = (0..6).map(|_| backoff.pause(1.0).as_millis()).collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1600, 2000]);
        assert_eq!(backoff.pause(0.0).as_millis(), 1000);
        backoff.reset();
        assert_eq!(backoff.pause(0.0).as_millis(), 50);
    }
}
