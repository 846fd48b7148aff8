//! The run's clock: moments of this process as microseconds since the Unix epoch, so that a message's
//! timestamp means the same to every agent. It reads the wall clock once, and then uses only monotonic time,
//! which nobody can set.

use protocol::time::Timestamp;
use std::time::Duration;
use tokio::time::Instant;

/// An instant and what the wall clock said then.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    anchor: Instant,
    unix_micros: i64,
}

impl Clock {
    /// Reads the wall clock, which tells milliseconds, as it turns: that is exact to some
    /// microseconds and takes one millisecond.
    pub(crate) fn read() -> Self {
        let before = Timestamp::now();
        loop {
            let (now, anchor) = (Timestamp::now(), Instant::now());
            if now != before {
                return Self { anchor, unix_micros: now.0.saturating_mul(1000) };
            }
            std::hint::spin_loop();
        }
    }

    /// The same clock, so much later: what an agent adds that found its own to be behind.
    pub(crate) fn shifted(self, micros: i64) -> Self {
        Self { unix_micros: self.unix_micros.saturating_add(micros), ..self }
    }

    /// Microseconds since 1970-01-01 UTC at that moment.
    pub(crate) fn micros(&self, at: Instant) -> i64 {
        let micros = |duration: Duration| i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        match at.checked_duration_since(self.anchor) {
            Some(since) => self.unix_micros.saturating_add(micros(since)),
            None => self.unix_micros.saturating_sub(micros(self.anchor.duration_since(at))),
        }
    }

    /// The moment of these microseconds; the clock's beginning for what is too long ago to tell.
    pub(crate) fn instant(&self, unix_micros: i64) -> Instant {
        let since = unix_micros.saturating_sub(self.unix_micros);
        let distance = Duration::from_micros(since.unsigned_abs());
        let at = if since >= 0 {
            self.anchor.checked_add(distance)
        } else {
            self.anchor.checked_sub(distance)
        };
        at.unwrap_or(self.anchor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_with_the_wall_clock_and_back() {
        let clock = Clock::read();
        let at = Instant::now();
        let wall = Timestamp::now().0 * 1000;
        assert!((clock.micros(at) - wall).abs() < 2_000_000, "{} {wall}", clock.micros(at));
        for shift in [0, 1_500, -1_500] {
            let clock = clock.shifted(shift);
            let earlier = at - Duration::from_millis(7);
            let between = clock.micros(at) - clock.micros(earlier);
            // Each is rounded down.
            assert!((6_999..=7_001).contains(&between), "{between}");
            let back = clock.instant(clock.micros(at));
            assert!(at.duration_since(back) < Duration::from_micros(2));
            assert!((clock.micros(back) - clock.micros(at)).abs() <= 1);
        }
    }
}
