//! Every series that a Prometheus of ours can hold: the code's metrics, what exporters add, what
//! recording rules make of them. It reads files and tables; nothing is scraped here.

use crate::{
    known, promql, rules,
    series::{KnownSeries, Series},
};
use anyhow::Context as _;
use platform::{
    metric::{Kind, Metric},
    telemetry,
};
use std::{collections::BTreeMap, fs, path::Path};

/// Those of ours that Prometheus scrapes, by the name of the job and of the binary.
const OWN_JOBS: [&str; 3] = ["gateway", "api", "canary"];

/// A metric of an exporter or another program, as a line of `deploy/prometheus/foreign-metrics.txt`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreign {
    /// The job that exports it.
    pub job: String,
    /// The name of the series.
    pub series: String,
    /// The names of its labels.
    pub labels: Vec<String>,
}

/// The series of the checkout at `root`. An error when a file cannot be read, or a recording rule is wrong.
pub fn load(root: &Path) -> anyhow::Result<KnownSeries> {
    let mut known_series = KnownSeries::new();
    for binary in OWN_JOBS {
        for metric in known::metrics(binary) {
            add_metric(&mut known_series, binary, &metric);
        }
    }
    let foreign = foreign(root)?;
    let jobs = foreign.iter().map(|metric| metric.job.as_str()).chain(OWN_JOBS);
    for job in jobs.map(str::to_owned).collect::<Vec<_>>() {
        add(&mut known_series, &job, "up", Series::default());
    }
    for metric in &foreign {
        let labels = metric.labels.iter().map(|label| (label.clone(), None)).collect();
        add(&mut known_series, &metric.job, &metric.series, Series { labels, counts: None });
    }
    // Prometheus evaluates a group's rules in turn, and so may one rule use another one above it.
    for rule in rules::recording(root)? {
        let mut series = promql::check(&rule.expr, &known_series)
            .map_err(|wrong| anyhow::anyhow!("{}: {}", rule.name, wrong.join("; ")))?;
        for (label, value) in rule.labels {
            series.labels.insert(label, Some(vec![value]));
        }
        series.counts = None;
        let same = known_series.get(&rule.name).map(|other| other.or(&series));
        known_series.insert(rule.name, same.unwrap_or(series));
    }
    add_alerts(&mut known_series, root)?;
    Ok(known_series)
}

/// What Prometheus itself writes of every alert that holds.
fn add_alerts(known_series: &mut KnownSeries, root: &Path) -> anyhow::Result<()> {
    let mut series = Series::default().with("instance").with("job");
    let states = ["pending", "firing"].map(str::to_owned).to_vec();
    series.labels.insert("alertstate".to_owned(), Some(states));
    for alert in rules::alerts(root)? {
        let own = [("alertname".to_owned(), alert.name)].into_iter().chain(alert.labels);
        for (label, value) in own {
            let values = series.labels.entry(label).or_insert_with(|| Some(Vec::new()));
            values.iter_mut().filter(|known| !known.contains(&value)).for_each(|known| {
                known.push(value.clone());
            });
        }
    }
    known_series.insert("ALERTS".to_owned(), series);
    Ok(())
}

fn add_metric(known_series: &mut KnownSeries, job: &str, metric: &Metric) {
    let values = |values: Vec<&str>| values.into_iter().map(str::to_owned).collect();
    let labels = metric.labels.iter();
    let labels: BTreeMap<_, _> =
        labels.map(|(name, known)| ((*name).to_owned(), known.known().map(values))).collect();
    let counts = Some(metric.kind != Kind::Gauge);
    let series = Series { labels, counts };
    if metric.kind != Kind::Histogram {
        return add(known_series, job, metric.name, series);
    }
    let of_time = metric.name.ends_with("_seconds");
    let bounds = if of_time { telemetry::SECONDS } else { telemetry::COUNTS };
    let mut bounds: Vec<String> = bounds.iter().map(f64::to_string).collect();
    bounds.push("+Inf".to_owned());
    let mut buckets = series.clone();
    buckets.labels.insert("le".to_owned(), Some(bounds));
    add(known_series, job, &format!("{}_bucket", metric.name), buckets);
    add(known_series, job, &format!("{}_sum", metric.name), series.clone());
    add(known_series, job, &format!("{}_count", metric.name), series);
}

/// A series as it is scraped: with the job and the instance it comes from.
fn add(known_series: &mut KnownSeries, job: &str, name: &str, series: Series) {
    let entry = known_series.entry(name.to_owned()).or_insert(series);
    entry.labels.insert("instance".to_owned(), None);
    let jobs = entry.labels.entry("job".to_owned()).or_insert_with(|| Some(Vec::new()));
    if let Some(jobs) = jobs.as_mut().filter(|jobs| jobs.iter().all(|known| known != job)) {
        jobs.push(job.to_owned());
    }
}

/// The metrics of exporters that rules and dashboards may use: reviewed by people, and compared by the
/// live test with what the exporters really say.
pub fn foreign(root: &Path) -> anyhow::Result<Vec<Foreign>> {
    let path = root.join("deploy/prometheus/foreign-metrics.txt");
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let mut words = line.split_whitespace().map(str::to_owned);
            let (job, series) = words.next().zip(words.next()).context(line.to_owned())?;
            Ok(Foreign { job, series, labels: words.collect() })
        })
        .collect()
}
