//! A small report made by hand, for the tests of how reports are shown: a run with a warm-up, a
//! gateway that is killed, one threshold that is not kept, a lost message, and names that are traps.

use super::{
    CurvePoint, FaultMark, Generator, LatencySums, PhaseReport, Point, Report, RunEnvironment,
    RunOutcome, Sums, TargetPoint, TargetUse, ThresholdResult, VERSION,
};
use crate::{history::Verdict, measure::Op};
use protocol::time::Timestamp;
use std::collections::BTreeMap;

/// A name that must appear nowhere as it is.
pub(crate) const TRAP: &str = "<script>alert('x')</script> & \"so\"";

const SCENARIO: &str = r#"
name = "kill a gateway"
description = "A thousand people in a hundred rooms, and one of two gateways dies."
seed = 7
thresholds = ["delivery.p99<50ms", "lost==0", "errors<100"]

[people]
accounts = 1000

[[chats]]
kind = "room"
count = 100
members = 10

[[phases]]
name = "ramp"
duration = "20s"
connections = 1000
warmup = true

[[phases]]
name = "steady"
duration = "60s"
messages = 500

[[phases]]
name = "storm"
duration = "40s"
messages = 500
storm = 0.5

[[faults]]
name = "kill gateway 1"
at = "45s"
run = "kill -9 1234"
"#;

pub(crate) fn sample() -> Report {
    let mut scenario: crate::scenario::Scenario = toml::from_str(SCENARIO).unwrap();
    scenario.phases[2].name = TRAP.to_owned();
    let series: Vec<Point> = (1..=124).map(point).collect();
    let total = sums(series.iter().filter(|point| point.at > 20.0).collect(), 100.0);
    Report {
        version: VERSION,
        tool: "0.1.0".to_owned(),
        run: "k4x9".to_owned(),
        target: "http://127.0.0.1:8000".to_owned(),
        environment: RunEnvironment {
            command: "loadtest run mine.toml --url http://127.0.0.1:8000".to_owned(),
            host: "generator-1".to_owned(),
            kernel: "Linux 6.1.0".to_owned(),
            cpu: "A processor @ 3 GHz".to_owned(),
            cores: 8,
            server: Some("0.1.0".to_owned()),
        },
        started: Timestamp(1_795_000_000_000),
        agents: 2,
        phases: phases(&series),
        curves: total.latencies.iter().map(|(op, latency)| (*op, curve(latency))).collect(),
        truth: verdict(&total),
        marks: vec![FaultMark {
            at: 45.0,
            name: "kill gateway 1".to_owned(),
            outcome: "exit 0".to_owned(),
            recovery: Some(3.4),
        }],
        generator: Generator {
            cpu_seconds: 21.5,
            max_memory_bytes: 96 << 20,
            lag: total.latencies[&Op::Lag],
            limited: None,
            clock_uncertainty_ms: 1.5,
        },
        targets: BTreeMap::from([
            ("gateway-1".to_owned(), TargetUse { cpu_seconds: 14.2, max_memory_bytes: 61e6 }),
            ("gateway-2".to_owned(), TargetUse { cpu_seconds: 19.8, max_memory_bytes: 74e6 }),
        ]),
        thresholds: vec![
            threshold("delivery.p99<50ms", Some(61.2), false),
            threshold("lost==0", Some(1.0), false),
            threshold("errors<100", Some(31.0), true),
            threshold("history.p99<1s", None, false),
        ],
        outcome: RunOutcome::Failed,
        scenario,
        total,
        series,
    }
}

fn phases(series: &[Point]) -> Vec<PhaseReport> {
    let phase = |name: &str, warmup, from: f64, to: f64| {
        // The last phase has the seconds of settling, which come after its end.
        let until = to.max(124.0 * to / 120.0);
        let of = series.iter().filter(|point| from < point.at && point.at <= until);
        let sums = sums(of.collect(), to - from);
        PhaseReport { name: name.to_owned(), warmup, from, to, sums }
    };
    vec![
        phase("ramp", true, 0.0, 20.0),
        phase("steady", false, 20.0, 80.0),
        phase(TRAP, false, 80.0, 120.0),
    ]
}

fn verdict(total: &Sums) -> Verdict {
    let (acked, delivered) = (total.counts["acked"], total.counts["delivered"]);
    let lost = "lost: device lt-k4x9-17/1 never received seq 812 of chat 3, which 9 others did";
    Verdict {
        acked,
        stored: acked,
        delivered: delivered - 1,
        expected: delivered,
        devices: 1000,
        lost: 1,
        skipped: 2,
        evidence: vec![lost.to_owned()],
        ..Verdict::default()
    }
}

fn threshold(expression: &str, value: Option<f64>, ok: bool) -> ThresholdResult {
    ThresholdResult { expression: expression.to_owned(), value, ok }
}

/// A second of it: up to 1000 connections, a break at 45 s, a storm at 80 s.
fn point(second: u32) -> Point {
    let at = f64::from(second);
    let wave = 1.0 + 0.25 * (at * 0.7).sin() + 0.1 * (at * 2.3).cos();
    let hurt = match second {
        46..=48 => 900.0 / f64::from(second - 45),
        81..=84 => 420.0 / f64::from(second - 80),
        _ => 0.0,
    };
    let settled = second > 120;
    let away = if (46..=48).contains(&second) || second == 81 { 500 } else { 0 };
    let sending = (21..=120).contains(&second);
    let delivery = latency(if sending { 5000 } else { 40 * u64::from(settled) }, 2.1 * wave, hurt);
    let latencies = [
        (Op::Delivery, delivery),
        (Op::Ack, latency(if sending { 500 } else { 0 }, 3.4 * wave, hurt * 1.2)),
        (Op::Connect, latency(if second <= 20 { 50 } else { 0 }, 1.1 * wave, 0.0)),
        (Op::Resume, latency(if away > 0 { 250 } else { 0 }, 9.0 * wave, hurt)),
        (Op::Lag, latency(550, 0.2 * wave, 0.0)),
    ];
    let sent = if sending { 500 } else { 0 };
    let acked = if away > 0 { 320 } else { sent };
    let counts = [
        ("sent", sent),
        ("acked", acked),
        ("delivered", delivery.count),
        ("connected", if second <= 20 { 50 } else { away / 2 }),
        ("dropped", if away > 0 { away / 3 } else { 0 }),
    ];
    let busy = if sending { 0.16 * wave } else { 0.03 };
    let down = (46..=50).contains(&second);
    let target = |cpu, memory| TargetPoint { cpu, memory };
    let gateway_1 = (!down).then(|| ("gateway-1".to_owned(), target(busy, 48e6 + at * 9e4)));
    let gateway_2 =
        ("gateway-2".to_owned(), target(busy * if down { 2.1 } else { 1.2 }, 52e6 + at * 15e4));
    Point {
        at,
        seconds: 1.0,
        connections: (u64::from(second) * 50).min(1000) - away,
        counts: counts
            .into_iter()
            .filter(|(_, n)| *n > 0)
            .map(|(name, n)| (name.to_owned(), n))
            .collect(),
        errors: if away > 0 { 8 } else { 0 },
        latencies: latencies.into_iter().filter(|(_, latency)| latency.count > 0).collect(),
        generator_cpu: 0.09 * wave,
        targets: gateway_1.into_iter().chain([gateway_2]).collect(),
    }
}

fn latency(count: u64, base: f64, hurt: f64) -> LatencySums {
    LatencySums {
        count,
        mean: base + hurt / 20.0,
        p50: base,
        p90: base * 2.0 + hurt / 8.0,
        p95: base * 2.6 + hurt / 4.0,
        p99: base * 4.2 + hurt / 2.0,
        p999: base * 6.0 + hurt / 1.2,
        max: base * 8.0 + hurt,
    }
}

/// Not as exact as real ones: percentiles are averages, weighted by the records.
fn sums(points: Vec<&Point>, seconds: f64) -> Sums {
    let mut sums = Sums { seconds, ..Sums::default() };
    for point in points {
        point
            .counts
            .iter()
            .for_each(|(name, n)| *sums.counts.entry(name.clone()).or_default() += n);
        for (op, one) in &point.latencies {
            let all = sums.latencies.entry(*op).or_default();
            let share = one.count as f64 / (all.count + one.count) as f64;
            let mix = |a: f64, b: f64| a * (1.0 - share) + b * share;
            *all = LatencySums {
                count: all.count + one.count,
                mean: mix(all.mean, one.mean),
                p50: mix(all.p50, one.p50),
                p90: mix(all.p90, one.p90),
                p95: mix(all.p95, one.p95),
                p99: mix(all.p99, one.p99),
                p999: mix(all.p999, one.p999),
                max: all.max.max(one.max),
            };
        }
        if point.errors > 0 {
            *sums.errors.entry("unavailable".to_owned()).or_default() += point.errors;
            *sums.closes.entry("1006 no close frame".to_owned()).or_default() += point.errors * 20;
        }
    }
    sums
}

fn curve(latency: &LatencySums) -> Vec<CurvePoint> {
    let nines = (latency.count.max(2) as f64).log10();
    let steps = (nines * 10.0) as u32;
    let point = |step: u32| {
        let percentile = 100.0 * (1.0 - 10f64.powf(-f64::from(step) / 10.0));
        let part = f64::from(step) / f64::from(steps.max(1));
        let millis = latency.p50 * 0.4 * (latency.max / latency.p50 / 0.4).powf(part.powf(1.4));
        CurvePoint { percentile, millis }
    };
    (0..=steps).map(point).collect()
}
