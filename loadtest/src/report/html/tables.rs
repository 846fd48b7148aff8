//! The tables of a report: phases, errors and closes, faults, servers, the scenario.

use super::charts::{OPS, op_name};
use crate::{
    measure::{Count, Op},
    report::{
        FaultMark, LatencySums, Report, RunEnvironment, Sums,
        text::{Escaped, FigureUnit, count, decimals, millis, moment, number},
    },
};
use std::collections::BTreeMap;

/// A table with a heading. Cells are HTML; all but the first of a row are numbers.
fn table(id: &str, title: &str, heads: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let class = |place: usize| if place == 0 { "" } else { " class=\"number\"" };
    let head = heads
        .iter()
        .enumerate()
        .map(|(place, head)| format!("<th scope=\"col\"{}>{head}</th>", class(place)));
    let body = rows.map(|cells| {
        let cells = cells.iter().enumerate().map(|(place, cell)| match place {
            0 => format!("<th scope=\"row\">{cell}</th>"),
            _ => format!("<td class=\"number\">{cell}</td>"),
        });
        format!("<tr>{}</tr>", cells.collect::<String>())
    });
    format!(
        "<section id=\"{id}\"><h2>{title}</h2><div class=\"scroll\"><table><thead><tr>{}</tr></thead><tbody>{}</tbody></table>\
         </div></section>\n",
        head.collect::<String>(),
        body.collect::<String>(),
    )
}

/// How much was done in each phase, and in all that count.
pub(super) fn phases(report: &Report) -> String {
    let heads = [
        "phase",
        "from",
        "lasted",
        "sent/s",
        "acked/s",
        "delivered/s",
        "skipped",
        "connected",
        "dropped",
        "errors",
    ];
    let row = |name: String, from: String, sums: &Sums| {
        vec![
            name,
            from,
            format!("{} s", number(sums.seconds)),
            number(sums.per_second(Count::Sent)),
            number(sums.per_second(Count::Acked)),
            number(sums.per_second(Count::Delivered)),
            count(sums.counted(Count::Skipped)),
            count(sums.counted(Count::Connected)),
            count(sums.counted(Count::Dropped)),
            count(sums.errors.values().sum()),
        ]
    };
    let each = report.phases.iter().map(|phase| {
        let warmup = if phase.warmup { " <small>warm-up</small>" } else { "" };
        row(format!("{}{warmup}", Escaped(&phase.name)), moment(phase.from), &phase.sums)
    });
    let total = row("<b>total, without warm-ups</b>".to_owned(), String::new(), &report.total);
    table("phases", "Phases", &heads, each.chain([total]))
}

/// Each operation's latencies in each phase, and in all that count.
pub(super) fn latencies(report: &Report) -> String {
    let heads = ["operation", "count", "mean", "p50", "p90", "p95", "p99", "p99.9", "max"];
    let row = |name: String, sums: &LatencySums| {
        let LatencySums { count: records, mean, p50, p90, p95, p99, p999, max } = *sums;
        let millis = [mean, p50, p90, p95, p99, p999, max].map(millis);
        [name, count(records)].into_iter().chain(millis).collect()
    };
    let of = |op: Op| {
        let each = report.phases.iter().filter_map(move |phase| {
            let name = format!("{}, {}", op_name(op), Escaped(&phase.name));
            Some(row(name, phase.sums.latencies.get(&op)?))
        });
        let total = report.total.latencies.get(&op);
        let total = total.map(|total| row(format!("<b>{}, total</b>", op_name(op)), total));
        each.chain(total)
    };
    table(
        "latencies",
        "Latencies",
        &heads,
        OPS.iter().map(|(op, _)| *op).chain([Op::Lag]).flat_map(of),
    )
}

/// Errors and closes by kind, the frequent ones first.
pub(super) fn kinds(title: &str, kinds: &BTreeMap<String, u64>) -> String {
    if kinds.is_empty() {
        return String::new();
    }
    let mut rows: Vec<_> = kinds.iter().collect();
    rows.sort_by_key(|(_, n)| std::cmp::Reverse(**n));
    let rows = rows.into_iter().map(|(kind, n)| vec![Escaped(kind).to_string(), count(*n)]);
    table(&title.to_lowercase(), title, &["what was said", "times"], rows)
}

/// What was done to the servers.
pub(super) fn marks(marks: &[FaultMark]) -> String {
    if marks.is_empty() {
        return String::new();
    }
    let rows = marks.iter().map(|mark| {
        let recovery = mark.recovery.map(|seconds| format!("{} s", decimals(seconds, 1)));
        vec![
            Escaped(&mark.name).to_string(),
            moment(mark.at),
            Escaped(&mark.outcome).to_string(),
            recovery.unwrap_or_else(|| "not seen".to_owned()),
        ]
    });
    table("faults", "Faults", &["fault", "at", "result", "recovered after"], rows)
}

/// The CPU time from which on a figure per delivery says something: what is idle costs some hundredths of a
/// second, too, and systems count in these.
const ENOUGH_CPU_SECONDS: f64 = 1.0;

/// So many CPU seconds per million deliveries; none where that says nothing.
pub(super) fn cpu_per_million(report: &Report, used: f64) -> Option<f64> {
    let delivered = report.total.counted(Count::Delivered);
    (used >= ENOUGH_CPU_SECONDS && delivered > 0).then(|| used * 1e6 / delivered as f64)
}

/// What servers and load tester used in the phases that count.
pub(super) fn usage(report: &Report) -> String {
    let Report { generator, targets, .. } = report;
    let row = |name: String, cpu_seconds: f64, memory: f64| {
        let each = cpu_per_million(report, cpu_seconds).map(number);
        vec![
            name,
            if cpu_seconds < 0.005 { "&lt; 0.01".to_owned() } else { number(cpu_seconds) },
            each.unwrap_or_else(|| "<small>too little to say</small>".to_owned()),
            FigureUnit::Bytes.text(memory),
        ]
    };
    let servers = targets.iter().map(|(name, used)| {
        row(Escaped(name).to_string(), used.cpu_seconds, used.max_memory_bytes)
    });
    let agents = if report.agents == 1 { "" } else { ", all agents" };
    let own = row(
        format!("<b>load tester{agents}</b>"),
        generator.cpu_seconds,
        generator.max_memory_bytes as f64,
    );
    let heads = ["process", "CPU seconds", "per million deliveries", "peak memory"];
    let lag = format!(
        "<p class=\"note\">The load tester began its work {} late at the median, {} at p99, {} at most.{}</p>",
        millis(generator.lag.p50),
        millis(generator.lag.p99),
        millis(generator.lag.max),
        match generator.clock_uncertainty_ms {
            0.0 => String::new(),
            off => format!(" The agents' clocks may differ by {}.", millis(off)),
        },
    );
    table("usage", "CPU and memory", &heads, servers.chain([own]))
        .replace("</section>", &format!("{lag}</section>"))
}

/// The scenario, to run it again. What is at rest is left out.
pub(super) fn scenario(report: &Report) -> String {
    let text = toml::to_string(&report.scenario).unwrap_or_default();
    let at_rest = |line: &&str| !line.ends_with(" = 0.0") && !line.ends_with("warmup = false");
    let text = text.lines().filter(at_rest).collect::<Vec<_>>().join("\n");
    format!(
        "<section id=\"scenario\"><h2>Scenario</h2><details open><summary>TOML</summary><pre><code>{}</code></pre></details></section>\n",
        Escaped(&text)
    )
}

/// Who compares reports in a month needs to know how this one came about.
pub(super) fn environment(report: &Report) -> String {
    let RunEnvironment { command, host, kernel, cpu, cores, server } = &report.environment;
    let server = server.as_deref().unwrap_or_default();
    let machine =
        if report.agents == 1 { "load tester's machine" } else { "coordinator's machine" };
    let cores = if *cores == 0 { String::new() } else { cores.to_string() };
    let rows = [
        ("command", format!("<code>{}</code>", Escaped(command)), command.as_str()),
        ("server's version", Escaped(server).to_string(), server),
        ("load tester's version", Escaped(&report.tool).to_string(), &report.tool),
        (machine, Escaped(host).to_string(), host),
        ("its cores", cores.clone(), &cores),
        ("its processor", Escaped(cpu).to_string(), cpu),
        ("its kernel", Escaped(kernel).to_string(), kernel),
    ];
    let rows = rows.iter().filter(|(_, _, text)| !text.is_empty()).map(|(name, cell, _)| {
        format!("<tr><th scope=\"row\">{name}</th><td class=\"words\">{cell}</td></tr>")
    });
    format!(
        "<section id=\"environment\"><h2>Where and how</h2><div class=\"scroll\"><table><tbody>{}</tbody></table></div>\
         </section>\n",
        rows.collect::<String>()
    )
}
