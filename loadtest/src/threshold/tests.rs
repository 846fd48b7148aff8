//! Reading, printing and judging thresholds.

use super::*;
use crate::{
    history::Verdict,
    measure::{Count, Op},
    report::{
        Generator, LatencySums, PhaseReport, Point, Sums, TargetPoint, TargetUse, sample::sample,
    },
};
use proptest::{prelude::*, sample::select};
use std::collections::BTreeMap;

/// Of 10 seconds: a warm-up and a phase called steady.
fn report() -> Report {
    let sums = |sent: u64, p99: f64| Sums {
        seconds: 5.0,
        counts: BTreeMap::from([("sent".to_owned(), sent)]),
        latencies: BTreeMap::from([(
            Op::Delivery,
            LatencySums { count: 9, p99, ..<_>::default() },
        )]),
        errors: BTreeMap::from([
            ("rate_limited".to_owned(), 2),
            ("connect: refused".to_owned(), 1),
        ]),
        closes: BTreeMap::from([("1013 slow_consumer".to_owned(), 4)]),
    };
    let phase = |name: &str, warmup, from, sums| {
        let name = name.to_owned();
        PhaseReport { name, warmup, from, to: from + 5.0, sums }
    };
    let sample = sample();
    let point = |at: u32| {
        let used = TargetPoint { cpu: f64::from(at) / 10.0, memory: f64::from(at) * 1048576.0 };
        let targets = BTreeMap::from([("gateway-1".to_owned(), used)]);
        Point { at: f64::from(at), seconds: 1.0, targets, ..sample.series[0].clone() }
    };
    let used = TargetUse { cpu_seconds: 4.0, max_memory_bytes: 10.0 * 1048576.0 };
    Report {
        phases: vec![
            phase("warm", true, 0.0, sums(7, 900.0)),
            phase("steady", false, 5.0, sums(100, 250.0)),
        ],
        total: sums(100, 250.0),
        series: (1..=10).map(point).collect(),
        truth: Verdict { devices: 2, lost: 1, ..<_>::default() },
        generator: Generator { cpu_seconds: 2.0, max_memory_bytes: 1 << 20, ..<_>::default() },
        targets: BTreeMap::from([("gateway-1".to_owned(), used)]),
        ..sample
    }
}

fn found(expression: &str) -> (Option<f64>, bool) {
    let result = &judge(&[expression.to_owned()], &report())[0];
    assert_eq!(result.expression, expression);
    (result.value, result.ok)
}

#[test]
fn judged_by_what_the_report_says() {
    assert_eq!(found("delivery.p99<250ms"), (Some(250.0), false));
    assert_eq!(found("delivery.p99 <= 0.25s"), (Some(0.25), true));
    assert_eq!(found("phase(warm).delivery.p99<1s"), (Some(0.9), true));
    assert_eq!(found("sent>=100"), (Some(100.0), true));
    assert_eq!(found("phase(warm).sent==7"), (Some(7.0), true));
    assert_eq!(found("rate(sent)>20/s"), (Some(20.0), false));
    assert_eq!(found("acked!=0"), (Some(0.0), false));
    assert_eq!(found("errors==0"), (Some(3.0), false));
    assert_eq!(found("errors(refused)==1"), (Some(1.0), true));
    assert_eq!(found("closes(1013)<5"), (Some(4.0), true));
    assert_eq!(found("closes(restart)==0"), (Some(0.0), true));
    assert!(found("closes(restart)==0").0.unwrap().is_sign_positive(), "shown as 0, not as -0");
    assert_eq!(found("lost==0"), (Some(1.0), false));
    assert_eq!(found("generator.cpu<0.5"), (Some(0.4), true));
    assert_eq!(found("generator.memory<=1MiB"), (Some(1.0), true));
    assert_eq!(found("gateway-1.cpu<1"), (Some(0.8), true));
    assert_eq!(found("phase(warm).gateway-1.memory==5MiB"), (Some(5.0), true));
    assert!(
        found("phase(steady).gateway-1.cpu<0.81").1 && !found("phase(steady).gateway-1.cpu<0.79").1
    );
}

#[test]
fn what_was_not_measured_fails() {
    for expression in [
        "ack.p99<1s",
        "gateway-2.cpu<1",
        "phase(gone).sent>=0",
        "phase(gone).delivery.p99<1s",
        "no threshold",
    ] {
        assert_eq!(found(expression), (None, false), "{expression}");
    }
    assert_eq!(found("ack.count==0"), (Some(0.0), true), "a count is known when it is zero");
    let mut nobody = report();
    nobody.truth = Verdict::default();
    assert!(!judge(&["lost==0".to_owned()], &nobody)[0].ok, "nobody listened");
}

#[test]
fn the_truth_is_always_demanded() {
    let said = |expressions: &[&str]| {
        let expressions: Vec<String> = expressions.iter().map(|&text| text.to_owned()).collect();
        let judged = judge(&expressions, &report());
        let shown = judged.iter().map(|result| format!("{} {}", result.expression, result.ok));
        shown.collect::<Vec<_>>().join(", ")
    };
    let others = "repeated==0 true, reordered==0 true, altered==0 true, not_stored==0 true, \
                  stored_twice==0 true, unconnected==0 true, unsent==0 true";
    assert_eq!(said(&[]), format!("lost==0 false, {others}"));
    assert_eq!(said(&["lost <= 1"]), format!("lost <= 1 true, {others}"));
}

#[test]
fn what_is_broken_for_good_is_known_early() {
    let so_far = &report().total;
    for (expression, final_, broken) in [
        ("sent<100", true, true),
        ("sent<=100", true, false),
        ("errors==2", true, true),
        ("errors==3", true, false),
        ("closes(slow_consumer)<4", true, true),
        ("delivery.max<1s", true, false),
        ("delivery.p99<1ms", false, true),
        ("sent>=100", false, false),
        ("rate(sent)<1", false, true),
        ("lost==0", false, false),
    ] {
        let threshold: Threshold = expression.parse().unwrap();
        assert_eq!(threshold.only_gets_worse(), final_, "{expression}");
        assert_eq!(threshold.is_broken(so_far), broken, "{expression}");
    }
}

#[test]
fn what_is_none_says_what_to_write() {
    let why = |text: &str| text.parse::<Threshold>().map(|_| text).unwrap_err().to_string();
    let said: Vec<String> = [
        "delivery",
        "delivery<250ms",
        "delivery.p98<250ms",
        "delivry.p99<250ms",
        "delivery.p99<250kb",
        "delivery.p99<fast",
        "delivery.p99=250ms",
        "lots==0",
        "lost==0s",
        "rate(send)>5",
        "rated(sent)>5",
        "phase().lost==0",
        "phase(steady).lost==0",
        "gateway.disk<1",
        "sent>1e3",
    ]
    .map(|text| format!("{text}: {}", why(text)))
    .into();
    assert_eq!(said.join("\n"), include_str!("mistakes.txt").trim_end());
}

fn metric() -> impl Strategy<Value = String> {
    let op = select(Op::ALL.iter().map(|op| op.name()).collect::<Vec<_>>());
    let stat = select(vec!["count", "mean", "p50", "p90", "p95", "p99", "p999", "max"]);
    let count = || select(Count::ALL.iter().map(|count| count.name()).collect::<Vec<_>>());
    let truth = select(vec!["lost", "repeated", "stored_twice", "resyncs", "expected"]);
    prop_oneof![
        (op, stat).prop_map(|(op, stat)| format!("{op}.{stat}")),
        count().prop_map(str::to_owned),
        count().prop_map(|count| format!("rate({count})")),
        "(errors|closes)(\\([a-z0-9_: ]{1,12}\\))?",
        truth.prop_map(str::to_owned),
        "[a-z][a-z0-9.-]{0,12}\\.(cpu|memory)",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn what_is_printed_is_read(
        metric in metric(),
        phase in proptest::option::of("[A-Za-z0-9_-]{1,12}"),
        sign in select(vec!["<", "<=", ">", ">=", "==", "!="]),
        bound in 0.0..1e12_f64,
        whole in any::<bool>(),
        unit in any::<prop::sample::Index>(),
    ) {
        let metric: ThresholdMetric = metric.parse().unwrap();
        let phase = phase.filter(|_| metric.is_of_phases());
        let comparison = Comparator::split(sign).unwrap().1;
        let bound = if whole { bound.round() } else { bound };
        let unit = *unit.get(metric.quantity().units());
        let threshold = Threshold { phase, metric, comparison, bound, unit };
        prop_assert_eq!(threshold.to_string().parse::<Threshold>().unwrap(), threshold);
    }

    #[test]
    fn no_text_is_too_strange(text in "\\PC{0,40}") {
        let _ = text.parse::<Threshold>();
    }
}
