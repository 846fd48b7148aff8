//! How a process stops: softly (clients are told, work finishes), then hard, with a deadline. Every
//! task of the product is started here, so that none outlives the process's owner unnoticed.

use std::{future::Future, time::Duration};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::{future::FutureExt, sync::CancellationToken, task::TaskTracker};

/// The longest that a setting may let a process take to stop: a day, longer than any supervisor waits.
pub const MAX_STOPPING_SECONDS: u64 = 86_400;

/// The owner of a process's tasks. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Lifecycle {
    stopping: CancellationToken,
    soft: CancellationToken,
    hard: CancellationToken,
    work: TaskTracker,
    background: TaskTracker,
}

impl Lifecycle {
    /// With nothing running.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts a piece of work: [`Lifecycle::finish`] waits for it. It should end soon after
    /// [`Lifecycle::soft_stop`] is cancelled; at the hard stop it is dropped at its next await.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.spawn_on(&self.work, task);
    }

    /// Starts a task that serves the others (a relay, a batcher, a poller): it runs until all work
    /// has ended and is dropped then, so it need not know of stopping.
    pub fn spawn_background(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.spawn_on(&self.background, task);
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that starts tasks")]
    fn spawn_on(&self, tracker: &TaskTracker, task: impl Future<Output = ()> + Send + 'static) {
        // No async block around it: that would hold the future twice, once before and once after it is first
        // polled. With ten thousand connections this is the larger part of them.
        let task = task.with_cancellation_token_owned(self.hard.clone());
        tokio::spawn(tracker.track_future(task));
    }

    /// Cancelled when the process should finish its work and end.
    pub fn soft_stop(&self) -> &CancellationToken {
        &self.soft
    }

    /// Whether the process has been told to stop: it is not ready for new work, though it may still
    /// take some until the soft stop.
    pub fn is_stopping(&self) -> bool {
        self.stopping.is_cancelled()
    }

    /// Begins the soft stop.
    pub fn stop(&self) {
        self.stopping.cancel();
        self.soft.cancel();
    }

    /// From now on SIGTERM and Ctrl-C stop the process: it is not ready any more at once, and `delay`
    /// later, when load balancers have noticed, the soft stop begins. `finish` is how long
    /// [`Lifecycle::finish`] will wait after that, for the log. A second signal stops hard, at once.
    ///
    /// To be called before anything that may take long: the first process of a container hears of no
    /// signal that it has not asked for. Needs a Tokio runtime.
    pub fn stop_on_signals(&self, delay: Duration, finish: Duration) -> std::io::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut any = async move || {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        let Self { stopping, soft, hard, .. } = self.clone();
        self.spawn_background(async move {
            any().await;
            stopping.cancel();
            tracing::info!(
                "stopping: finishing requests and letting clients go, for at most {} s; press Ctrl-C \
                 or send SIGTERM again to stop at once",
                (delay + finish).as_secs()
            );
            if tokio::time::timeout(delay, any()).await.is_err() {
                soft.cancel();
                any().await;
            }
            tracing::warn!("stopping at once");
            soft.cancel();
            hard.cancel();
        });
        Ok(())
    }

    /// Starting, where that may take long. `None`: the process was told to stop before it was done, and
    /// the soft stop has begun.
    pub async fn unless_stopped<T>(&self, starting: impl Future<Output = T>) -> Option<T> {
        let started = self.stopping.run_until_cancelled(starting).await;
        if started.is_none() {
            self.stop();
        }
        started
    }

    /// Waits for all work, at most `deadline` long after the soft stop; then drops what is left and
    /// the background tasks. Returns how many pieces of work had to be dropped.
    pub async fn finish(&self, deadline: Duration) -> usize {
        self.soft.cancelled().await;
        self.work.close();
        self.background.close();
        tokio::select! {
            biased;
            () = self.work.wait() => {}
            () = tokio::time::sleep(deadline) => {}
            () = self.hard.cancelled() => {}
        }
        let left = self.work.len();
        self.hard.cancel();
        self.work.wait().await;
        self.background.wait().await;
        left
    }
}
