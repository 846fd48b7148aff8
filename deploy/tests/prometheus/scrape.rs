//! Holds what processes say on `/metrics` against the tables in their code, in both directions.

use deploy::known;
use platform::metric::{Kind, Metric};
use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    process::{Command, Stdio},
};

type Labels = BTreeMap<String, String>;

/// Everything that is wrong with what the processes of a binary say; each text is a scrape.
pub fn faults(binary: &str, scrapes: &[String]) -> Vec<String> {
    let table = known::metrics(binary);
    let mut faults = BTreeSet::new();
    let mut seen: BTreeMap<&str, Vec<Labels>> = BTreeMap::new();
    for line in scrapes.iter().flat_map(|text| text.lines()) {
        if let Some(described) = line.strip_prefix("# TYPE ") {
            let (name, kind) = described.split_once(' ').unwrap_or_default();
            match table.iter().find(|metric| metric.name == name) {
                Some(metric) if metric.kind.as_str() == kind => {}
                Some(_) => _ = faults.insert(format!("{name} is a {kind}")),
                None => _ = faults.insert(format!("{name} is not in the table")),
            }
        } else if !line.starts_with('#') && !line.is_empty() {
            let (name, labels) = series(line);
            match table.iter().find(|metric| is_of(&name, metric)) {
                Some(metric) => seen.entry(metric.name).or_default().push(labels),
                None => _ = faults.insert(format!("{line} is of no metric in the table")),
            }
        }
    }
    for metric in &table {
        let samples = seen.get(metric.name).map_or(&[][..], Vec::as_slice);
        faults.extend(wrong_labels(metric, samples));
    }
    faults.into_iter().map(|fault| format!("{binary}: {fault}")).collect()
}

/// What `promtool check metrics` says of a scrape; nothing when it is content.
pub fn lint(scrape: &str) -> Option<String> {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is installed");
    promtool.stdin.take().expect("a pipe").write_all(scrape.as_bytes()).expect("it reads");
    let output = promtool.wait_with_output().expect("it ends");
    let said = [output.stdout, output.stderr].concat();
    (!output.status.success()).then(|| String::from_utf8_lossy(&said).into_owned())
}

fn wrong_labels(metric: &Metric, samples: &[Labels]) -> Vec<String> {
    let name = metric.name;
    if samples.is_empty() {
        return vec![format!("{name} is in the table and was never measured")];
    }
    let wanted: Vec<&str> = metric.labels.iter().map(|(label, _)| *label).collect();
    let mut faults = Vec::new();
    for sample in samples {
        let has: Vec<&str> = sample.keys().map(String::as_str).filter(|it| *it != "le").collect();
        if has.iter().collect::<BTreeSet<_>>() != wanted.iter().collect() {
            faults.push(format!("{name} has the labels {has:?}, in the table {wanted:?}"));
        }
    }
    for (label, values) in metric.labels {
        let Some(known) = values.known() else { continue };
        let seen: BTreeSet<&str> =
            samples.iter().filter_map(|sample| sample.get(*label)).map(String::as_str).collect();
        for value in seen.iter().filter(|value| !known.contains(*value)) {
            faults.push(format!("{name}: {label}={value:?} is not in the table"));
        }
        // Counters start at zero, all of them; others begin when something happens.
        for value in
            known.iter().filter(|value| metric.kind == Kind::Counter && !seen.contains(**value))
        {
            let alone = metric.labels.iter().all(|(_, values)| values.known().is_some());
            if alone {
                faults.push(format!("{name}: {label}={value:?} does not start at zero"));
            }
        }
    }
    faults
}

/// Whether a series is one of a metric's.
fn is_of(series: &str, metric: &Metric) -> bool {
    match metric.kind {
        Kind::Histogram => ["_bucket", "_sum", "_count"]
            .iter()
            .any(|end| series.strip_suffix(end) == Some(metric.name)),
        Kind::Counter | Kind::Seconds | Kind::Gauge => series == metric.name,
    }
}

/// Name and labels of a line such as `a_total{b="c",d="e"} 1`. Our labels' values hold no quotes.
fn series(line: &str) -> (String, Labels) {
    let Some((name, rest)) = line.split_once('{') else {
        return (line.split(' ').next().unwrap_or_default().to_owned(), Labels::new());
    };
    let labels = rest.rsplit_once('}').unwrap_or_default().0.split("\",");
    let labels = labels.filter_map(|pair| pair.split_once("=\""));
    let labels =
        labels.map(|(label, value)| (label.to_owned(), value.trim_end_matches('"').to_owned()));
    (name.to_owned(), labels.collect())
}
