//! The single slot of an agent: it serves one run at a time, and is free again when the coordinator says so
//! or has vanished. It knows no HTTP.

use super::{
    message::Start,
    run::{NoStart, Run},
};
use crate::engine::RunOptions;
use parking_lot::{Mutex, MutexGuard};
use platform::lifecycle::Lifecycle;
use std::sync::Arc;

/// Holds the run. Its tasks belong to the lifecycle: when the process stops, the run does.
pub(super) struct Slot {
    run: Mutex<Option<Arc<Run>>>,
    lifecycle: Lifecycle,
}

/// Another run has the agent.
#[derive(Debug)]
pub(super) struct AgentBusy;

impl Slot {
    pub(super) fn new(lifecycle: Lifecycle) -> Arc<Self> {
        Arc::new(Self { run: Mutex::default(), lifecycle })
    }

    fn run(&self) -> MutexGuard<'_, Option<Arc<Run>>> {
        self.run.lock()
    }

    /// Takes the agent for a run, which must be heard of again within [`super::message::LEASE`].
    pub(super) fn take(self: &Arc<Self>, mut options: RunOptions) -> Result<(), AgentBusy> {
        let mut place = self.run();
        if place.is_some() {
            return Err(AgentBusy);
        }
        options.stop = self.lifecycle.soft_stop().child_token();
        let run = Arc::new(Run::new(options));
        *place = Some(Arc::clone(&run));
        drop(place);
        self.lifecycle.spawn_background(Arc::clone(self).keep(run));
        Ok(())
    }

    /// Frees the agent when the coordinator has left, or is not heard of within the lease.
    async fn keep(self: Arc<Self>, run: Arc<Run>) {
        loop {
            let until = run.lease_ends();
            tokio::select! {
                () = run.left.cancelled() => break,
                () = tokio::time::sleep_until(until) => {}
            }
            // A request may have renewed the lease during the wait.
            if run.lease_ends() <= until {
                tracing::warn!(run.name, "the coordinator has disappeared; its run was ended");
                break;
            }
        }
        run.stop.cancel();
        // A run that has started takes a moment to end. The slot stays taken until then, so that two
        // loads never share the machine.
        if !run.forgo() {
            run.over.cancelled().await;
        }
        self.clear(&run);
    }

    /// The coordinator needs the agent no more. The place is free at once unless something still runs.
    pub(super) fn release(&self, run: &Arc<Run>) {
        run.left.cancel();
        run.stop.cancel();
        if run.forgo() || run.over.is_cancelled() {
            self.clear(run);
        }
    }

    fn clear(&self, run: &Arc<Run>) {
        let mut place = self.run();
        // Both the task and the coordinator clear the slot; the later of them must not evict the next
        // run.
        if place.as_ref().is_some_and(|one| Arc::ptr_eq(one, run)) {
            *place = None;
        }
    }

    /// The run of this name, if it has the agent. Its coordinator is alive.
    pub(super) fn find(&self, name: &str) -> Option<Arc<Run>> {
        // A clone, so that the slot's lock is free before the run's own is taken.
        let run = self.run().clone().filter(|run| run.name == name)?;
        run.renew();
        Some(run)
    }

    pub(super) fn start(&self, run: &Arc<Run>, start: &Start) -> Result<(), NoStart> {
        let options = run.start(start)?;
        self.lifecycle.spawn(Arc::clone(run).carry_out(options));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::{
        message::{LEASE, LEASE_PREPARED},
        tests::small,
    };
    use std::time::Duration;

    /// Lets the tasks that are due run, then moves the clock.
    async fn later(by: Duration) {
        tokio::time::sleep(by).await;
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_at_a_time_and_for_as_long_as_the_coordinator_is_heard_of() {
        let slot = Slot::new(Lifecycle::new());
        slot.take(small("r1")).unwrap();
        assert!(slot.take(small("r2")).is_err());
        assert!(slot.find("r2").is_none(), "another's run is nobody's business");
        for _ in 0..5 {
            later(LEASE_PREPARED - Duration::from_secs(1)).await;
            assert!(slot.find("r1").is_some(), "renewed each time");
        }
        let run = slot.find("r1").unwrap();
        later(LEASE_PREPARED + Duration::from_secs(1)).await;
        assert!(run.stop.is_cancelled() && run.over.is_cancelled());
        assert!(slot.find("r1").is_none());
        slot.take(small("r2")).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_running_share_whose_coordinator_vanished_is_stopped() {
        let slot = Slot::new(Lifecycle::new());
        slot.take(small("r1")).unwrap();
        let run = slot.find("r1").unwrap();
        let ahead = run.reading().unix_micros + 60_000_000;
        let running = run.start(&Start { unix_micros: ahead, add_micros: 0 }).unwrap();
        for _ in 0..5 {
            later(LEASE - Duration::from_secs(1)).await;
            assert!(slot.find("r1").is_some() && !running.stop.is_cancelled());
        }
        later(LEASE + Duration::from_secs(1)).await;
        assert!(running.stop.is_cancelled());
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_that_was_left_frees_its_place_only() {
        let slot = Slot::new(Lifecycle::new());
        slot.take(small("r1")).unwrap();
        let first = slot.find("r1").unwrap();
        slot.release(&first);
        slot.take(small("r2")).unwrap();
        slot.release(&first);
        later(LEASE / 2).await;
        assert!(slot.find("r2").is_some(), "not freed by the first one's task or coordinator");
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_is_taken_until_nothing_runs_any_more() {
        let slot = Slot::new(Lifecycle::new());
        slot.take(small("r1")).unwrap();
        let run = slot.find("r1").unwrap();
        let ahead = run.reading().unix_micros + 60_000_000;
        let running = run.start(&Start { unix_micros: ahead, add_micros: 0 }).unwrap();
        slot.release(&run);
        assert!(running.stop.is_cancelled(), "the engine hears of it");
        assert!(slot.take(small("r2")).is_err(), "but has not ended yet");
        run.over.cancel();
        later(Duration::from_millis(1)).await;
        slot.take(small("r2")).unwrap();
    }

    #[tokio::test]
    async fn the_run_ends_with_the_process() {
        let lifecycle = Lifecycle::new();
        let slot = Slot::new(lifecycle.clone());
        slot.take(small("r1")).unwrap();
        let run = slot.find("r1").unwrap();
        lifecycle.stop();
        assert!(run.stop.is_cancelled());
    }
}
