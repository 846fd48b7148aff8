//! The Grafana dashboards of `deploy/grafana/dashboards`: their panels, and every query that Grafana
//! would send. What a query means is not known here; see [`crate::promql`].

use crate::known;
use anyhow::{Context, Result};
use serde_json::Value;
use std::fs;

/// One file.
#[derive(Debug)]
pub struct Dashboard {
    /// Its name without the folder.
    pub file: String,
    /// The file's text.
    pub text: String,
    /// The same text, parsed.
    pub json: Value,
}

/// A query as it stands in a dashboard, with Grafana's variables in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PanelQuery {
    /// Where it stands, for messages: file, panel or annotation.
    pub place: String,
    /// The PromQL expression.
    pub expr: String,
    /// What it wants: the value now, or a line over time.
    pub instant: bool,
}

impl Dashboard {
    /// All of them, by name.
    pub fn all() -> Result<Vec<Self>> {
        let folder = known::root().join("deploy/grafana/dashboards");
        let entries = fs::read_dir(&folder).with_context(|| format!("{}", folder.display()))?;
        let mut all = Vec::new();
        for entry in entries {
            let path = entry?.path();
            let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let text = fs::read_to_string(&path).with_context(|| file.clone())?;
            let json = serde_json::from_str(&text).with_context(|| file.clone())?;
            all.push(Self { file, text, json });
        }
        all.sort_by(|a, b| a.file.cmp(&b.file));
        Ok(all)
    }

    /// Rows and panels in the order of the file.
    pub fn panels(&self) -> &[Value] {
        list(&self.json, "/panels")
    }

    /// The variables of the dashboard.
    pub fn variables(&self) -> &[Value] {
        list(&self.json, "/templating/list")
    }

    /// The annotations of the dashboard.
    pub fn annotations(&self) -> &[Value] {
        list(&self.json, "/annotations/list")
    }

    /// The queries of panels and annotations, and what the variables list their values from.
    pub fn queries(&self) -> Vec<PanelQuery> {
        let query = |what: &Value, expr: &Value, instant: bool| PanelQuery {
            place: format!("{}: {}", self.file, text(what)),
            expr: text(expr).to_owned(),
            instant,
        };
        let panels = self.panels().iter().flat_map(|panel| {
            list(panel, "/targets").iter().map(move |target| {
                query(&panel["title"], &target["expr"], target["instant"] == true)
            })
        });
        let annotations = self.annotations().iter();
        let annotations = annotations.map(|it| query(&it["name"], &it["expr"], false));
        let variables = self.variables().iter().filter(|it| it["type"] == "query").map(|it| {
            let values = query(&it["name"], &it["query"]["query"], true);
            // label_values(SELECTOR, LABEL): Grafana asks for the selector's series.
            let selector = values.expr.strip_prefix("label_values(");
            let selector =
                selector.and_then(|rest| rest.rsplit_once(',')).map(|(series, _)| series);
            PanelQuery { expr: selector.unwrap_or(&values.expr).to_owned(), ..values }
        });
        panels.chain(annotations).chain(variables).collect()
    }
}

impl PanelQuery {
    /// The query that Prometheus gets when every instance is chosen and rates are taken over
    /// `interval`. An error names a variable that is not known.
    pub fn with_variables(&self, interval: &str) -> Result<String> {
        let expr = self.expr.replace("$__rate_interval", interval).replace("$instance", ".+");
        anyhow::ensure!(!expr.contains('$'), "{}: unknown variable in {expr}", self.place);
        Ok(expr)
    }
}

fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
