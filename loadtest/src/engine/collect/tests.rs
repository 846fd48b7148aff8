use super::*;
use crate::{cast::Cast, measure::Count, recorder::Shard, scenario::Scenario};
use std::sync::Mutex;

/// A collector under a clock that only the test moves.
struct Bench {
    collector: Collector,
    shard: Shard,
    start: Instant,
    observer: Observer,
    seen: Arc<Mutex<Vec<(f64, f64)>>>,
}

impl Bench {
    /// Of phases with these seconds, of which the first is a warm-up.
    fn new(phases: &[f64], tuning: Tuning) -> Self {
        let phase = |seconds: &f64| format!("[[phases]]\nname = 'a'\nduration = '{seconds}s'\n");
        let phases: String = phases.iter().map(phase).collect();
        let text = format!("name = 'x'\npeople = {{ accounts = 1 }}\n{phases}");
        let mut scenario: Scenario = toml::from_str(&text).unwrap();
        scenario.phases[0].warmup = true;
        let mut options = RunOptions::new(scenario, Cast::default(), "", "x");
        options.tuning = tuning;
        let plan = Plan::new(&options.scenario, options.share);
        let (recorder, start) = (Recorder::default(), Instant::now());
        let shard = recorder.shard();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let observer: Observer = {
            let seen = Arc::clone(&seen);
            Arc::new(move |progress| {
                let RunEvent::Second(second) = progress else { panic!("{progress:?}") };
                seen.lock().unwrap().push((second.at, second.seconds));
            })
        };
        let collector = Collector::new(&options, &plan, recorder, start);
        Self { collector, shard, start, observer, seen }
    }

    fn cut(&mut self, at: f64) {
        self.shard.lock().count(Count::Sent, 1);
        self.collector.cut(self.start + Duration::from_secs_f64(at), &self.observer);
    }

    fn finish(self, at: f64) -> (Vec<PartSlice>, GeneratorUse, Vec<(f64, f64)>) {
        let now = self.start + Duration::from_secs_f64(at);
        let (slices, generator) = self.collector.finish(now, &self.observer);
        (slices, generator, self.seen.lock().unwrap().clone())
    }
}

#[test]
fn cuts_are_at_each_second_and_at_each_phases_end_and_late_ones_join() {
    let mut bench = Bench::new(&[1.5, 3.5], Tuning::default());
    for at in [0.5, 1.0001, 1.49, 1.51, 2.0, 4.2, 5.0, 6.0] {
        bench.cut(at);
    }
    let (slices, _, seen) = bench.finish(6.25);
    let expected =
        [(1.0, 1.0), (1.5, 0.5), (2.0, 0.5), (4.0, 2.0), (5.0, 1.0), (6.0, 1.0), (6.25, 0.25)];
    assert_eq!(seen, expected);
    let kept: Vec<_> = slices.iter().map(|slice| (slice.at, slice.seconds)).collect();
    assert_eq!(kept, expected);
    let sent: u64 = slices.iter().filter_map(|s| s.slice.counts.get(&Count::Sent)).sum();
    assert_eq!(sent, 8);
}

#[test]
fn a_long_runs_slices_are_long_and_lose_nothing() {
    let mut bench = Bench::new(&[1_000.5, 1_999.5], Tuning::default());
    (1..=6_000).for_each(|half| bench.cut(f64::from(half) / 2.0));
    bench.cut(1e6);
    let (slices, _, _) = bench.finish(1e6);
    assert!((990..1_010).contains(&slices.len()), "{}", slices.len());
    assert!(slices.iter().any(|slice| slice.at == 1_000.5));
    let sent: u64 = slices.iter().filter_map(|s| s.slice.counts.get(&Count::Sent)).sum();
    let seconds: f64 = slices.iter().map(|slice| slice.seconds).sum();
    assert!(sent == 6_001 && (seconds - 1e6).abs() < 1e-3, "{sent} {seconds}");
}

#[test]
fn who_is_late_was_the_limit_but_not_in_a_warm_up() {
    let late = |at: f64| {
        let mut bench = Bench::new(&[1.0, 1.0], Tuning::default());
        bench.cut(at);
        (0..1_000).for_each(|n| bench.shard.lock().time(Op::Lag, if n < 20 { 80_000 } else { 10 }));
        bench.cut(at + 1.0);
        bench.finish(2.0).1
    };
    let limited = late(1.0);
    assert!(
        limited.limited.as_deref().is_some_and(|why| why.contains("80 ms late")),
        "{limited:?}"
    );
    assert_eq!(limited.lag.0.len(), 1_000);
    let warming = late(0.0);
    assert!(warming.limited.is_none() && warming.lag.0.is_empty(), "{warming:?}");
}

#[test]
fn who_uses_all_its_cores_was_the_limit() {
    let used = |busy| {
        let mut bench = Bench::new(&[1.0, 2.0], Tuning { busy, ..Tuning::default() });
        let begin = usage::own_cpu();
        while usage::own_cpu() < begin + 0.02 {
            std::hint::spin_loop();
        }
        bench.cut(1.0);
        bench.collector.cpu -= 1.0;
        bench.cut(2.0);
        bench.collector.cpu -= 1.0;
        bench.cut(3.0);
        bench.finish(3.0).1
    };
    // One CPU second a second, of the cores that there are.
    assert!(used(0.9 / cores()).limited.is_some_and(|why| why.contains("cores in 2 of 2 seconds")));
    let enough = used(1.5);
    assert!(enough.limited.is_none() && enough.cpu_seconds >= 2.0, "{enough:?}");
}
