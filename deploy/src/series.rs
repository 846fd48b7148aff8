//! Every series that a Prometheus of ours can hold: the code's metrics, what exporters add, what
//! recording rules make of them. It reads files and tables; nothing is scraped here.

use crate::{known, promql, rules};
use anyhow::Context as _;
use shared::{
    metric::{Kind, Metric},
    telemetry,
};
use std::{collections::BTreeMap, fs, path::Path};

/// Those of ours that Prometheus scrapes, by the name of the job and of the binary.
const OWN_JOBS: [&str; 3] = ["gateway", "api", "canary"];

/// What is known of a series: its labels, and the values of each where they are known before anything
/// happened. Of a part of an expression it says what the result may carry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Series {
    pub labels: BTreeMap<String, Option<Vec<String>>>,
    /// Whether it only grows; nothing for what others made, or was computed.
    pub counts: Option<bool>,
}

/// A metric of an exporter or another program, as a line of `deploy/prometheus/foreign-metrics.txt`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreign {
    pub job: String,
    pub series: String,
    pub labels: Vec<String>,
}

/// Everything that may be asked for, by the name of the series.
#[derive(Debug, Default)]
pub struct Registry(BTreeMap<String, Series>);

impl Registry {
    /// Of the checkout at `root`. An error when a file cannot be read, or a recording rule is wrong.
    pub fn load(root: &Path) -> anyhow::Result<Self> {
        let mut registry = Self::default();
        for binary in OWN_JOBS {
            for metric in known::metrics(binary) {
                registry.add_metric(binary, &metric);
            }
        }
        let foreign = foreign(root)?;
        let jobs = foreign.iter().map(|metric| metric.job.as_str()).chain(OWN_JOBS);
        for job in jobs.map(str::to_owned).collect::<Vec<_>>() {
            registry.add(&job, "up", Series::default());
        }
        for metric in &foreign {
            let labels = metric.labels.iter().map(|label| (label.clone(), None)).collect();
            registry.add(&metric.job, &metric.series, Series { labels, counts: None });
        }
        // Prometheus evaluates a group's rules in turn, and so may one rule use another one above it.
        for rule in rules::recording(root)? {
            let mut series = promql::check(&rule.expr, &registry)
                .map_err(|wrong| anyhow::anyhow!("{}: {}", rule.name, wrong.join("; ")))?;
            for (label, value) in rule.labels {
                series.labels.insert(label, Some(vec![value]));
            }
            series.counts = None;
            let same = registry.0.get(&rule.name).map(|other| other.or(&series));
            registry.0.insert(rule.name, same.unwrap_or(series));
        }
        registry.add_alerts(root)?;
        Ok(registry)
    }

    /// A series by its whole name, `_bucket` and the like included.
    pub fn get(&self, name: &str) -> Option<&Series> {
        self.0.get(name)
    }

    /// What Prometheus itself writes of every alert that holds.
    fn add_alerts(&mut self, root: &Path) -> anyhow::Result<()> {
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
        self.0.insert("ALERTS".to_owned(), series);
        Ok(())
    }

    fn add_metric(&mut self, job: &str, metric: &Metric) {
        let values = |values: Vec<&str>| values.into_iter().map(str::to_owned).collect();
        let labels = metric.labels.iter();
        let labels: BTreeMap<_, _> =
            labels.map(|(name, known)| ((*name).to_owned(), known.known().map(values))).collect();
        let counts = Some(metric.kind != Kind::Gauge);
        let series = Series { labels, counts };
        if metric.kind != Kind::Histogram {
            return self.add(job, metric.name, series);
        }
        let of_time = metric.name.ends_with("_seconds");
        let bounds = if of_time { telemetry::SECONDS } else { telemetry::COUNTS };
        let mut bounds: Vec<String> = bounds.iter().map(f64::to_string).collect();
        bounds.push("+Inf".to_owned());
        let mut buckets = series.clone();
        buckets.labels.insert("le".to_owned(), Some(bounds));
        self.add(job, &format!("{}_bucket", metric.name), buckets);
        self.add(job, &format!("{}_sum", metric.name), series.clone());
        self.add(job, &format!("{}_count", metric.name), series);
    }

    /// A series as it is scraped: with the job and the instance it comes from.
    fn add(&mut self, job: &str, name: &str, series: Series) {
        let entry = self.0.entry(name.to_owned()).or_insert(series);
        entry.labels.insert("instance".to_owned(), None);
        let jobs = entry.labels.entry("job".to_owned()).or_insert_with(|| Some(Vec::new()));
        if let Some(jobs) = jobs.as_mut().filter(|jobs| jobs.iter().all(|known| known != job)) {
            jobs.push(job.to_owned());
        }
    }
}

impl Series {
    /// What either may carry.
    pub fn or(&self, other: &Self) -> Self {
        let mut labels = self.labels.clone();
        for (name, values) in &other.labels {
            let both = match (labels.get(name), values) {
                (None, values) => values.clone(),
                (Some(Some(one)), Some(two)) => {
                    let new = two.iter().filter(|value| !one.contains(value));
                    Some(one.iter().chain(new).cloned().collect())
                }
                (Some(_), _) => None,
            };
            labels.insert(name.clone(), both);
        }
        let counts = if labels.is_empty() { None } else { self.counts.or(other.counts) };
        Self { labels, counts }
    }

    /// These labels, of which there may be more names than labels.
    pub fn only(&self, names: &[String]) -> Self {
        let mut labels = self.labels.clone();
        labels.retain(|name, _| names.contains(name));
        Self { labels, counts: self.counts }
    }

    /// All but these.
    pub fn without(&self, names: &[String]) -> Self {
        let mut labels = self.labels.clone();
        labels.retain(|name, _| !names.contains(name));
        Self { labels, counts: self.counts }
    }

    /// With a label more, of unknown values.
    pub fn with(mut self, name: &str) -> Self {
        self.labels.insert(name.to_owned(), None);
        self
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
