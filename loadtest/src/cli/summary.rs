//! A report in a few lines, for the terminal. All of it is in JSON and HTML.

use crate::{
    measure::{Count, Op},
    report::{
        Report, RunOutcome,
        text::{FigureUnit, count, millis, number},
    },
};
use std::fmt::Write as _;

/// The most errors and closes that are listed.
const KINDS: usize = 8;

pub(super) fn summary(report: &Report) -> String {
    let mut text = String::new();
    let total = &report.total;
    let per_second = |count: Count| {
        let counted = total.counts.get(count.name()).copied().unwrap_or_default();
        if total.seconds > 0.0 { counted as f64 / total.seconds } else { 0.0 }
    };
    let rates = [Count::Sent, Count::Acked, Count::Delivered]
        .map(|count| format!("{} {}/s", count.name(), number(per_second(count))));
    line(&mut text, "throughput", &rates.join(", "));
    for op in Op::ALL.iter().copied() {
        let Some(sums) = total.latencies.get(&op).filter(|sums| sums.count > 0) else { continue };
        let [p50, p95, p99, max] = [sums.p50, sums.p95, sums.p99, sums.max].map(millis);
        line(&mut text, op.name(), &format!("p50 {p50}, p95 {p95}, p99 {p99}, max {max}"));
    }
    let truth = &report.truth;
    line(
        &mut text,
        "truth",
        &format!(
            "{} acknowledged, {} messages stored, {} deleted; {} of {} deliveries to {} devices",
            count(truth.acked),
            count(truth.stored),
            count(truth.deleted),
            count(truth.delivered),
            count(truth.expected),
            count(truth.devices)
        ),
    );
    for (name, kinds) in [("errors", &total.errors), ("closes", &total.closes)] {
        let mut kinds: Vec<_> = kinds.iter().collect();
        kinds.sort_by_key(|(_, times)| std::cmp::Reverse(**times));
        for (kind, times) in kinds.into_iter().take(KINDS) {
            line(&mut text, name, &format!("{} × {kind}", count(*times)));
        }
    }
    for (name, used) in &report.targets {
        let cores = if total.seconds > 0.0 { used.cpu_seconds / total.seconds } else { 0.0 };
        let [cpu, memory] =
            [FigureUnit::Cores.text(cores), FigureUnit::Bytes.text(used.max_memory_bytes)];
        line(&mut text, name, &format!("{cpu} CPUs on average, {memory} at most"));
    }
    for mark in &report.marks {
        let recovery = mark.recovery.map_or("not seen".to_owned(), |s| format!("{} s", number(s)));
        line(&mut text, &mark.name, &format!("{}; recovery {recovery}", mark.outcome));
    }
    for threshold in &report.thresholds {
        let sign = if threshold.ok { "ok  " } else { "FAIL" };
        let _ = writeln!(text, "{sign} {} ({})", threshold.expression, threshold.found());
    }
    for evidence in &truth.evidence {
        let _ = writeln!(text, "     {evidence}");
    }
    let _ = writeln!(text, "{}", verdict(report));
    text
}

/// The last line.
fn verdict(report: &Report) -> String {
    match report.outcome {
        RunOutcome::Passed => "passed".to_owned(),
        RunOutcome::Failed => "FAILED".to_owned(),
        RunOutcome::GeneratorLimited => {
            let why = report.generator.limited.as_deref().unwrap_or("it had too little CPU");
            format!("NO RESULT: the load tester was the limit, not the servers: {why}")
        }
        RunOutcome::Interrupted => {
            "INTERRUPTED: the figures cover only the time until then".to_owned()
        }
    }
}

fn line(text: &mut String, name: &str, what: &str) {
    let _ = writeln!(text, "{name:>11}: {what}");
}
