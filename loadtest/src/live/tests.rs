//! Feeds the live view what engine and preparation say, and reads what it writes.

use super::*;
use crate::{
    engine::{PartSlice, RunEvent},
    measure::{Count, Latency, Op, Slice},
    prepare::PrepareStep,
    report::{FaultMark, sample::sample},
};
use std::collections::BTreeMap;

/// What was written.
#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Sink {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().clone()).unwrap()
    }
}

fn screen() -> Screen {
    Screen::new(&sample().scenario)
}

fn second(at: f64, sent: u64) -> ViewUpdate {
    let mut delivery = Latency::default();
    (1..=100).for_each(|millis| delivery.record(millis * 1000));
    let counts = [(Count::Sent, sent), (Count::Acked, 480), (Count::Delivered, 5000)];
    let slice = Slice {
        connections: 1000,
        counts: BTreeMap::from(counts),
        latencies: BTreeMap::from([(Op::Delivery, delivery)]),
        errors: BTreeMap::from([("rate_limited".to_owned(), 2)]),
        closes: BTreeMap::new(),
    };
    ViewUpdate::Run(RunEvent::Second(Arc::new(PartSlice { at, seconds: 1.0, slice, cpu: 0.12 })))
}

#[test]
fn a_terminal_shows_the_last_second_until_the_next() {
    let mut screen = screen();
    screen.on(&ViewUpdate::Run(RunEvent::Phase(1)));
    screen.on(&second(29.0, 100));
    screen.lines();
    screen.on(&second(30.0, 500));
    let lines = screen.lines();
    assert_eq!(
        lines,
        "kill a gateway: steady (2 of 3), 90 s left\
         \n██████████░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░ 25 %\
         \n1,000 connections, sent 500/s, acked 480/s, delivered 5,000/s\
         \ndelivery  p50 50 ms, p99 99 ms, max 100 ms\
         \nack       –\
         \n4 errors, 0 closes, 0 skipped in all; own lag p99 0 ms, 0.12 cores"
    );
    assert_eq!(screen.lines(), lines, "drawing again changes nothing");
}

#[test]
fn without_a_terminal_a_line_each_five_seconds_adds_up_what_came_between() {
    let (sink, mut screen) = (Sink::default(), screen());
    let mut paper = Paper::Plain { out: Box::new(sink.clone()), next: None };
    let begin = Instant::now();
    let mut hear = |updates: ViewUpdate, after: u64| {
        let event = screen.on(&updates);
        paper.write(&mut screen, event, begin + Duration::from_secs(after));
    };
    hear(ViewUpdate::Run(RunEvent::Phase(0)), 0);
    for at in 1..=6 {
        hear(second(at as f64, 500), at);
    }
    let mark = FaultMark {
        at: 7.0,
        name: "kill".to_owned(),
        outcome: "exit 0".to_owned(),
        recovery: None,
    };
    hear(ViewUpdate::Run(RunEvent::Mark(mark)), 7);
    let text = sink.text();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 4, "{text}");
    assert_eq!(lines[0], "0 s phase ramp (1 of 3)");
    assert_eq!(
        lines[2],
        "5 s ramp (1 of 3), 115 s left; 1,000 connections, sent 500/s, acked 480/s, delivered 5,000/s; \
         delivery p50 50 ms, p99 99 ms, max 100 ms; 10 errors, 0 closes, 0 skipped in all; own lag p99 0 ms, \
         0.12 cores"
    );
    assert_eq!(lines[3], "7 s kill: exit 0");
}

#[test]
fn preparing_settling_and_checking_are_told() {
    let mut screen = screen();
    let preparing = prepare::PrepareProgress {
        step: PrepareStep::Accounts,
        done: 250,
        of: 1000,
        left: Some(Duration::from_secs(9)),
        waiting: None,
    };
    screen.on(&ViewUpdate::Preparing(preparing));
    assert_eq!(screen.line(), "preparing: accounts 250 of 1,000, 9 s left");
    assert!(screen.lines().ends_with(" 25 %"), "no figures before the run");
    let left = Duration::from_secs(28);
    screen.on(&ViewUpdate::Run(RunEvent::Settling { unacked: 3, away: 1, left }));
    assert!(
        screen.line().contains("settling: 3 not acknowledged, 1 devices away, at most 28 s left")
    );
    screen.on(&ViewUpdate::Run(RunEvent::Reading { chats: 10, of: 40 }));
    assert_eq!(screen.line(), "reading the database: chats 10 of 40");
    screen.on(&ViewUpdate::Run(RunEvent::Checking));
    assert_eq!(screen.line(), "checking what everybody received");
}

#[test]
fn a_stuck_terminal_holds_nobody_up_and_finishing_writes_the_rest() {
    /// Takes nothing until it may.
    struct Stuck(Arc<Mutex<()>>, Sink);
    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            drop(self.0.lock());
            self.1.write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (gate, sink) = (Arc::new(Mutex::new(())), Sink::default());
    let out = Box::new(Stuck(Arc::clone(&gate), sink.clone()));
    let live = LiveView::on(Paper::Plain { out, next: None }, screen());
    let observer = live.observer();
    let held = gate.lock();
    for _ in 0..10 * WAITING {
        observer(&RunEvent::Phase(2));
    }
    assert_eq!(sink.text(), "");
    drop(held);
    live.finish();
    let lines = sink.text().lines().count();
    assert!((WAITING..10 * WAITING).contains(&lines), "{lines} lines");
    observer(&RunEvent::Checking);
    assert_eq!(sink.text().lines().count(), lines, "nothing after the end");
}
