//! Reads Prometheus's rule files and the unit tests beside them. What they say is judged elsewhere: the
//! expressions by [`crate::promql`], all of it by the tests.

use anyhow::Context as _;
use serde_yaml_ng::Value;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// A recording rule or an alert.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Of the series that it records, or of the alert.
    pub name: String,
    /// Whether it is an alert.
    pub alert: bool,
    /// The PromQL expression.
    pub expr: String,
    /// How long it must hold before the alert fires, as written.
    pub lasting: Option<String>,
    /// The labels that it sets.
    pub labels: BTreeMap<String, String>,
    /// The annotations of an alert.
    pub annotations: BTreeMap<String, String>,
    /// The name of its group.
    pub group: String,
    /// The file that it stands in.
    pub file: PathBuf,
}

/// Every rule of the checkout at `root`, files by name and each in its own order.
pub fn all(root: &Path) -> anyhow::Result<Vec<Rule>> {
    let mut rules = Vec::new();
    for file in files(&root.join("deploy/prometheus/rules"))? {
        for group in list(&yaml(&file)?, "groups") {
            let name = text(&group, "name").with_context(|| file.display().to_string())?;
            for rule in list(&group, "rules") {
                rules.push(read(&rule, &name, &file)?);
            }
        }
    }
    Ok(rules)
}

/// The recording rules alone.
pub fn recording(root: &Path) -> anyhow::Result<Vec<Rule>> {
    Ok(all(root)?.into_iter().filter(|rule| !rule.alert).collect())
}

/// The alerts alone.
pub fn alerts(root: &Path) -> anyhow::Result<Vec<Rule>> {
    Ok(all(root)?.into_iter().filter(|rule| rule.alert).collect())
}

/// The files with the rules' unit tests, parsed: `promtool test rules` runs them.
pub fn tests(root: &Path) -> anyhow::Result<Vec<Value>> {
    files(&root.join("deploy/prometheus/tests"))?.iter().map(|file| yaml(file)).collect()
}

/// A list of this name in a mapping; empty when there is none.
pub fn list(of: &Value, name: &str) -> Vec<Value> {
    of.get(name).and_then(Value::as_sequence).cloned().unwrap_or_default()
}

/// A text of this name in a mapping.
pub fn text(of: &Value, name: &str) -> Option<String> {
    of.get(name).and_then(Value::as_str).map(str::to_owned)
}

fn read(rule: &Value, group: &str, file: &Path) -> anyhow::Result<Rule> {
    let (alert, record) = (text(rule, "alert"), text(rule, "record"));
    let is_alert = alert.is_some();
    let name = alert.or(record).with_context(|| format!("a rule in {group} has no name"))?;
    Ok(Rule {
        alert: is_alert,
        expr: text(rule, "expr").with_context(|| format!("{name} has no expr"))?,
        lasting: text(rule, "for"),
        labels: texts(rule, "labels"),
        annotations: texts(rule, "annotations"),
        group: group.to_owned(),
        file: file.to_owned(),
        name,
    })
}

fn texts(of: &Value, name: &str) -> BTreeMap<String, String> {
    let pairs = of.get(name).and_then(Value::as_mapping).into_iter().flatten();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    pairs.filter_map(|(name, value)| text(name).zip(text(value))).collect()
}

fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    let mut paths = paths.collect::<Result<Vec<_>, _>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "yml"));
    // Prometheus loads them in any order; a fixed one makes for the same answer everywhere.
    paths.sort();
    Ok(paths)
}

fn yaml(file: &Path) -> anyhow::Result<Value> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    serde_yaml_ng::from_str(&text).with_context(|| file.display().to_string())
}
