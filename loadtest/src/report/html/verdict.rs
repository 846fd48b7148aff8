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

/// Servers' CPU seconds per million deliveries; none when nothing was scraped or delivered.
pub(super) fn cpu_per_million(report: &Report) -> Option<f64> {
    let used: f64 = report.targets.values().map(|target| target.cpu_seconds).sum();
    let delivered = report.total.counted(Count::Delivered);
    (used > 0.0 && delivered > 0).then(|| used * 1e6 / delivered as f64)
}

/// The banner and the tiles.
pub(super) fn banner(report: &Report) -> String {
    let (word, text, class) = outcome(report);
    let truth = match &report.truth {
        truth if truth.is_sound() && truth.expected > 0 => {
            "Every message is accounted for".to_owned()
        }
        truth if truth.is_sound() => "No delivery was expected".to_owned(),
        truth => {
            let faults = truth.faults();
            let some = faults.iter().filter(|(_, found, _)| *found > 0);
            let words: Vec<String> = some
                .map(|(kind, found, _)| format!("{} {}", count(*found), kind.replace('_', " ")))
                .collect();
            if words.is_empty() {
                "Not everything expected was delivered".to_owned()
            } else {
                words.join(", ")
            }
        }
    };
    let sound = if report.truth.is_sound() { "good" } else { "bad" };
    format!(
        "<section class=\"banner\"><div class=\"verdict {class}\"><strong>{word}</strong><span>{text}</span></div>\
         <div class=\"verdict {sound}\"><strong>Truth</strong><span>{truth}</span></div></section>\n\
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
    let made = total.counted(Count::Connected);
    tile("Connections", count(most), format!("at most; {} made", count(made)));
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
    if let Some(each) = cpu_per_million(report) {
        let used: f64 = report.targets.values().map(|target| target.cpu_seconds).sum();
        let more = format!("of the servers, per million deliveries; {} s in all", number(used));
        tile("CPU seconds", number(each), more);
    }
    tiles.concat()
}

/// Beside the truth, where there is room: the thresholds, and what it cost.
pub(super) fn thresholds_and_cost(report: &Report) -> String {
    format!(
        "<div class=\"sides\">{}<div>{}{}</div></div>\n",
        truth(&report.truth),
        thresholds(&report.thresholds),
        tables::usage(report),
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
            "<tr><th scope=\"row\"><code>{}</code></th><td>{}</td><td><span class=\"mark-word {class}\">{word}\
             </span></td></tr>",
            Escaped(&threshold.expression),
            Escaped(&value_of(threshold)),
        )
    };
    format!(
        "<section class=\"side\"><h2>Thresholds</h2><div class=\"scroll\"><table><thead><tr><th scope=\"col\">what must be\
         </th><th scope=\"col\">what was</th><th scope=\"col\">verdict</th></tr></thead><tbody>{}</tbody></table>\
         </div></section>\n",
        thresholds.iter().map(row).collect::<String>(),
    )
}

/// What was found, with the unit that the expression has.
pub(super) fn value_of(threshold: &ThresholdResult) -> String {
    let Some(value) = threshold.value else { return "nothing was measured".to_owned() };
    let expression = threshold.expression.trim_end();
    let bare = expression.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit =
        if bare.ends_with(|c: char| c.is_ascii_digit()) { &expression[bare.len()..] } else { "" };
    let gap = if unit.is_empty() { "" } else { " " };
    format!("{}{gap}{unit}", number(value))
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
        "<section class=\"side\"><h2>The truth</h2><div class=\"pairs\">{}</div><div class=\"scroll\"><table><thead><tr>\
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
