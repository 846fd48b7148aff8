//! Calls whose transaction got into another one's way: a deadlock (40P01), or a serialization failure (40001), which
//! some engines, and standbys, answer at any time. Nothing of such a transaction is stored, so the whole call is carried
//! out again, here and in `http` for people's requests, and not by each service. It does not know what a call does.

use crate::error::Result;
use platform::backoff::Backoff;
use std::{cell::Cell, time::Duration};
use tokio::time::{self, Instant};

/// How often a call is tried in all. Two callers who meet part at the second try; a crowd on one row loses one
/// caller a round.
const TRIES: u32 = 8;

/// No try begins later than this: PostgreSQL takes a second to notice a deadlock, and whoever called waits for some.
const PATIENCE: Duration = Duration::from_secs(4);

/// As long as a transaction takes.
const FIRST_PAUSE: Duration = Duration::from_millis(8);

const LONGEST_PAUSE: Duration = Duration::from_millis(250);

tokio::task_local! {
    /// Whether this try of a call has committed something.
    static COMMITTED: Cell<bool>;
}

/// Notes that the call which runs here has committed: another try would do that twice.
pub(crate) fn note_commit() {
    let _ = COMMITTED.try_with(|committed| committed.set(true));
}

/// Carries a call out, and again for as long as it ends in a conflict, has committed nothing before, and [`Tries`]
/// are left. The last conflict is the answer then: 503.
pub(crate) async fn repeat<T, F>(call: impl Fn() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let mut tries = Tries::start();
    loop {
        // In a box, or each layer around a large call would hold it twice.
        let (answer, committed) = watched(Box::pin(call())).await;
        match answer {
            Err(error) if error.conflict && !committed && tries.again().await => {}
            answer => return answer,
        }
    }
}

/// Runs a try. The second part says whether it has committed something.
pub(crate) async fn watched<T>(one_try: impl Future<Output = T>) -> (T, bool) {
    let watched = async { (one_try.await, COMMITTED.with(Cell::get)) };
    COMMITTED.scope(Cell::new(false), watched).await
}

/// What is left of a call's tries.
pub(crate) struct Tries {
    made: u32,
    began: Instant,
    backoff: Backoff,
}

impl Tries {
    /// For a call that is tried now.
    pub(crate) fn start() -> Self {
        let backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        Self { made: 1, began: Instant::now(), backoff }
    }

    /// Waits a moment, differently long for each caller, and counts. `false` at once: this was the last try.
    pub(crate) async fn again(&mut self) -> bool {
        let pause = self.backoff.pause(rand::random());
        let may = self.made < TRIES && self.began.elapsed() + pause < PATIENCE;
        let end = if may { "repeated" } else { "given_up" };
        metrics::counter!("db_conflicts_total", "end" => end).increment(1);
        if may {
            self.made += 1;
            time::sleep(pause).await;
        } else {
            metrics::counter!("db_errors_total", "kind" => "unavailable").increment(1);
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    async fn tried(commits: bool, answers: impl Fn(u32) -> Result<u32>) -> (Result<u32>, u32) {
        let made = Cell::new(0);
        let call = || async {
            made.set(made.get() + 1);
            if commits {
                note_commit();
            }
            answers(made.get())
        };
        (repeat(call).await, made.get())
    }

    #[tokio::test]
    async fn conflicts_are_tried_again_within_bounds_and_nothing_is_done_twice() {
        let conflict = || Err::<u32, _>(Error::conflict());
        let third = |made| if made < 3 { conflict() } else { Ok(made) };
        assert_eq!(tried(false, third).await, (Ok(3), 3));
        assert_eq!(tried(false, |_| conflict()).await, (conflict(), TRIES));
        assert_eq!(tried(true, |_| conflict()).await, (conflict(), 1));
        let away = || Err(Error::unavailable());
        assert_eq!(tried(false, |_| away()).await, (away(), 1), "nobody knows what is stored");
    }

    #[tokio::test]
    async fn slow_conflicts_use_up_the_time() {
        let tries = Tries::start();
        let began = tries.began.checked_sub(PATIENCE).unwrap();
        assert!(!Tries { began, ..tries }.again().await);
    }
}
