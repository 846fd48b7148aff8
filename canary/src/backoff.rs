//! How long to wait before the next try: longer each time, jittered, so that nobody is hammered and
//! those who failed together do not come back together.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(250);
/// Short enough that a gateway that is back is noticed within a round or two.
const LONGEST: Duration = Duration::from_secs(8);

/// The pauses of one who tries.
#[derive(Clone, Copy, Debug, Default)]
pub struct Backoff {
    tries: u32,
}

impl Backoff {
    /// The next pause: between a half and the whole of a time that doubles.
    pub fn pause(&mut self) -> Duration {
        let whole = FIRST.saturating_mul(1 << self.tries.min(10)).min(LONGEST);
        self.tries = self.tries.saturating_add(1);
        whole.mul_f64(rand::random_range(0.5..1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit() {
        let mut backoff = Backoff::default();
        let pauses: Vec<Duration> = (0..100).map(|_| backoff.pause()).collect();
        assert!(pauses[0] >= FIRST / 2 && pauses[0] <= FIRST);
        assert!(pauses[2] > pauses[0]);
        assert!(pauses[50..].iter().all(|pause| *pause >= LONGEST / 2 && *pause <= LONGEST));
    }
}
