//! The charts of a report and their contents.

use super::chart::{Across, Chart, ChartLine, Style};
use crate::{
    measure::{Count, Op},
    report::{CurvePoint, LatencySums, Point, Report, TargetPoint, text::FigureUnit},
};

/// The charts under one heading.
pub(super) struct Group {
    pub id: &'static str,
    pub title: &'static str,
    pub charts: Vec<Chart>,
}

/// What operations are called on charts, the most interesting one first.
pub(super) const OPS: [(Op, &str); 5] = [
    (Op::Delivery, "Delivery"),
    (Op::Ack, "Acknowledgement"),
    (Op::Connect, "Connect"),
    (Op::Resume, "Resume"),
    (Op::History, "History page"),
];

/// All charts that have something to show.
pub(super) fn groups(report: &Report) -> Vec<Group> {
    let series = &report.series;
    let latency = OPS.iter().map(|(op, name)| latency(series, *op, &format!("{name} latency")));
    let groups = [
        ("latency", "Latency", latency.chain([curves(report)]).collect::<Vec<_>>()),
        ("throughput", "Throughput", vec![messages(series), deliveries(series)]),
        (
            "connections",
            "Connections and errors",
            vec![connections(series), changes(series), errors(series)],
        ),
        ("servers", "Servers and load tester", vec![cpu(series), memory(series), lag(series)]),
    ];
    let filled = groups.map(|(id, title, mut charts)| {
        charts.retain(|chart| !chart.is_empty());
        Group { id, title, charts }
    });
    filled.into_iter().filter(|group| !group.charts.is_empty()).collect()
}

pub(super) fn op_name(op: Op) -> &'static str {
    OPS.iter().find(|(known, _)| *known == op).map_or("Lag", |(_, name)| *name)
}

fn latency(series: &[Point], op: Op, title: &str) -> Chart {
    let line = |name: &str, color, style, of: fn(&LatencySums) -> f64| {
        let values = series.iter().map(|point| point.latencies.get(&op).map(of)).collect();
        ChartLine { name: name.to_owned(), color, style, values }
    };
    Chart {
        title: title.to_owned(),
        note: "Measured from the scheduled moment, on a logarithmic axis.",
        x: seconds(series),
        unit: FigureUnit::Millis,
        log: true,
        lines: vec![
            line("p50", 0, Style::Plain, |sums| sums.p50),
            line("p95", 1, Style::Plain, |sums| sums.p95),
            line("p99", 2, Style::Wide, |sums| sums.p99),
            line("max", 3, Style::Widest, |sums| sums.max),
        ],
    }
}

fn curves(report: &Report) -> Chart {
    let places = curve_places(report.curves.values());
    let line = |(color, (op, name)): (usize, &(Op, &str))| {
        let curve = report.curves.get(op)?;
        // All curves have the same places, as far as they go.
        let values = (0..places.len()).map(|place| curve.get(place).map(|point| point.millis));
        Some(ChartLine {
            name: (*name).to_owned(),
            color,
            style: Style::Plain,
            values: values.collect(),
        })
    };
    Chart {
        title: "Percentile curve".to_owned(),
        note: "Without warm-ups. The percentage of actions that took at most this long; each further nine has the same width.",
        lines: OPS.iter().enumerate().filter_map(line).collect(),
        x: Across::Percentiles(places),
        unit: FigureUnit::Millis,
        log: true,
    }
}

/// The places that curves have: the same ones, as far as each goes.
pub(super) fn curve_places<'a>(curves: impl Iterator<Item = &'a Vec<CurvePoint>>) -> Vec<f64> {
    let longest = curves.max_by_key(|curve| curve.len());
    longest.into_iter().flatten().map(|point| point.percentile).collect()
}

fn messages(series: &[Point]) -> Chart {
    let lines = [
        RateLine("sent", Count::Sent, 1, Style::Filled),
        RateLine("acknowledged", Count::Acked, 0, Style::Plain),
        RateLine("skipped", Count::Skipped, 3, Style::Dashed),
    ];
    rates(
        "Messages",
        "Messages sent and acknowledged per second. Skipped: messages that were due, but no device could send them.",
        series,
        &lines,
    )
}

fn deliveries(series: &[Point]) -> Chart {
    let lines = [
        RateLine("delivered", Count::Delivered, 0, Style::Filled),
        RateLine("typing, presence, read marks", Count::Ephemeral, 4, Style::Plain),
        RateLine("history pages", Count::Pages, 2, Style::Plain),
    ];
    rates("Deliveries", "Events received by devices per second.", series, &lines)
}

fn connections(series: &[Point]) -> Chart {
    let values = series.iter().map(|point| Some(point.connections as f64)).collect();
    Chart {
        title: "Connections".to_owned(),
        note: "Ready connections at the end of each second.",
        x: seconds(series),
        unit: FigureUnit::Plain,
        log: false,
        lines: vec![ChartLine {
            name: "connections".to_owned(),
            color: 1,
            style: Style::Filled,
            values,
        }],
    }
}

fn changes(series: &[Point]) -> Chart {
    let lines = [
        RateLine("became ready", Count::Connected, 0, Style::Plain),
        RateLine("lost without being meant to", Count::Dropped, 3, Style::Plain),
    ];
    rates(
        "Connects and drops",
        "Connections that became ready, and connections that ended unintentionally, per second.",
        series,
        &lines,
    )
}

fn errors(series: &[Point]) -> Chart {
    let values = series.iter().map(|point| Some(point.errors as f64 / point.seconds)).collect();
    Chart {
        title: "Errors".to_owned(),
        note: "Errors from the servers or the network, per second.",
        x: seconds(series),
        unit: FigureUnit::PerSecond,
        log: false,
        lines: vec![ChartLine {
            name: "errors".to_owned(),
            color: 3,
            style: Style::Filled,
            values,
        }],
    }
}

fn cpu(series: &[Point]) -> Chart {
    let own = series.iter().map(|point| Some(point.generator_cpu)).collect();
    let own =
        ChartLine { name: "load tester".to_owned(), color: 5, style: Style::Dashed, values: own };
    let mut lines = targets(series, |point| point.cpu);
    lines.push(own);
    Chart {
        title: "CPU".to_owned(),
        note: "Cores used by each server, and by the load tester with all its agents.",
        x: seconds(series),
        unit: FigureUnit::Cores,
        log: false,
        lines,
    }
}

fn memory(series: &[Point]) -> Chart {
    Chart {
        title: "Memory".to_owned(),
        note: "Resident bytes of each server.",
        x: seconds(series),
        unit: FigureUnit::Bytes,
        log: false,
        lines: targets(series, |point| point.memory),
    }
}

fn lag(series: &[Point]) -> Chart {
    Chart {
        note: "The load tester's own delay in starting actions. High lag makes all latencies doubtful.",
        ..latency(series, Op::Lag, "Generator lag")
    }
}

fn seconds(series: &[Point]) -> Across {
    Across::Seconds(series.iter().map(|point| point.at).collect())
}

/// A line's name, what it counts, its color and its style.
#[derive(Clone, Copy)]
struct RateLine(&'static str, Count, usize, Style);

/// A chart of what was counted each second.
fn rates(title: &str, note: &'static str, series: &[Point], lines: &[RateLine]) -> Chart {
    Chart {
        title: title.to_owned(),
        note,
        x: seconds(series),
        unit: FigureUnit::PerSecond,
        log: false,
        lines: lines.iter().filter_map(|line| rate(series, *line)).collect(),
    }
}

/// A count's rate; none when nothing was ever counted.
fn rate(series: &[Point], RateLine(name, count, color, style): RateLine) -> Option<ChartLine> {
    let counts: Vec<u64> = series
        .iter()
        .map(|point| point.counts.get(count.name()).copied().unwrap_or_default())
        .collect();
    let values = series.iter().zip(&counts).map(|(point, n)| Some(*n as f64 / point.seconds));
    let values = values.collect();
    let some = counts.iter().any(|n| *n > 0);
    some.then(|| ChartLine { name: name.to_owned(), color, style, values })
}

/// A line for each scraped server.
fn targets(series: &[Point], of: fn(&TargetPoint) -> f64) -> Vec<ChartLine> {
    let names: std::collections::BTreeSet<&String> =
        series.iter().flat_map(|point| point.targets.keys()).collect();
    let line = |(color, name): (usize, &String)| ChartLine {
        name: name.clone(),
        color,
        // The colours begin again; then dashes tell lines apart.
        style: if color < 5 { Style::Plain } else { Style::Dashed },
        values: series.iter().map(|point| point.targets.get(name).map(of)).collect(),
    };
    names.into_iter().enumerate().map(line).collect()
}
