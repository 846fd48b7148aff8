//! Compares the sample report with changed ones.

use super::*;
use crate::report::sample::sample;

/// A later run with slower deliveries, cheaper servers and one more error.
fn later() -> Report {
    let mut later = sample();
    later.run = "m2p1".to_owned();
    for latency in later.total.latencies.values_mut() {
        latency.p50 += 0.4;
    }
    later.total.latencies.entry(Op::Delivery).or_default().p99 *= 1.5;
    later.total.latencies.remove(&Op::Resume);
    let gateway = later.targets.entry("gateway-1".to_owned()).or_default();
    gateway.cpu_seconds *= 0.5;
    later.truth.repeated = 2;
    later
}

fn verdict(comparison: &ReportComparison, name: &str) -> (FigureVerdict, String) {
    let row = comparison.rows.iter().find(|row| row.name == name);
    let row = row.unwrap_or_else(|| panic!("no row {name}"));
    (row.verdict, row.percent())
}

#[test]
fn better_worse_and_noise_are_told_apart() {
    let comparison = compare(&sample(), &later(), 0.1);
    let of = |name| verdict(&comparison, name);
    assert_eq!(of("delivery.p99"), (FigureVerdict::Worse, "+50.0 %".to_owned()));
    assert_eq!(of("delivery.p50").0, FigureVerdict::Noise, "less than a millisecond");
    assert_eq!(of("gateway-1: CPU-s per million"), (FigureVerdict::Better, "-50.0 %".to_owned()));
    assert_eq!(of("gateway-2: CPU-s per million"), (FigureVerdict::Noise, "+0.0 %".to_owned()));
    assert_eq!(
        of("repeated"),
        (FigureVerdict::Worse, "new".to_owned()),
        "from nothing to something"
    );
    assert_eq!(of("lost").0, FigureVerdict::Noise);
    assert_eq!(of("resume.p99").0, FigureVerdict::Unknown, "a loss of figures is no improvement");
    let worse: Vec<&str> = comparison.regressions().map(|row| row.name.as_str()).collect();
    assert_eq!(worse, ["delivery.p99", "repeated"]);
    assert!(comparison.warnings.is_empty(), "{:?}", comparison.warnings);
    let loose = compare(&sample(), &later(), 0.6);
    assert_eq!(verdict(&loose, "delivery.p99").0, FigureVerdict::Noise);
    let back = compare(&later(), &sample(), 0.1);
    assert_eq!(verdict(&back, "delivery.p99").0, FigureVerdict::Better);
}

#[test]
fn fewer_deliveries_are_worse() {
    let mut later = later();
    later.total.counts.insert("delivered".to_owned(), 100_000);
    assert_eq!(verdict(&compare(&sample(), &later, 0.1), "delivered/s").0, FigureVerdict::Worse);
}

#[test]
fn what_makes_it_unfair_is_said() {
    let mut later = later();
    later.scenario.seed = 8;
    later.scenario.people.accounts = 7;
    later.agents = 1;
    later.outcome = super::super::RunOutcome::GeneratorLimited;
    let warnings = compare(&sample(), &later, 0.1).warnings;
    assert_eq!(
        warnings,
        [
            "The scenario was changed between the runs",
            "The seeds differ: 7 and 8",
            "2 agents, then 1",
            "Run m2p1 was limited by the load tester"
        ]
    );
}

#[test]
fn the_table_is_aligned_and_ends_with_the_verdict() {
    let mut comparison = compare(&sample(), &later(), 0.1);
    comparison.rows.retain(|row| row.name.starts_with("delivery.p9") || row.name == "repeated");
    comparison.warnings = vec!["The seeds differ: 7 and 8".to_owned()];
    let text = comparison.to_text();
    let expected = "\
warning: The seeds differ: 7 and 8
                      before         after     change
delivery.p95           12 ms         12 ms     +0.0 %
delivery.p99           21 ms         32 ms    +50.0 %  WORSE
delivery.p99.9         34 ms         34 ms     +0.0 %
repeated                   0             2        new  WORSE
2 worse, 0 better, the rest within 10 %
";
    assert_eq!(text, expected);
}
