//! One run at an agent: its state, its progress updates, its result. Who may have the agent is the slot's
//! business.

use super::message::{
    ClockReading, LEASE, LEASE_PREPARED, MAX_RESULT_BYTES, PIECE_BYTES, Piece, ProgressUpdate,
    RunProgress, RunStage, Start, UPDATES_AT_ONCE, UPDATES_KEPT,
};
use crate::{
    client::Clock,
    engine::{self, Observer, RunEvent, RunOptions, RunPart},
    metric,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use flate2::{Compression, write::GzEncoder};
use parking_lot::{Mutex, MutexGuard};
use std::{
    collections::VecDeque,
    io::{self, Write},
    sync::Arc,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// A coordinator's run.
pub(super) struct Run {
    pub name: String,
    /// The clock that the coordinator compares with its own.
    clock: Clock,
    /// Ends the load; what was found is still told.
    pub stop: CancellationToken,
    /// Cancelled when the coordinator needs nothing more.
    pub left: CancellationToken,
    /// Cancelled when nothing of it runs any more.
    pub over: CancellationToken,
    inner: Mutex<RunState>,
}

struct RunState {
    /// Until it starts.
    options: Option<RunOptions>,
    state: RunStage,
    /// When the coordinator was last heard of.
    heard: Instant,
    updates: VecDeque<ProgressUpdate>,
    /// The number of the first update that is kept.
    first: u64,
    result: Arc<[u8]>,
}

/// Why a run does not start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoStart {
    /// It has, or is over.
    Twice,
    /// The moment has passed.
    Late,
}

impl Run {
    pub(super) fn new(options: RunOptions) -> Self {
        Self {
            name: options.run.clone(),
            clock: Clock::read(),
            stop: options.stop.clone(),
            left: CancellationToken::new(),
            over: CancellationToken::new(),
            inner: Mutex::new(RunState {
                options: Some(options),
                state: RunStage::Prepared,
                heard: Instant::now(),
                updates: VecDeque::new(),
                first: 0,
                result: Arc::new([]),
            }),
        }
    }

    fn inner(&self) -> MutexGuard<'_, RunState> {
        self.inner.lock()
    }

    /// The coordinator asked something: the lease begins anew.
    pub(super) fn renew(&self) {
        self.inner().heard = Instant::now();
    }

    /// When the coordinator counts as gone, unless it is heard of before.
    pub(super) fn lease_ends(&self) -> Instant {
        let inner = self.inner();
        inner.heard + if inner.options.is_some() { LEASE_PREPARED } else { LEASE }
    }

    pub(super) fn reading(&self) -> ClockReading {
        ClockReading { unix_micros: self.clock.micros(Instant::now()) }
    }

    /// What [`Run::carry_out`] needs. It is had once.
    pub(super) fn start(&self, start: &Start) -> Result<RunOptions, NoStart> {
        let clock = self.clock.shifted(start.add_micros);
        let mut inner = self.inner();
        // Before the options are taken, so that the coordinator may name a later moment.
        if clock.micros(Instant::now()) > start.unix_micros {
            return Err(NoStart::Late);
        }
        let mut options = inner.options.take().ok_or(NoStart::Twice)?;
        inner.state = RunStage::Running;
        options.start = Some(clock.instant(start.unix_micros));
        options.clock_offset_micros = start.add_micros;
        Ok(options)
    }

    /// Ends it before it has started. False when it has.
    pub(super) fn forgo(&self) -> bool {
        let forgone = self.inner().options.take().is_some();
        if forgone {
            self.over.cancel();
        }
        forgone
    }

    /// Does the share and packs what it found.
    pub(super) async fn carry_out(self: Arc<Self>, options: RunOptions) {
        // Also when the engine panics: somebody waits for the end.
        let _over = self.over.clone().drop_guard();
        let (listener, own) = (Arc::clone(&self), metric::observer(&options.scenario));
        let observer: Observer = Arc::new(move |progress| {
            own(progress);
            listener.note(progress);
        });
        let result = match engine::run_part(&options, observer).await {
            Ok(part) => {
                let packing = tokio::task::spawn_blocking(move || pack(&part));
                let packed = packing.await.unwrap_or_else(|error| Err(io::Error::other(error)));
                packed.map_err(|error| format!("its result cannot be sent: {error}"))
            }
            Err(error) => Err(error.to_string()),
        };
        let mut inner = self.inner();
        match result {
            Ok(packed) => (inner.result, inner.state) = (packed.into(), RunStage::Ended),
            Err(why) => inner.state = RunStage::Failed(why),
        }
    }

    fn note(&self, progress: &RunEvent) {
        let update = match progress {
            RunEvent::Phase(phase) => ProgressUpdate::Phase(*phase),
            RunEvent::Second(second) => ProgressUpdate::Second(Arc::clone(second)),
            RunEvent::Settling { unacked, away, left } => ProgressUpdate::Settling {
                unacked: *unacked,
                away: *away,
                left_ms: u64::try_from(left.as_millis()).unwrap_or(u64::MAX),
            },
            // The coordinator's own business.
            RunEvent::Mark(_) | RunEvent::Reading { .. } | RunEvent::Checking => return,
        };
        let mut inner = self.inner();
        if inner.updates.len() == UPDATES_KEPT {
            inner.updates.pop_front();
            inner.first += 1;
        }
        inner.updates.push_back(update);
    }

    /// The state and the updates from number `since` on, or from the oldest that is kept.
    pub(super) fn progress(&self, since: u64) -> RunProgress {
        let inner = self.inner();
        let from = since.clamp(inner.first, inner.first + inner.updates.len() as u64);
        let skip = usize::try_from(from - inner.first).unwrap_or(usize::MAX);
        let updates: Vec<ProgressUpdate> =
            inner.updates.iter().skip(skip).take(UPDATES_AT_ONCE).cloned().collect();
        let state = match &inner.state {
            // The guard in `carry_out` ended a run that set no result: the engine panicked.
            RunStage::Running if self.over.is_cancelled() => {
                RunStage::Failed("it ended without a result".to_owned())
            }
            state => state.clone(),
        };
        RunProgress { state, next: from + updates.len() as u64, updates }
    }

    /// The result's bytes from this one on. None before the end.
    pub(super) fn piece(&self, from: usize) -> Option<Piece> {
        let result = {
            let inner = self.inner();
            // The lock ends with this block: encoding a piece takes longer than an observer may wait.
            (inner.state == RunStage::Ended).then(|| Arc::clone(&inner.result))?
        };
        let bytes = result.get(from..).unwrap_or_default();
        let bytes = STANDARD.encode(&bytes[..bytes.len().min(PIECE_BYTES)]);
        Some(Piece { total: result.len(), bytes })
    }
}

fn pack(part: &RunPart) -> io::Result<Vec<u8>> {
    let bounded = BoundedWriter { bytes: Vec::new(), most: MAX_RESULT_BYTES };
    let mut packer = GzEncoder::new(bounded, Compression::fast());
    serde_json::to_writer(&mut packer, part)?;
    Ok(packer.finish()?.bytes)
}

/// Memory that does not grow without end.
struct BoundedWriter {
    bytes: Vec<u8>,
    most: usize,
}

impl Write for BoundedWriter {
    fn write(&mut self, more: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + more.len() > self.most {
            return Err(io::Error::other(format!("it is larger than {} MiB", self.most >> 20)));
        }
        self.bytes.extend_from_slice(more);
        Ok(more.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::{message::UPDATES_AT_ONCE, tests::small};

    #[test]
    fn news_are_numbered_kept_for_a_while_and_told_in_bounded_portions() {
        let run = Run::new(small("r1"));
        for phase in 0..UPDATES_KEPT + 5 {
            run.note(&RunEvent::Phase(phase));
        }
        run.note(&RunEvent::Checking);
        let first = run.progress(0);
        assert!(matches!(first.updates[0], ProgressUpdate::Phase(5)), "the oldest went: {first:?}");
        assert_eq!(first.updates.len(), UPDATES_AT_ONCE);
        let rest = run.progress(first.next);
        let last = rest.updates.last().unwrap();
        assert!(
            matches!(last, ProgressUpdate::Phase(phase) if *phase == UPDATES_KEPT + 4),
            "{last:?}"
        );
        let none = run.progress(rest.next);
        assert!(none.updates.is_empty() && none.next == rest.next);
        assert_eq!(run.progress(u64::MAX).next, rest.next, "from the future");
    }

    #[test]
    fn it_starts_once_and_not_in_the_past() {
        let run = Run::new(small("r1"));
        let now = run.reading().unix_micros;
        let start = |unix_micros, add_micros| Start { unix_micros, add_micros };
        assert_eq!(run.start(&start(now - 1_000_000, 0)).unwrap_err(), NoStart::Late);
        assert_eq!(run.start(&start(now, 9_000_000)).unwrap_err(), NoStart::Late);
        let options = run.start(&start(now + 9_000_000, 4_000_000)).unwrap();
        let ahead = options.start.unwrap().duration_since(Instant::now()).as_secs_f64();
        assert!((4.0..=5.0).contains(&ahead), "{ahead}: ours is 4 s behind theirs");
        assert_eq!(options.clock_offset_micros, 4_000_000);
        assert_eq!(run.start(&start(now + 9_000_000, 0)).unwrap_err(), NoStart::Twice);
        assert!(!run.forgo());
    }

    #[test]
    fn a_result_beyond_the_bound_is_none() {
        let mut bounded = BoundedWriter { bytes: Vec::new(), most: 1 << 20 };
        assert!(bounded.write_all(&[0; 1 << 20]).is_ok());
        assert!(bounded.write(&[0]).unwrap_err().to_string().contains("1 MiB"));
    }
}
