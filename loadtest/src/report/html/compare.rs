//! A comparison as one HTML file: the verdict, the table, and both runs on the same charts.

use super::{
    chart::{Across, Chart, ChartLine, Style},
    charts::{Group, OPS},
    figures, page,
    scene::Scene,
};
use crate::{
    measure::{Count, Op},
    report::{
        ComparedFigure, FigureVerdict, Point, Report, ReportComparison,
        text::{Escaped, FigureUnit},
    },
};

/// What is drawn of a point: its name, which colour, and the value where there is one.
type Pick<'a> = (&'a str, usize, &'a dyn Fn(&Point) -> Option<f64>);

impl ReportComparison {
    /// The page of this comparison of these two. Phases and faults on the charts are the later run's.
    pub fn to_html(&self, earlier: &Report, later: &Report) -> String {
        let scene = Scene { phases: &later.phases, marks: &later.marks };
        let regressions = self.regressions().count();
        let (class, word) = match regressions {
            0 => ("good", "No regression"),
            1 => ("bad", "1 regression"),
            _ => ("bad", "Regressions"),
        };
        let [before, after] = &self.names;
        let warning = |text: &String| format!("<p class=\"warning\">{}</p>", Escaped(text));
        let body = format!(
            "<header><h1>{name}</h1><ul class=\"facts\"><li>before (dashed): {}</li><li>after: {}</li></ul></header>\n\
             <section class=\"banner\"><div class=\"verdict {class}\"><strong>{word}</strong><span>{}</span></div>\
             </section>\n{warnings}{table}{figures}",
            Escaped(before),
            Escaped(after),
            self.summary(),
            name = Escaped(&later.scenario.name),
            warnings = self.warnings.iter().map(warning).collect::<String>(),
            table = table(&self.rows),
            figures = figures(&groups([earlier, later]), scene),
        );
        page(&format!("{} · {word}", later.scenario.name), &later.tool, &body)
    }
}

fn table(rows: &[ComparedFigure]) -> String {
    let row = |row: &ComparedFigure| {
        let class = match row.verdict {
            FigureVerdict::Better => "better",
            FigureVerdict::Worse => "worse",
            FigureVerdict::Noise | FigureVerdict::Unknown => "noise",
        };
        let [before, after] = row.values.map(|value| row.shown(value));
        format!(
            "<tr><th scope=\"row\">{}</th><td class=\"number\">{before}</td><td class=\"number\">{after}</td>\
             <td class=\"number {class}\">{}</td><td class=\"{class}\">{}</td></tr>",
            Escaped(&row.name),
            row.percent(),
            row.verdict.word().to_lowercase(),
        )
    };
    format!(
        "<section><h2>Before and after</h2><div class=\"scroll\"><table><thead><tr><th scope=\"col\">figure</th>\
         <th scope=\"col\" class=\"number\">before</th><th scope=\"col\" class=\"number\">after</th>\
         <th scope=\"col\" class=\"number\">change</th><th scope=\"col\">verdict</th></tr></thead><tbody>{}</tbody>\
         </table></div></section>\n",
        rows.iter().map(row).collect::<String>(),
    )
}

fn groups(both: [&Report; 2]) -> Vec<Group> {
    let mut latency = Vec::new();
    for (op, name) in OPS {
        let p50 = |point: &Point| Some(point.latencies.get(&op)?.p50);
        let p99 = |point: &Point| Some(point.latencies.get(&op)?.p99);
        let chart = over_time(both, &[("p50", 0, &p50), ("p99", 2, &p99)]);
        latency.push(Chart {
            title: format!("{name} latency"),
            unit: FigureUnit::Millis,
            log: true,
            ..chart
        });
        latency.push(curve(both, op, name));
    }
    let rate = |count: Count| {
        move |point: &Point| {
            let counted = point.counts.get(count.name()).copied().unwrap_or_default();
            Some(counted as f64 / point.seconds)
        }
    };
    let connections = |point: &Point| Some(point.connections as f64);
    let cpu = |point: &Point| {
        let used = point.targets.values().map(|target| target.cpu);
        (!point.targets.is_empty()).then(|| used.sum())
    };
    let mut other = vec![
        Chart {
            title: "Deliveries".to_owned(),
            unit: FigureUnit::PerSecond,
            ..over_time(both, &[("delivered", 0, &rate(Count::Delivered))])
        },
        Chart {
            title: "Messages".to_owned(),
            unit: FigureUnit::PerSecond,
            ..over_time(both, &[("acknowledged", 1, &rate(Count::Acked))])
        },
        Chart {
            title: "Connections".to_owned(),
            ..over_time(both, &[("connections", 1, &connections)])
        },
        Chart {
            title: "CPU of all servers".to_owned(),
            unit: FigureUnit::Cores,
            ..over_time(both, &[("cores", 4, &cpu)])
        },
    ];
    latency.retain(|chart| !chart.is_empty());
    other.retain(|chart| !chart.is_empty());
    let groups =
        [Group { title: "Latency", charts: latency }, Group { title: "Load", charts: other }];
    groups.into_iter().filter(|group| !group.charts.is_empty()).collect()
}

/// Both runs over time, at the places of the longer one.
fn over_time(both: [&Report; 2], picks: &[Pick<'_>]) -> Chart {
    let longer = both.into_iter().max_by_key(|report| report.series.len());
    let places: Vec<f64> =
        longer.into_iter().flat_map(|report| &report.series).map(|point| point.at).collect();
    let lines = picks.iter().flat_map(|(name, color, pick)| {
        runs(both).map(|(report, when, style)| ChartLine {
            name: format!("{name} {when}"),
            color: *color,
            style,
            values: places.iter().map(|at| pick(nearest(&report.series, *at)?)).collect(),
        })
    });
    let lines = lines.collect();
    Chart {
        title: String::new(),
        note: "Dashed: before. Phases and faults are the later run's.",
        x: Across::Seconds(places),
        unit: FigureUnit::Plain,
        log: false,
        lines,
    }
}

/// Both runs' percentile curves, whose places are the same as far as they go.
fn curve(both: [&Report; 2], op: Op, name: &str) -> Chart {
    let curves = runs(both).map(|(report, when, style)| {
        (report.curves.get(&op).map(Vec::as_slice).unwrap_or_default(), when, style)
    });
    let longest = curves.iter().map(|(curve, ..)| *curve).max_by_key(|curve| curve.len());
    let places: Vec<f64> = longest.into_iter().flatten().map(|point| point.percentile).collect();
    let line = |(curve, when, style): (&[_], &str, Style)| ChartLine {
        name: when.to_owned(),
        color: 4,
        style,
        values: (0..places.len())
            .map(|place| curve.get(place).map(|point: &crate::report::CurvePoint| point.millis))
            .collect(),
    };
    Chart {
        title: format!("{name} percentile curve"),
        note: "Dashed: before. The percentage of actions that took at most this long.",
        lines: curves.into_iter().map(line).collect(),
        x: Across::Percentiles(places),
        unit: FigureUnit::Millis,
        log: true,
    }
}

/// The later run first: it is drawn on top.
fn runs([earlier, later]: [&Report; 2]) -> [(&Report, &'static str, Style); 2] {
    [(later, "after", Style::Plain), (earlier, "before", Style::Dashed)]
}

/// The point that a moment is in; none after the run's end.
fn nearest(series: &[Point], at: f64) -> Option<&Point> {
    // Runs do not end their seconds at the same instant.
    let place = series.partition_point(|point| point.at < at - point.seconds / 2.0);
    series.get(place)
}
