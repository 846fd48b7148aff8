//! Adds up runs of a few seconds whose sums are known.

use super::*;
use crate::measure::Count;
use std::time::Duration;

fn phase(name: &str, seconds: u64, warmup: bool) -> Phase {
    let text = format!("name = {name:?}\nduration = \"1s\"\nwarmup = {warmup}");
    let phase: Phase = toml::from_str(&text).unwrap();
    Phase { duration: Duration::from_secs(seconds), ..phase }
}

/// A second in which one was sent for each connection, and each delivery took `millis`.
fn second(at: f64, connections: u64, millis: u64) -> PartSlice {
    let mut delivery = Latency::default();
    (0..10).for_each(|_| delivery.record(millis * 1000));
    let slice = Slice {
        connections,
        counts: BTreeMap::from([(Count::Sent, connections)]),
        latencies: BTreeMap::from([(Op::Delivery, delivery)]),
        errors: BTreeMap::from([("refused".to_owned(), 1)]),
        closes: BTreeMap::new(),
    };
    PartSlice { at, seconds: 1.0, slice, cpu: 0.5 }
}

fn reading(cpu_seconds: f64, memory_bytes: f64) -> UsageReading {
    UsageReading { cpu_seconds, memory_bytes }
}

#[test]
fn slices_count_for_the_phase_they_are_in_and_late_ones_for_the_last() {
    let phases = [phase("warm", 2, true), phase("one", 2, false), phase("two", 2, false)];
    // Ticks are a little late, and two seconds of settling follow.
    let slices: Vec<PartSlice> = (1..=8).map(|at| second(at as f64 + 0.01, at, 10 * at)).collect();
    let measured = measured(&phases, &slices, &TargetReadings::new());
    let sent: Vec<u64> = measured.phases.iter().map(|phase| phase.sums.counts["sent"]).collect();
    assert_eq!(sent, [1 + 2, 3 + 4, 5 + 6 + 7 + 8]);
    assert_eq!(measured.total.counts["sent"], 33, "without the warm-up");
    assert_eq!((measured.phases[2].to, measured.total.seconds), (6.0, 4.0));
    assert_eq!(measured.total.errors["refused"], 6);
    let delivery = measured.total.latencies[&Op::Delivery];
    assert_eq!(delivery.count, 60);
    // Six values from 30 to 80 ms, ten times each.
    assert!((delivery.p50 / 50.0 - 1.0).abs() < 0.01, "{delivery:?}");
    assert!((delivery.max / 80.0 - 1.0).abs() < 0.01, "{delivery:?}");
    assert_eq!(measured.series.len(), 8);
    assert_eq!((measured.series[4].connections, measured.series[4].generator_cpu), (5, 0.5));
}

#[test]
fn phases_that_never_began_are_left_out() {
    let phases = [phase("one", 5, false), phase("two", 5, false)];
    let measured =
        measured(&phases, &[second(1.0, 1, 1), second(2.0, 1, 1)], &TargetReadings::new());
    assert_eq!(measured.phases.len(), 1);
    assert_eq!((measured.phases[0].to, measured.total.seconds), (2.0, 2.0));
}

#[test]
fn cpu_is_shared_out_between_readings_and_survives_a_restart() {
    let phases = [phase("warm", 2, true), phase("one", 4, false)];
    let slices: Vec<PartSlice> = (1..=6).map(|at| second(at as f64, 1, 1)).collect();
    let read = vec![
        (0.0, reading(100.0, 9e9)),
        (1.0, reading(101.0, 9e9)),
        // Half of these two seconds is warm-up.
        (3.0, reading(103.0, 3e6)),
        // Killed and started again.
        (5.0, reading(0.5, 1e6)),
    ];
    let measured = measured(&phases, &slices, &TargetReadings::from([("g".to_owned(), read)]));
    let used = measured.targets["g"];
    assert!((used.cpu_seconds - 1.5).abs() < 1e-9, "{used:?}");
    assert_eq!(used.max_memory_bytes, 3e6);
    let cpu: Vec<Option<f64>> = measured
        .series
        .iter()
        .map(|point| point.targets.get("g").map(|target| target.cpu))
        .collect();
    assert_eq!(cpu, [Some(1.0), None, Some(1.0), None, Some(0.25), None]);
}

#[test]
fn a_curve_rises_and_goes_as_far_as_there_are_records() {
    let mut latency = Latency::default();
    (1..=1000).for_each(|micros| latency.record(micros * 100));
    let curve = curve(&latency);
    assert_eq!(curve[0].percentile, 0.0);
    assert!((curve.last().unwrap().percentile - 99.9).abs() < 1e-6, "{:?}", curve.last());
    assert!(curve.windows(2).all(|pair| pair[0].millis <= pair[1].millis));
    let p90 = curve.iter().find(|point| point.percentile >= 89.999).unwrap();
    assert!((p90.millis / 90.0 - 1.0).abs() < 0.02, "{p90:?}");
}
