//! Computes the delay before the next attempt: doubling, bounded and randomized, so that a server that comes
//! back is not met by all its clients at once. It neither sleeps nor generates random numbers.

use std::time::Duration;

/// The pauses between the attempts of one caller.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    /// The first pause lasts at most `first`, and none longer than `longest`.
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest: longest.max(first), next: first }
    }

    /// As a good client of Switchboard waits: a quarter of a second at first, 8 s at most, so that it notices
    /// soon that a gateway is back.
    pub fn of_client() -> Self {
        Self::new(Duration::from_millis(250), Duration::from_secs(8))
    }

    /// The pause before the next attempt, from the upper half of its range; `chance` is in `0..1`.
    pub fn pause(&mut self, chance: f64) -> Duration {
        let pause = self.next;
        self.next = pause.saturating_mul(2).min(self.longest);
        pause.mul_f64(0.5 + chance / 2.0)
    }

    /// An attempt succeeded: after the next failure the first pause comes again.
    pub fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_are_spread() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
        let pauses: Vec<u128> = (0..6).map(|_| backoff.pause(1.0).as_millis()).collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1600, 2000]);
        assert_eq!(backoff.pause(0.0).as_millis(), 1000);
        backoff.reset();
        assert_eq!(backoff.pause(0.0).as_millis(), 50);
    }
}
