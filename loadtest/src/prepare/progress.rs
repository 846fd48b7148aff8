//! The progress of the preparation and its remaining time. Displays nothing itself.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};
use tokio::time::Instant;

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrepareStep {
    /// Creating accounts, or signing in to those of an earlier run.
    Accounts,
    /// Creating chats with their members.
    Chats,
    /// Removing the accounts and chats of a preparation.
    CleaningUp,
}

impl PrepareStep {
    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accounts => "accounts",
            Self::Chats => "chats",
            Self::CleaningUp => "cleaning up",
        }
    }
}

/// How far a step is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrepareProgress {
    /// The step that these figures are about.
    pub step: PrepareStep,
    /// Accounts or chats that are finished.
    pub done: usize,
    /// 0 while it is not known.
    pub of: usize,
    /// How long the rest takes at the pace so far; none before there is one.
    pub left: Option<Duration>,
    /// The service asked to wait so long.
    pub waiting: Option<Duration>,
}

/// Who is told; called from several tasks, must not block.
pub type Tell<'a> = &'a (dyn Fn(PrepareProgress) + Send + Sync);

/// Makes the [`PrepareProgress`] of each step.
pub(super) struct Steps<'a> {
    tell: Tell<'a>,
}

impl<'a> Steps<'a> {
    pub(super) fn new(tell: Tell<'a>) -> Self {
        Self { tell }
    }

    /// A step of so many begins; 0 where that is not known.
    pub(super) fn begin(&self, step: PrepareStep, of: usize) -> StepProgress<'a> {
        let going = StepProgress {
            tell: self.tell,
            step,
            of,
            done: AtomicUsize::new(0),
            since: Instant::now(),
        };
        going.more(0);
        going
    }
}

/// A step under way.
pub(super) struct StepProgress<'a> {
    tell: Tell<'a>,
    step: PrepareStep,
    of: usize,
    done: AtomicUsize,
    since: Instant,
}

impl StepProgress<'_> {
    /// So many more are done.
    pub(super) fn more(&self, count: usize) {
        let done = self.done.fetch_add(count, Ordering::Relaxed) + count;
        (self.tell)(self.at(done, None));
    }

    /// The service wants a pause.
    pub(super) fn waiting(&self, wait: Duration) {
        (self.tell)(self.at(self.done(), Some(wait)));
    }

    pub(super) fn done(&self) -> usize {
        self.done.load(Ordering::Relaxed)
    }

    fn at(&self, done: usize, waiting: Option<Duration>) -> PrepareProgress {
        let Self { step, of, .. } = *self;
        let rest = of.saturating_sub(done) as f64;
        let left = (done > 0 && of > 0).then(|| self.since.elapsed().mul_f64(rest / done as f64));
        PrepareProgress { step, done, of, left, waiting }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[tokio::test(start_paused = true)]
    async fn the_rest_takes_as_long_as_the_pace_says() {
        let heard = Mutex::new(Vec::new());
        let tell = |progress| heard.lock().unwrap().push(progress);
        let going = Steps::new(&tell).begin(PrepareStep::Accounts, 100);
        tokio::time::advance(Duration::from_secs(2)).await;
        going.more(10);
        going.more(15);
        going.waiting(Duration::from_secs(3));
        let heard = heard.lock().unwrap();
        let left: Vec<_> = heard.iter().map(|progress| progress.left).collect();
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(left, [None, seconds(18), seconds(6), seconds(6)]);
        assert_eq!((heard[3].done, heard[3].of, heard[3].waiting), (25, 100, seconds(3)));
    }
}
