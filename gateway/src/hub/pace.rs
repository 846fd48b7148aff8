//! Limits how many waiting tasks continue at once. When thousands of tasks wait for the same answer or page,
//! it wakes them all at once, and every other task would have to run after them. Each task therefore starts
//! its work at this gate, which lets a few through in each round of the runtime's queue. Nobody holds a
//! place: a task that is let through and makes no progress delays no other.

use tokio::{
    sync::{Notify, Semaphore},
    task::yield_now,
};

/// The number of tasks that pass without waiting after a quiet moment. Other tasks then wait for up to 10 ms.
const AT_ONCE: usize = 64;

/// The number of tasks that pass in each round. A piece of work takes 0.1 to 0.3 ms, so other tasks wait for
/// about one millisecond.
const A_ROUND: usize = 4;

/// The gate of a node.
#[derive(Debug)]
pub(crate) struct Pace {
    open: Semaphore,
    passed: Notify,
}

impl Default for Pace {
    fn default() -> Self {
        Self { open: Semaphore::new(AT_ONCE), passed: Notify::new() }
    }
}

impl Pace {
    /// Waits for a turn, in order. Can be dropped safely while it waits.
    pub(crate) async fn turn(&self) {
        self.passed.notify_one();
        // Acquiring fails only on a closed semaphore, and nobody closes this one.
        if let Ok(turn) = self.open.acquire().await {
            // Not given back: `keep` adds new permits at its own pace.
            turn.forget();
        }
    }

    /// Opens the gate repeatedly for the lifetime of the process.
    pub(crate) async fn keep(&self) {
        loop {
            self.passed.notified().await;
            loop {
                let missing = AT_ONCE.saturating_sub(self.open.available_permits());
                if missing == 0 {
                    break;
                }
                self.open.add_permits(missing.min(A_ROUND));
                // The tasks that just passed run before the next permits, and so do all others.
                yield_now().await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::{FutureExt, future::join_all};
    use platform::lifecycle::Lifecycle;
    use std::{
        cell::Cell,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
    };

    #[tokio::test]
    async fn whoever_else_is_run_waits_for_a_round_and_not_for_all() {
        let (pace, passed) = (Arc::new(Pace::default()), Arc::new(AtomicUsize::new(0)));
        let lifecycle = Lifecycle::new();
        let keeper = Arc::clone(&pace);
        lifecycle.spawn_background(async move { keeper.keep().await });
        for _ in 0..1_000 {
            let (pace, passed) = (Arc::clone(&pace), Arc::clone(&passed));
            lifecycle.spawn_background(async move {
                pace.turn().await;
                passed.fetch_add(1, Ordering::Relaxed);
            });
        }
        // All have asked.
        yield_now().await;
        let (mut before, mut rounds) = (passed.load(Ordering::Relaxed), 0);
        while before < 1_000 {
            yield_now().await;
            let now = passed.load(Ordering::Relaxed);
            assert!(now - before <= AT_ONCE, "{} in one round", now - before);
            (before, rounds) = (now, rounds + 1);
            assert!(rounds < 10_000, "somebody waits for ever");
        }
    }

    #[tokio::test]
    async fn one_that_does_not_get_on_delays_nobody() {
        let pace = Pace::default();
        let stuck: Vec<_> = (0..200).map(|_| Box::pin(pace.turn())).collect();
        let mut stuck: Vec<_> = stuck.into_iter().map(FutureExt::fuse).collect();
        // They have their places, and nobody runs them when it is their turn.
        for one in &mut stuck {
            let _ = futures_util::poll!(one);
        }
        let passed = Cell::new(0);
        let others = join_all((0..50).map(|_| pace.turn().map(|()| passed.set(passed.get() + 1))));
        tokio::select! {
            _ = others => {}
            () = pace.keep() => {}
        }
        assert_eq!(passed.get(), 50);
    }
}
