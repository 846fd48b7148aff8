//! The top of a report: the outcome, the important figures, the thresholds, and the truth.

use super::tables;
use crate::{
    history::Verdict,
    measure::{Count, Op},
    report::{
        Report, RunOutcome, ThresholdResult,
        text::{Escaped, count, millis, number},
    },
};

/// The outcome in words, and the class that colours it.
pub(super) fn outcome(report: &Report) -> (&'static str, String, &'static str) {
    match report.outcome {
        RunOutcome::Passed => ("Passed", thresholds_kept(report), "good"),
        RunOutcome::Failed => ("Failed", thresholds_kept(report), "bad"),
        RunOutcome::GeneratorLimited => {
            let why = report.generator.limited.as_deref().unwrap_or("it had too little CPU");
            let text = format!("The load tester was the limit, not the servers: {why}");
            ("No result", text, "doubtful")
        }
        RunOutcome::Interrupted => (
            "Interrupted",
            "The run was stopped early; the results so far are below".to_owned(),
            "doubtful",
        ),
    }
}

fn thresholds_kept(report: &Report) -> String {
    let all = report.thresholds.len();
    let kept = report.thresholds.iter().filter(|threshold| threshold.ok).count();
    match (kept, all) {
        (_, 0) => "The scenario sets no thresholds".to_owned(),
        (kept, all) if kept == all => format!("All {all} thresholds were met"),
        (kept, all) => format!("{} of {all} thresholds were missed", all - kept),
    }
}

/// The banner and the tiles.
pub(super) fn banner(report: &Report) -> String {
    let (word, text, class) = outcome(report);
    let (sound, judged, truth) = match &report.truth {
        truth if truth.is_sound() && truth.expected > 0 => {
            ("good", "Correct", "Every message is accounted for".to_owned())
        }
        truth if truth.is_sound() => {
            ("doubtful", "Not checked", "No delivery was expected".to_owned())
        }
        truth => {
            let faults = truth.faults();
            let some = faults.iter().filter(|(_, found, _)| *found > 0);
            let words: Vec<String> = some
                .map(|(kind, found, _)| format!("{} {}", count(*found), kind.replace('_', " ")))
                .collect();
            let words = match words.as_slice() {
                [] => "Not everything expected was delivered".to_owned(),
                words => words.join(", "),
            };
            ("bad", "Incorrect", words)
        }
    };
    format!(
        "<section class=\"banner\" id=\"verdict\"><div class=\"verdict {class}\"><strong>{word}</strong><span>{text}</span></div>\
         <div class=\"verdict {sound}\"><strong>{judged}</strong><span>{truth}</span></div></section>\n\
         <section class=\"tiles\" aria-label=\"Summary\">{}</section>\n",
        tiles(report),
        text = Escaped(&text),
    )
}

fn tiles(report: &Report) -> String {
    let total = &report.total;
    let mut tiles = Vec::new();
    let mut tile = |name: &str, value: String, more: String| {
        tiles.push(format!("<div><span>{name}</span><b>{value}</b><small>{more}</small></div>"));
    };
    let most = report.series.iter().map(|point| point.connections).max().unwrap_or_default();
    tile("Connections", count(most), opened(report));
    for (op, name) in [(Op::Delivery, "Delivery p99"), (Op::Ack, "Acknowledgement p99")] {
        if let Some(latency) = total.latencies.get(&op) {
            let more = format!("median {}<br>max {}", millis(latency.p50), millis(latency.max));
            tile(name, millis(latency.p99), more);
        }
    }
    let delivered = format!("{} in all", count(total.counted(Count::Delivered)));
    tile("Delivered", format!("{}/s", number(total.per_second(Count::Delivered))), delivered);
    let errors: u64 = total.errors.values().sum();
    let closes: u64 = total.closes.values().sum();
    tile("Errors", count(errors), format!("{} closes", count(closes)));
    let used: f64 = report.targets.values().map(|target| target.cpu_seconds).sum();
    if let Some(each) = tables::cpu_per_million(report, used) {
        let more = format!("of the servers, per million deliveries; {} s in all", number(used));
        tile("CPU seconds", number(each), more);
    }
    tiles.concat()
}

/// How many connections were opened, and when: those of the warm-up are in no other figure.
fn opened(report: &Report) -> String {
    let later = report.total.counted(Count::Connected);
    let warmups = report.phases.iter().filter(|phase| phase.warmup);
    let first: u64 = warmups.map(|phase| phase.sums.counted(Count::Connected)).sum();
    match (first, later) {
        (0, later) => format!("at the same time;<br>{} were opened in all", count(later)),
        (first, later) => format!(
            "at the same time;<br>{} opened in the warm-up, {} later",
            count(first),
            count(later)
        ),
    }
}

/// The truth and what it cost, and beside them the thresholds, which are many.
pub(super) fn thresholds_and_cost(report: &Report) -> String {
    format!(
        "<div class=\"sides\"><div>{}{}</div>{}</div>\n",
        truth(&report.truth),
        tables::usage(report),
        thresholds(&report.thresholds),
    )
}

/// Each threshold with what was found.
fn thresholds(thresholds: &[ThresholdResult]) -> String {
    if thresholds.is_empty() {
        return String::new();
    }
    let row = |threshold: &ThresholdResult| {
        let (class, word) = if threshold.ok { ("good", "met") } else { ("bad", "missed") };
        format!(
            "<tr><th scope=\"row\"><code>{}</code></th><td>{}</td><td>{}</td><td><span class=\"mark-word {class}\">{word}\
             </span></td></tr>",
            Escaped(&threshold.expression),
            Escaped(&threshold.found()),
            threshold.of_bound().map(|share| gauge(share, class)).unwrap_or_default(),
        )
    };
    format!(
        "<section class=\"side\" id=\"thresholds\"><h2>Thresholds</h2><div class=\"scroll\"><table><thead><tr><th scope=\"col\">what must be\
         </th><th scope=\"col\">what was</th><th scope=\"col\">of the limit</th><th scope=\"col\">verdict</th></tr></thead><tbody>{}</tbody></table>\
         </div></section>\n",
        thresholds.iter().map(row).collect::<String>(),
    )
}

/// The widths of a gauge and of its part up to the limit, so that what is beyond it has room, too.
const GAUGE: f64 = 90.0;
const GAUGE_LIMIT: f64 = 60.0;

/// How near a value is to its limit, as a bar with a mark at the limit.
fn gauge(share: f64, class: &str) -> String {
    let percent = match share * 100.0 {
        percent if percent > 0.0 && percent < 1.0 => "< 1 %".to_owned(),
        percent => format!("{} %", number(percent.round())),
    };
    format!(
        "<span class=\"gauge {class}\"><svg viewBox=\"0 0 {GAUGE} 10\" aria-hidden=\"true\"><rect class=\"room\" \
         width=\"{GAUGE}\" height=\"10\" rx=\"3\"/><rect width=\"{:.1}\" height=\"10\" rx=\"3\"/>\
         <path d=\"M{GAUGE_LIMIT} 0V10\"/></svg>{percent}</span>",
        (share * GAUGE_LIMIT).clamp(2.0, GAUGE),
    )
}

/// What was acknowledged, stored, expected and delivered, and each kind of fault.
fn truth(truth: &Verdict) -> String {
    let pair = |left: (&str, u64), right: (&str, u64), sound: bool| {
        let (class, sign) = if sound { ("good", "✓") } else { ("bad", "✗") };
        format!(
            "<div class=\"pair {class}\"><div><b>{}</b><span>{}</span></div><i aria-hidden=\"true\">{sign}</i>\
             <div><b>{}</b><span>{}</span></div></div>",
            count(left.1),
            left.0,
            count(right.1),
            right.0,
        )
    };
    let stored = truth.not_stored == 0 && truth.stored_twice == 0;
    let held = match truth.deleted {
        0 => "messages in the database".to_owned(),
        deleted => format!("messages in the database, {} deleted", count(deleted)),
    };
    let pairs = [
        pair(("acknowledged", truth.acked), (&held, truth.stored), stored),
        pair(
            ("deliveries expected", truth.expected),
            ("delivered", truth.delivered),
            truth.expected == truth.delivered,
        ),
    ];
    let row = |(kind, found, meaning): (&str, u64, &str)| {
        let class = if found == 0 { "good" } else { "bad" };
        format!(
            "<tr><th scope=\"row\">{}</th><td class=\"number\"><span class=\"mark-word {class}\">{}</span></td>\
             <td>{meaning}</td></tr>",
            kind.replace('_', " "),
            count(found),
        )
    };
    let evidence: String =
        truth.evidence.iter().map(|line| format!("<li>{}</li>", Escaped(line))).collect();
    let evidence = match truth.evidence.as_slice() {
        [] => String::new(),
        _ => format!("<h3>Evidence</h3><ul class=\"evidence\">{evidence}</ul>"),
    };
    format!(
        "<section class=\"side\" id=\"truth\"><h2>The truth</h2><div class=\"pairs\">{}</div><div class=\"scroll\"><table><thead><tr>\
         <th scope=\"col\">fault</th><th scope=\"col\" class=\"number\">found</th><th scope=\"col\">what it is</th>\
         </tr></thead><tbody>{}</tbody></table></div><p class=\"note\">{} devices, {} of them away in the end; \
         {} had to start anew (resync).</p>{evidence}</section>\n",
        pairs.concat(),
        truth.faults().into_iter().map(row).collect::<String>(),
        count(truth.devices),
        count(truth.away),
        count(truth.resyncs),
    )
}
