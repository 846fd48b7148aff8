//! Checks the Grafana dashboards: that Grafana can load them, and that every query of theirs can find
//! something. Whether it does is tried by the live test; how they look is not known to anything here.

use deploy::{
    dashboards::{Dashboard, PanelQuery},
    known, promql, registry, rules,
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fs,
};

/// Panel types that every Grafana has built in.
const TYPES: [&str; 7] = ["timeseries", "stat", "gauge", "table", "bargauge", "row", "text"];
/// The JSON model of Grafana 10.0: older versions refuse nothing, newer ones migrate it.
const SCHEMA: u64 = 38;

fn dashboards() -> Vec<Dashboard> {
    let all = Dashboard::all().unwrap();
    assert!(all.len() >= 4, "{} dashboards", all.len());
    all
}

/// Panels that are no mere headings, each with where it stands.
fn shown(dashboard: &Dashboard) -> impl Iterator<Item = (String, &Value)> {
    let panels = dashboard.panels().iter().filter(|panel| panel["type"] != "row");
    panels.map(|panel| (format!("{}: {}", dashboard.file, panel["title"]), panel))
}

#[test]
fn every_dashboard_has_a_fixed_identity_and_form() {
    for dashboard in dashboards() {
        let json = &dashboard.json;
        let stem = dashboard.file.strip_suffix(".json").unwrap();
        assert_eq!(json["uid"], format!("switchboard-{stem}"), "links and bookmarks go by it");
        assert_eq!(json["id"], Value::Null, "{stem}: Grafana numbers them itself");
        assert_eq!(json["schemaVersion"], SCHEMA, "{stem}");
        assert_eq!(json["tags"], serde_json::json!(["switchboard"]), "{stem}: the links go by it");
        assert!(json["title"].as_str().is_some_and(|title| title.starts_with("Switchboard: ")));
        assert!(json["description"].as_str().is_some_and(|text| text.len() > 20), "{stem}");
        let ids: HashSet<u64> =
            dashboard.panels().iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
        assert_eq!(ids.len(), dashboard.panels().len(), "{stem}: panels of the same id");
        // One form, so that an export from Grafana shows only what was changed.
        let form = serde_json::to_string_pretty(&sorted(json)).unwrap() + "\n";
        assert!(dashboard.text == form, "{stem}: not indented by two, keys sorted");
    }
}

#[test]
fn panels_lie_side_by_side() {
    for dashboard in dashboards() {
        let mut taken = BTreeMap::new();
        for panel in dashboard.panels() {
            let title = panel["title"].as_str().unwrap();
            let at = |side: &str| panel["gridPos"][side].as_u64().unwrap();
            assert!(at("x") + at("w") <= 24 && at("w") > 0 && at("h") > 0, "{title}");
            for cell in (at("x")..at("x") + at("w"))
                .flat_map(|x| (at("y")..at("y") + at("h")).map(move |y| (x, y)))
            {
                let other = taken.insert(cell, title);
                assert_eq!(other, None, "{}: overlaps {title}", dashboard.file);
            }
        }
    }
}

#[test]
fn the_data_source_is_a_choice_everywhere() {
    for dashboard in dashboards() {
        let named =
            |name: &str| dashboard.variables().iter().find(|it| it["name"] == name).unwrap();
        assert_eq!(named("datasource")["type"], "datasource");
        assert_eq!(named("datasource")["query"], "prometheus");
        let instance = named("instance");
        assert!(instance["multi"] == true && instance["includeAll"] == true, "{}", dashboard.file);
        let mut sources = Vec::new();
        collect(&dashboard.json, "datasource", &mut sources);
        assert!(sources.len() > 20, "{}", dashboard.file);
        for source in sources {
            assert_eq!(source["uid"], "${datasource}", "{}: {source}", dashboard.file);
            assert_eq!(source["type"], "prometheus");
        }
        for (place, panel) in shown(&dashboard).filter(|(_, panel)| panel["type"] != "text") {
            let targets = panel["targets"].as_array().unwrap();
            let queries = targets.iter().chain([panel]).chain(dashboard.annotations());
            assert!(queries.into_iter().all(|it| it["datasource"].is_object()), "{place}");
        }
    }
}

#[test]
fn every_panel_says_what_it_shows() {
    for dashboard in dashboards() {
        let mut titles = HashSet::new();
        for (place, panel) in shown(&dashboard) {
            assert!(TYPES.iter().any(|known| panel["type"] == *known), "{place}");
            assert!(titles.insert(panel["title"].to_string()), "{place}: twice");
            let described = panel["description"].as_str().is_some_and(|text| text.ends_with('.'));
            assert!(described, "{place}: no description");
            let unit = panel["fieldConfig"]["defaults"]["unit"].as_str();
            let fits = unit.is_some_and(|unit| !unit.is_empty()) || panel["type"] == "text";
            assert!(fits, "{place}: no unit");
        }
        let links = dashboard.json["links"].as_array().unwrap();
        assert!(links.iter().any(|link| link["type"] == "dashboards"), "{}", dashboard.file);
        let description = dashboard.json["description"].as_str().unwrap();
        assert!(description.contains("docs/runbooks.md"), "{}", dashboard.file);
    }
}

#[test]
fn every_query_can_find_something() {
    let registry = registry::load(&known::root()).unwrap();
    let mut wrong = Vec::new();
    for query in dashboards().iter().flat_map(Dashboard::queries) {
        let expr = query.with_variables("1m").unwrap();
        if let Err(faults) = promql::check(&expr, &registry) {
            wrong.push(format!("{}: {}", query.place, faults.join("; ")));
            continue;
        }
        for used in promql::uses(&expr).unwrap() {
            let counts = registry.get(&used.series).and_then(|series| series.counts);
            let over_time = ["rate(", "increase("]
                .iter()
                .any(|call| expr.contains(&format!("{call}{}", used.series)));
            if counts == Some(true) && !over_time {
                wrong.push(format!("{}: {} only ever grows", query.place, used.series));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A line that does not say whose it is cannot be told from the next one, and a legend with a label
/// that the result does not have is empty.
#[test]
fn lines_are_named_by_the_labels_that_tell_them_apart() {
    let registry = registry::load(&known::root()).unwrap();
    let mut wrong = Vec::new();
    for dashboard in dashboards() {
        for (place, panel) in shown(&dashboard) {
            for target in panel["targets"].as_array().into_iter().flatten() {
                let Ok(has) =
                    promql::check(&query(target).with_variables("1m").unwrap(), &registry)
                else {
                    continue;
                };
                let legend = target["legendFormat"].as_str().unwrap_or_default();
                let named: BTreeSet<&str> = legend
                    .split("{{")
                    .skip(1)
                    .map(|rest| rest.split("}}").next().unwrap())
                    .collect();
                for label in named.iter().filter(|label| !has.labels.contains_key(**label)) {
                    wrong.push(format!("{place}: the legend's {label} is no label of the result"));
                }
                // One value tells nothing apart; an instance has one job.
                let several =
                    |values: &Option<Vec<String>>| values.as_ref().is_none_or(|it| it.len() > 1);
                let telling = has.labels.iter().filter(|(_, values)| several(values));
                let telling: BTreeSet<&str> = telling.map(|(label, _)| label.as_str()).collect();
                for label in
                    telling.iter().filter(|label| **label != "job" && !named.contains(**label))
                {
                    if panel["type"] == "timeseries" && !fixed(target, label) {
                        wrong.push(format!("{place}: lines differ by {label}, unseen: {legend}"));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn units_fit_what_is_shown() {
    for dashboard in dashboards() {
        for (place, panel) in shown(&dashboard).filter(|(_, panel)| panel["type"] != "table") {
            let unit = panel["fieldConfig"]["defaults"]["unit"].as_str().unwrap_or_default();
            for target in panel["targets"].as_array().into_iter().flatten() {
                let expr = target["expr"].as_str().unwrap();
                let (divided, rate) = (expr.contains(" / "), expr.contains("rate("));
                let wanted: &[&str] = match expr {
                    _ if divided => continue,
                    _ if expr.contains("histogram_quantile")
                        && expr.contains("_seconds_bucket") =>
                    {
                        &["s"]
                    }
                    _ if rate && expr.contains("_bytes") => &["Bps"],
                    _ if expr.contains("_bytes") => &["bytes"],
                    _ if rate && expr.contains("_seconds") => &["none", "percentunit", "reqps"],
                    _ if rate && !expr.contains("_bucket") => &["cps", "ops", "reqps", "short"],
                    _ => continue,
                };
                assert!(wanted.contains(&unit), "{place}: {unit} for {expr}");
            }
        }
    }
}

/// The files name each other: what compose mounts, where Prometheus answers, how often it scrapes.
#[test]
fn grafana_finds_dashboards_and_prometheus() {
    let yaml = |path: &str| -> serde_yaml_ng::Value {
        let text = fs::read_to_string(known::root().join(path)).unwrap();
        serde_yaml_ng::from_str(&text).unwrap()
    };
    let compose = yaml("docker-compose.yml");
    let grafana = &compose["services"]["grafana"];
    let mounts = grafana["volumes"].as_sequence().unwrap();
    let mounted = |from: &str, to: &str| {
        let wanted = format!("./deploy/grafana/{from}:{to}:ro");
        assert!(mounts.iter().any(|mount| *mount == *wanted), "compose does not mount {wanted}");
    };
    // Where Grafana looks without being told.
    mounted("provisioning", "/etc/grafana/provisioning");
    let providers = yaml("deploy/grafana/provisioning/dashboards/switchboard.yml");
    mounted("dashboards", providers["providers"][0]["options"]["path"].as_str().unwrap());

    let sources = yaml("deploy/grafana/provisioning/datasources/prometheus.yml");
    let source = &sources["datasources"][0];
    assert!(source["uid"] == "prometheus" && source["isDefault"] == true);
    let url = source["url"].as_str().unwrap();
    let service = url.strip_prefix("http://").and_then(|rest| rest.strip_suffix(":9090")).unwrap();
    assert!(compose["services"].get(service).is_some(), "{url} is no service of compose");
    let scraped = &yaml("deploy/prometheus/prometheus.yml")["global"]["scrape_interval"];
    assert_eq!(&source["jsonData"]["timeInterval"], scraped, "rates are taken over four of it");
}

/// Whoever is woken finds a picture of what the alert speaks of.
#[test]
fn every_metric_of_an_alert_is_on_a_dashboard() {
    let root = known::root();
    let recorded: BTreeMap<String, String> =
        rules::recording(&root).unwrap().into_iter().map(|rule| (rule.name, rule.expr)).collect();
    let measured = |exprs: Vec<String>| {
        let mut open = exprs;
        let mut found = BTreeSet::new();
        while let Some(expr) = open.pop() {
            for used in promql::uses(&expr).unwrap() {
                let histogram = ["_bucket", "_sum", "_count"];
                let name = histogram.iter().find_map(|end| used.series.strip_suffix(end));
                let name = name.unwrap_or(&used.series).to_owned();
                if found.insert(name) {
                    open.extend(recorded.get(&used.series).cloned());
                }
            }
        }
        found
    };
    let queries = dashboards().iter().flat_map(Dashboard::queries).collect::<Vec<_>>();
    let shown = measured(queries.iter().map(|query| query.with_variables("1m").unwrap()).collect());
    for alert in rules::alerts(&root).unwrap() {
        for metric in measured(vec![alert.expr.clone()]) {
            let alive = recorded.contains_key(&metric) || shown.contains(&metric);
            assert!(alive, "{}: no dashboard shows {metric}", alert.name);
        }
    }
}

fn query(target: &Value) -> PanelQuery {
    let expr = target["expr"].as_str().unwrap().to_owned();
    PanelQuery { place: String::new(), expr, instant: false }
}

/// Whether a query wants one value of a label only.
fn fixed(target: &Value, label: &str) -> bool {
    target["expr"].as_str().unwrap().contains(&format!("{label}=\""))
}

fn collect<'a>(value: &'a Value, key: &str, into: &mut Vec<&'a Value>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, key, into)),
        Value::Object(fields) => {
            into.extend(fields.get(key));
            fields.values().for_each(|field| collect(field, key, into));
        }
        _ => {}
    }
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(sorted).collect(),
        Value::Object(fields) => {
            let fields: BTreeMap<_, _> =
                fields.iter().map(|(key, it)| (key.clone(), sorted(it))).collect();
            fields.into_iter().collect()
        }
        other => other.clone(),
    }
}
