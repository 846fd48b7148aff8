//! Two runs as one HTML file: what differs comes first, then all figures, both runs, and their charts over each
//! other. It judges nothing: the comparison did.

use super::{
    chart::{Across, Chart, ChartLine, Style},
    charts::{OPS, curve_places},
    contents, figures, page,
    scene::Scene,
};
use crate::{
    measure::{Count, Op},
    report::{
        Point, Report, RunOutcome,
        compare::{ComparedFigure, FigureVerdict, ReportComparison},
        html::charts::Group,
        text::{Escaped, FigureUnit, count},
    },
};

/// What the two runs are called.
const NAMES: [&str; 2] = ["before", "after"];

impl ReportComparison {
    /// The page about this comparison of these two, the earlier one first.
    pub(crate) fn to_html(&self, both: [&Report; 2]) -> String {
        let [earlier, later] = both;
        let name = match earlier.scenario.name == later.scenario.name {
            true => later.scenario.name.clone(),
            false => format!("{} and {}", earlier.scenario.name, later.scenario.name),
        };
        let scene = Scene { phases: &later.phases, marks: &later.marks };
        let rows = |verdicts: &[FigureVerdict]| -> Vec<&ComparedFigure> {
            verdicts
                .iter()
                .flat_map(|verdict| self.rows.iter().filter(|row| row.verdict == *verdict))
                .collect()
        };
        let body = [
            format!(
                "<header><h1>{}</h1><p>Run {}, compared with the earlier run {}.</p></header>\n",
                Escaped(&name),
                Escaped(&later.run),
                Escaped(&earlier.run)
            ),
            self.banner(),
            table(
                "differences",
                "Differences",
                &rows(&[FigureVerdict::Worse, FigureVerdict::Better]),
            ),
            table("one", "Only in one of the runs", &rows(&[FigureVerdict::Unknown])),
            runs(both),
            figures(&groups(both), scene),
            table("noise", "Within the tolerance", &rows(&[FigureVerdict::Noise])),
        ];
        let [head, rest @ ..] = &body;
        let rest = rest.concat();
        let body = format!("{head}{}{rest}", contents(&rest));
        page(&format!("{name} · comparison"), &later.tool, &body)
    }

    fn banner(&self) -> String {
        let worse = self.regressions().count();
        let (class, word) = if worse == 0 { ("good", "No regression") } else { ("bad", "Worse") };
        let warnings = self.warnings.iter().map(|warning| format!("<li>{}</li>", Escaped(warning)));
        let warnings = match self.warnings.as_slice() {
            [] => String::new(),
            _ => format!(
                "<div class=\"verdict doubtful\"><strong>Not alike</strong><span><ul>{}</ul></span></div>",
                warnings.collect::<String>()
            ),
        };
        format!(
            "<section class=\"banner\" id=\"verdict\"><div class=\"verdict {class}\"><strong>{word}</strong>\
             <span>{}</span></div>{warnings}</section>\n",
            Escaped(&self.summary())
        )
    }
}

/// Rows of the comparison; nothing where there are none.
fn table(id: &str, title: &str, rows: &[&ComparedFigure]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let row = |row: &&ComparedFigure| {
        let [before, after] = row.values.map(|value| row.shown(value));
        let class = match row.verdict {
            FigureVerdict::Better => "good",
            FigureVerdict::Worse => "bad",
            FigureVerdict::Noise | FigureVerdict::Unknown => "",
        };
        format!(
            "<tr><th scope=\"row\">{}</th><td class=\"number\">{before}</td><td class=\"number\">{after}</td>\
             <td class=\"number\">{}</td><td>{}</td><td><span class=\"mark-word {class}\">{}</span></td></tr>",
            Escaped(&row.name),
            row.percent(),
            row.change.map(|change| bar(change, class)).unwrap_or_default(),
            row.verdict.word().to_lowercase(),
        )
    };
    format!(
        "<section id=\"{id}\"><h2>{title}</h2><div class=\"scroll\"><table><thead><tr><th scope=\"col\">figure</th>\
         <th scope=\"col\" class=\"number\">before</th><th scope=\"col\" class=\"number\">after</th>\
         <th scope=\"col\" class=\"number\">change</th><th></th><th scope=\"col\">verdict</th></tr></thead>\
         <tbody>{}</tbody></table></div></section>\n",
        rows.iter().map(row).collect::<String>()
    )
}

/// Half the width of a bar: a change of 100 %, and all beyond.
const HALF: f64 = 60.0;

/// A change as a bar from the middle: to the right what grew.
fn bar(change: f64, class: &str) -> String {
    let wide = (change.abs() * HALF).clamp(1.0, HALF);
    let from = if change < 0.0 { HALF - wide } else { HALF };
    format!(
        "<span class=\"gauge {class}\"><svg class=\"change\" viewBox=\"0 0 {} 10\" aria-hidden=\"true\">\
         <rect x=\"{from:.1}\" width=\"{wide:.1}\" height=\"10\"/><path d=\"M{HALF} 0V10\"/></svg></span>",
        2.0 * HALF
    )
}

/// What each run was.
fn runs(both: [&Report; 2]) -> String {
    let fact = |name: &str, of: &dyn Fn(&Report) -> String| {
        let cells = both.map(of);
        if cells.iter().all(String::is_empty) {
            return String::new();
        }
        let differs = if cells[0] == cells[1] { "" } else { " differs" };
        let cells =
            cells.map(|cell| format!("<td class=\"words{differs}\">{}</td>", Escaped(&cell)));
        format!("<tr><th scope=\"row\">{name}</th>{}</tr>", cells.concat())
    };
    let facts = [
        fact("run", &|report| report.run.clone()),
        fact("started", &|report| super::started(report)),
        fact("outcome", &|report| outcome(report).to_owned()),
        fact("target", &|report| report.target.clone()),
        fact("server's version", &|report| report.environment.server.clone().unwrap_or_default()),
        fact("load tester", &|report| report.tool.clone()),
        fact("agents", &|report| report.agents.to_string()),
        fact("host", &|report| report.environment.host.clone()),
        fact("processor", &|report| report.environment.cpu.clone()),
        fact("cores", &|report| count(report.environment.cores as u64)),
        fact("accounts", &|report| count(report.scenario.people.accounts as u64)),
        fact("seed", &|report| report.scenario.seed.to_string()),
        fact("command", &|report| report.environment.command.clone()),
    ];
    format!(
        "<section id=\"runs\"><h2>Both runs</h2><div class=\"scroll\"><table><thead><tr><th></th><th scope=\"col\">{}</th>\
         <th scope=\"col\">{}</th></tr></thead><tbody>{}</tbody></table></div></section>\n",
        NAMES[0],
        NAMES[1],
        facts.concat()
    )
}

fn outcome(report: &Report) -> &'static str {
    match report.outcome {
        RunOutcome::Passed => "passed",
        RunOutcome::Failed => "failed",
        RunOutcome::GeneratorLimited => "no result",
        RunOutcome::Interrupted => "interrupted",
    }
}

/// The charts of both, over each other.
fn groups(both: [&Report; 2]) -> Vec<Group> {
    let latencies = OPS.iter().flat_map(|(op, name)| {
        [
            over_time(both, format!("{name} latency, p99"), FigureUnit::Millis, &|point| {
                Some(point.latencies.get(op)?.p99)
            }),
            curves(both, *op, format!("{name}: percentile curve")),
        ]
    });
    let rate = |title: &str, of: Count| {
        over_time(both, title.to_owned(), FigureUnit::PerSecond, &|point| {
            Some(point.counts.get(of.name()).copied().unwrap_or_default() as f64 / point.seconds)
        })
    };
    let others = vec![
        rate("Acknowledged", Count::Acked),
        rate("Delivered", Count::Delivered),
        over_time(both, "Connections".to_owned(), FigureUnit::Plain, &|point| {
            Some(point.connections as f64)
        }),
        over_time(both, "Errors".to_owned(), FigureUnit::PerSecond, &|point| {
            Some(point.errors as f64 / point.seconds)
        }),
        over_time(both, "CPU of all servers".to_owned(), FigureUnit::Cores, &|point| {
            (!point.targets.is_empty()).then(|| point.targets.values().map(|one| one.cpu).sum())
        }),
        over_time(both, "CPU of the load tester".to_owned(), FigureUnit::Cores, &|point| {
            Some(point.generator_cpu)
        }),
    ];
    let groups = [
        Group { id: "latency", title: "Latency", charts: latencies.collect() },
        Group { id: "throughput", title: "Throughput and cost", charts: others },
    ];
    let filled = groups.map(|mut group| {
        group.charts.retain(|chart| !chart.is_empty());
        group
    });
    filled.into_iter().filter(|group| !group.charts.is_empty()).collect()
}

/// A figure of both over time. The places are those of the longer run.
fn over_time(
    both: [&Report; 2],
    title: String,
    unit: FigureUnit,
    of: &dyn Fn(&Point) -> Option<f64>,
) -> Chart {
    let longer = both.into_iter().max_by_key(|report| report.series.len());
    let places: Vec<f64> =
        longer.into_iter().flat_map(|report| &report.series).map(|point| point.at).collect();
    let value = |report: &Report, place: f64| {
        let next = report.series.partition_point(|point| point.at < place - 1e-6);
        let point = report.series.get(next)?;
        (point.at - point.seconds < place).then(|| of(point)).flatten()
    };
    let lines = |place: usize| places.iter().map(|at| value(both[place], *at)).collect();
    Chart {
        title,
        note: "",
        unit,
        log: unit == FigureUnit::Millis,
        lines: two_lines([lines(0), lines(1)]),
        x: Across::Seconds(places.clone()),
    }
}

fn curves(both: [&Report; 2], op: Op, title: String) -> Chart {
    let curves = both.map(|report| report.curves.get(&op));
    let places = curve_places(curves.into_iter().flatten());
    let values = |place: usize| {
        let curve = curves[place];
        (0..places.len()).map(|at| curve?.get(at).map(|point| point.millis)).collect()
    };
    Chart {
        title,
        note: "",
        unit: FigureUnit::Millis,
        log: true,
        lines: two_lines([values(0), values(1)]),
        x: Across::Percentiles(places.clone()),
    }
}

/// The later run is drawn over the earlier one, which is pale and wide.
fn two_lines([before, after]: [Vec<Option<f64>>; 2]) -> Vec<ChartLine> {
    let line = |name: &str, color, style, values| ChartLine {
        name: name.to_owned(),
        color,
        style,
        values,
    };
    vec![line(NAMES[1], 1, Style::Plain, after), line(NAMES[0], 2, Style::Wide, before)]
}

#[cfg(test)]
mod tests {
    use crate::report::{
        compare,
        sample::{TRAP, sample},
    };

    #[test]
    fn what_differs_comes_first_and_both_runs_are_there() {
        let (before, mut after) = (sample(), sample());
        after.run = "m2p1".to_owned();
        after.environment.server = Some("0.2.0".to_owned());
        after.truth.repeated = 2;
        for used in after.targets.values_mut() {
            used.cpu_seconds *= 0.5;
        }
        let page = compare(&before, &after, 0.1).to_html([&before, &after]);
        let at =
            |text: &str| page.find(text).unwrap_or_else(|| panic!("{text} is not there: {page}"));
        assert!(at("<strong>Worse</strong>") < at(">repeated<"));
        assert!(at(">repeated<") < at(">gateway-1: CPU-s per million<"), "worse, then better");
        assert!(at(">gateway-1: CPU-s per million<") < at("<h2>Both runs</h2>"));
        assert!(
            at("<h2>Both runs</h2>") < at("<figure")
                && at("<figure") < at("<h2>Within the tolerance</h2>")
        );
        assert!(
            at("<td class=\"words differs\">0.1.0</td><td class=\"words differs\">0.2.0</td>") > 0
        );
        assert_eq!(page.matches("<li><svg").count(), 2 * page.matches("<figure").count());
        let same = compare(&before, &before, 0.1).to_html([&before, &before]);
        assert!(
            same.contains("<strong>No regression</strong>") && !same.contains("id=\"differences\"")
        );
    }

    #[test]
    fn nothing_from_outside_becomes_markup() {
        let (mut before, after) = (sample(), sample());
        for text in
            [&mut before.scenario.name, &mut before.run, &mut before.target, &mut before.tool]
        {
            TRAP.clone_into(text);
        }
        TRAP.clone_into(&mut before.environment.command);
        before.targets.insert(TRAP.to_owned(), before.targets["gateway-1"]);
        before.series.truncate(3);
        for page in [
            compare(&before, &after, 0.1).to_html([&before, &after]),
            compare(&after, &before, 0.1).to_html([&after, &before]),
        ] {
            assert!(!page.contains("<script>alert") && !page.contains("NaN"));
            assert_eq!(page.matches("</script>").count(), page.matches("<script").count());
        }
    }
}
