//! `--json-lines`: what a run measures, while it runs, for other programs: a JSON object a line, written at once.
//! It keeps no figures; the report says everything again in the end.

use super::exit::Failure;
use crate::{
    engine::{Observer, RunEvent},
    report::{FaultMark, Point, Report, RunOutcome, build::point},
    scenario::Scenario,
};
use anyhow::{Context as _, anyhow};
use parking_lot::Mutex;
use serde::Serialize;
use std::{
    collections::BTreeMap,
    fs::File,
    io::Write,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::JoinHandle,
};

/// Lines that wait for whoever reads them: two minutes of a run. A reader that takes none for longer loses
/// some, which is said in the end: it never holds up the run.
const WAITING: usize = 128;

/// A line. Its fields are those of the report's schema.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum JsonLine<'a> {
    /// A phase begins.
    Phase { at: f64, name: &'a str, warmup: bool },
    /// A second is over, or a longer stretch in a long run.
    Point(&'a Point),
    /// A fault happened.
    Mark(&'a FaultMark),
    /// The last line.
    Outcome { outcome: RunOutcome, run: &'a str, missed: Vec<&'a str> },
}

/// The writer of one run's lines.
pub(super) struct JsonLines {
    phases: Vec<(f64, String, bool)>,
    lines: Mutex<Option<SyncSender<String>>>,
    thread: Mutex<Option<JoinHandle<std::io::Result<()>>>>,
    lost: AtomicU64,
}

impl JsonLines {
    /// Into this file, which begins empty; or a device, or a named pipe.
    pub(super) fn create(file: &Path, scenario: &Scenario) -> Result<Arc<Self>, Failure> {
        let out = File::create(file).with_context(|| format!("cannot write {}", file.display()));
        Ok(Self::to(out.map_err(Failure::failed)?, scenario))
    }

    fn to(out: impl Write + Send + 'static, scenario: &Scenario) -> Arc<Self> {
        let mut at = 0.0;
        let phases = scenario.phases.iter().map(|phase| {
            let begins = at;
            at += phase.duration.as_secs_f64();
            (begins, phase.name.clone(), phase.warmup)
        });
        let phases = phases.collect();
        let (lines, waiting) = sync_channel(WAITING);
        // A thread of its own: a full pipe blocks.
        let thread = std::thread::spawn(move || write(&waiting, out));
        Arc::new(Self {
            phases,
            lines: Mutex::new(Some(lines)),
            thread: Mutex::new(Some(thread)),
            lost: AtomicU64::new(0),
        })
    }

    /// For the engine.
    pub(super) fn observer(self: &Arc<Self>) -> Observer {
        let this = Arc::clone(self);
        Arc::new(move |event| match event {
            RunEvent::Phase(place) => {
                if let Some((at, name, warmup)) = this.phases.get(*place) {
                    this.say(&JsonLine::Phase { at: *at, name, warmup: *warmup });
                }
            }
            // What servers use is read beside the run, and known in the end.
            RunEvent::Second(slice) => this.say(&JsonLine::Point(&point(slice, &BTreeMap::new()))),
            RunEvent::Mark(mark) => this.say(&JsonLine::Mark(mark)),
            RunEvent::Settling { .. } | RunEvent::Reading { .. } | RunEvent::Checking => {}
        })
    }

    /// Writes the last line and waits until all are written. An error says how many were not.
    pub(super) fn finish(&self, report: &Report) -> anyhow::Result<()> {
        let missed = report.thresholds.iter().filter(|threshold| !threshold.ok);
        let missed = missed.map(|threshold| threshold.expression.as_str()).collect();
        self.say(&JsonLine::Outcome { outcome: report.outcome, run: &report.run, missed });
        drop(self.lines.lock().take());
        if let Some(thread) = self.thread.lock().take() {
            thread.join().map_err(|_| anyhow!("the writer of the JSON lines panicked"))??;
        }
        match self.lost.load(Ordering::Relaxed) {
            0 => Ok(()),
            lost => Err(anyhow!("{lost} of the JSON lines were not taken in time and are missing")),
        }
    }

    fn say(&self, line: &JsonLine<'_>) {
        // Nothing in it can fail: no map has other keys than strings.
        let text = serde_json::to_string(line).unwrap_or_default();
        if let Some(lines) = &*self.lines.lock()
            && lines.try_send(text).is_err()
        {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The thread: until the last sender is gone.
fn write(waiting: &Receiver<String>, mut out: impl Write) -> std::io::Result<()> {
    while let Ok(mut line) = waiting.recv() {
        line.push('\n');
        out.write_all(line.as_bytes())?;
        out.flush()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{engine::PartSlice, measure::Slice, report::sample::sample};
    use serde_json::Value;
    use std::io;

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_run_is_told_line_by_line() {
        let (report, paper) = (sample(), Paper::default());
        let lines = JsonLines::to(paper.clone(), &report.scenario);
        let observer = lines.observer();
        observer(&RunEvent::Phase(1));
        let slice = Slice { connections: 7, ..Slice::default() };
        observer(&RunEvent::Second(Arc::new(PartSlice {
            at: 21.0,
            seconds: 1.0,
            slice,
            cpu: 0.5,
        })));
        observer(&RunEvent::Mark(report.marks[0].clone()));
        observer(&RunEvent::Checking);
        lines.finish(&report).unwrap();
        let text = String::from_utf8(paper.0.lock().clone()).unwrap();
        let told: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let kinds: Vec<_> = told.iter().map(|line| line["kind"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["phase", "point", "mark", "outcome"], "{text}");
        assert_eq!(
            (told[0]["at"].as_f64(), told[0]["name"].as_str()),
            (Some(20.0), Some("steady"))
        );
        assert_eq!((&told[1]["connections"], &told[1]["generator_cpu"]), (&7.into(), &0.5.into()));
        assert_eq!(
            (&told[3]["outcome"], told[3]["missed"].as_array().unwrap().len()),
            (&"failed".into(), 3)
        );
    }

    #[test]
    fn lines_that_nobody_takes_are_counted_and_hold_up_nobody() {
        struct Never;
        impl Write for Never {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let report = sample();
        let lines = JsonLines::to(Never, &report.scenario);
        let observer = lines.observer();
        for _ in 0..2 * WAITING {
            observer(&RunEvent::Phase(1));
        }
        assert!(lines.finish(&report).is_err());
    }
}
