//! A circuit breaker: decides whether to call a service that did not answer. While the service answers,
//! everybody calls it; while it does not, one caller tries every so often. An outage costs one timeout per
//! pause instead of one per request.

use std::{
    fmt::Display,
    future::Future,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use tokio::time::{self, Instant};

/// Guards the questions to one service.
#[derive(Debug)]
pub struct Breaker {
    /// Its name, for the log.
    service: &'static str,
    /// The consequence of its silence, for the log.
    meaning: &'static str,
    timeout: Duration,
    pause: Duration,
    start: Instant,
    /// The time of the next try, in milliseconds since `start`; 0 while the service answers.
    ask_after: AtomicU64,
}

impl Breaker {
    /// An answer may take `timeout`; after a failure the service is left alone for `pause`.
    pub fn new(
        service: &'static str,
        meaning: &'static str,
        timeout: Duration,
        pause: Duration,
    ) -> Self {
        let (start, ask_after) = (Instant::now(), AtomicU64::new(0));
        Self { service, meaning, timeout, pause, start, ask_after }
    }

    /// Asks the question. `None` if it failed or took too long, and at once during the pause after that. Logs the
    /// cause once for each outage.
    pub async fn ask<T, E: Display>(
        &self,
        question: impl Future<Output = Result<T, E>>,
    ) -> Option<T> {
        if !self.may_ask() {
            return None;
        }
        match time::timeout(self.timeout, question).await {
            Ok(Ok(answer)) => {
                self.on_answer();
                return Some(answer);
            }
            Ok(Err(error)) => self.on_failure(&error),
            Err(elapsed) => self.on_failure(&elapsed),
        }
        None
    }

    /// Whether [`Breaker::ask`] would answer nothing, because the last failure was just now.
    pub fn is_resting(&self) -> bool {
        let ask_after = self.ask_after.load(Ordering::Relaxed);
        ask_after != 0 && millis(self.start.elapsed()) < ask_after
    }

    /// Whether the caller may ask. After the pause the first caller may, and the others still may not.
    fn may_ask(&self) -> bool {
        let ask_after = self.ask_after.load(Ordering::Relaxed);
        if ask_after == 0 {
            return true;
        }
        let (mine, relaxed) = (self.after_pause(), Ordering::Relaxed);
        millis(self.start.elapsed()) >= ask_after
            && self.ask_after.compare_exchange(ask_after, mine, relaxed, relaxed).is_ok()
    }

    fn on_answer(&self) {
        // Reads first, so that nobody writes the shared value while the service answers.
        if self.ask_after.load(Ordering::Relaxed) != 0
            && self.ask_after.swap(0, Ordering::Relaxed) != 0
        {
            tracing::info!("{} answers again", self.service);
        }
    }

    fn on_failure(&self, cause: &dyn Display) {
        if self.ask_after.swap(self.after_pause(), Ordering::Relaxed) == 0 {
            tracing::warn!(error = %cause, "{} does not answer; {}", self.service, self.meaning);
        }
    }

    fn after_pause(&self) -> u64 {
        millis(self.start.elapsed() + self.pause).max(1)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{cell::Cell, convert::Infallible, future};

    const TIMEOUT: Duration = Duration::from_millis(500);
    const PAUSE: Duration = Duration::from_secs(3);

    /// Twenty who ask at once: how many really did, and how many got an answer.
    async fn twenty(breaker: &Breaker, answers: bool) -> (usize, usize) {
        let asked = Cell::new(0);
        let question = async || {
            asked.set(asked.get() + 1);
            match answers {
                true => tokio::task::yield_now().await,
                false => future::pending().await,
            }
            Ok::<_, Infallible>(())
        };
        let all = (0..20).map(|_| breaker.ask(question()));
        let answered = futures_util::future::join_all(all).await.into_iter().flatten().count();
        (asked.get(), answered)
    }

    #[tokio::test(start_paused = true)]
    async fn silence_costs_one_timeout_and_then_one_caller_a_pause() {
        let breaker = Breaker::new("A service", "a test goes on", TIMEOUT, PAUSE);
        assert_eq!(twenty(&breaker, true).await, (20, 20));
        let start = Instant::now();
        assert_eq!(twenty(&breaker, false).await, (20, 0));
        assert_eq!(start.elapsed(), TIMEOUT, "all of them at once");
        assert_eq!(twenty(&breaker, false).await, (0, 0));
        assert_eq!(start.elapsed(), TIMEOUT, "nobody waits");
        assert!(breaker.is_resting());

        time::advance(PAUSE).await;
        assert_eq!(twenty(&breaker, false).await, (1, 0));
        time::advance(PAUSE).await;
        assert_eq!(twenty(&breaker, true).await, (1, 1), "while one finds out");
        assert_eq!(twenty(&breaker, true).await, (20, 20), "it answers again");
        assert!(!breaker.is_resting());
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_is_no_answer_either() {
        let breaker = Breaker::new("A service", "a test goes on", TIMEOUT, PAUSE);
        assert_eq!(breaker.ask(async { Err::<(), _>("refused") }).await, None);
        assert_eq!(twenty(&breaker, true).await, (0, 0));
    }
}
