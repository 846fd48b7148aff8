//! Checks Prometheus's rules and alerts, their unit tests and runbooks, and what Alertmanager does with
//! them. Whether an alert fires when it should is for `promtool test rules` to say; here is held that it
//! is asked.

use deploy::{known::root, promql, registry, rules, rules::Rule};
use serde_yaml_ng::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    time::Duration,
};

fn alerts() -> Vec<Rule> {
    rules::alerts(&root()).unwrap()
}

fn yaml(path: &str) -> Value {
    serde_yaml_ng::from_str(&fs::read_to_string(root().join(path)).unwrap()).unwrap()
}

/// `5m`, `1h` or `3d`.
fn duration(text: &str) -> Duration {
    let (number, unit) = text.split_at(text.len() - 1);
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        _ => panic!("{text} has no unit"),
    };
    Duration::from_secs(number.parse::<u64>().unwrap() * unit)
}

#[test]
fn every_rule_asks_for_what_there_is() {
    // Loading checks the recording rules.
    let registry = registry::load(&root()).unwrap();
    for alert in alerts() {
        let labels = promql::check(&alert.expr, &registry)
            .unwrap_or_else(|wrong| panic!("{}: {}", alert.name, wrong.join("; ")));
        for (name, text) in &alert.annotations {
            for asked in text.split("$labels.").skip(1) {
                let end = asked.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap();
                let (place, label) = (&alert.name, &asked[..end]);
                assert!(labels.labels.contains_key(label), "{place} {name}: no label {label}");
            }
        }
    }
}

#[test]
fn every_alert_says_how_urgent_it_is_and_what_to_do() {
    for alert in alerts() {
        let name = &alert.name;
        let severity = alert.labels.get("severity").map(String::as_str);
        assert!(matches!(severity, Some("page" | "ticket")), "{name}: severity {severity:?}");
        for annotation in ["summary", "description"] {
            let text = alert.annotations.get(annotation).map_or("", |text| text.trim());
            assert!(text.len() > 10, "{name} has no {annotation}");
        }
        let runbook = format!("docs/runbooks.md#{}", name.to_lowercase());
        assert_eq!(alert.annotations.get("runbook_url"), Some(&runbook), "{name}");
    }
}

#[test]
fn every_alert_has_a_runbook_and_every_runbook_an_alert() {
    let text = fs::read_to_string(root().join("docs/runbooks.md")).unwrap();
    let sections: Vec<_> =
        text.lines().filter_map(|line| line.strip_prefix("### ")).map(str::to_owned).collect();
    let mut once: Vec<String> = Vec::new();
    for alert in alerts() {
        if !once.contains(&alert.name) {
            once.push(alert.name);
        }
    }
    let (found, expected): (BTreeSet<_>, BTreeSet<_>) =
        (sections.iter().collect(), once.iter().collect());
    assert_eq!(found, expected);
    assert_eq!(sections.len(), found.len(), "a section stands there twice");
}

#[test]
fn queries_in_runbooks_ask_for_what_there_is() {
    let registry = registry::load(&root()).unwrap();
    let text = fs::read_to_string(root().join("docs/runbooks.md")).unwrap();
    let blocks = text.split("```promql\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let queries: Vec<_> = blocks.flat_map(str::lines).collect();
    assert!(queries.len() > 50, "only {} were found", queries.len());
    for query in queries {
        if let Err(wrong) = promql::check(query, &registry) {
            panic!("{query}: {}", wrong.join("; "));
        }
    }
}

#[test]
fn windows_hold_enough_samples_and_waits_are_sane() {
    let config = yaml("deploy/prometheus/prometheus.yml");
    let scrape = duration(config["global"]["scrape_interval"].as_str().unwrap());
    for rule in rules::all(&root()).unwrap() {
        for part in promql::uses(&rule.expr).unwrap() {
            // A rate needs two samples; four forgive a scrape that was lost.
            let over = part.over.unwrap_or(Duration::MAX);
            assert!(over >= 4 * scrape, "{}: {over:?} of {}", rule.name, part.series);
        }
        let lasting = rule.lasting.as_deref().map(duration);
        let sane = Duration::from_secs(60)..=Duration::from_secs(60 * 60);
        assert!(
            lasting.is_none_or(|lasting| sane.contains(&lasting)),
            "{}: {lasting:?}",
            rule.name
        );
    }
    // The windows of slo.yml add up a value a minute.
    let slo = yaml("deploy/prometheus/rules/slo.yml");
    assert_eq!(slo["groups"][0]["interval"].as_str(), Some("1m"));
    assert_eq!(slo["groups"].as_sequence().unwrap().len(), 1);
}

#[test]
fn every_alert_is_tried_firing_and_quiet() {
    let mut missing = BTreeSet::new();
    for alert in alerts() {
        let (name, severity) = (&alert.name, &alert.labels["severity"]);
        let parts = promql::uses(&alert.expr).unwrap();
        let mut tried = BTreeMap::from([("firing", false), ("quiet", false)]);
        for file in rules::tests(&root()).unwrap() {
            for group in rules::list(&file, "tests") {
                for case in rules::list(&group, "alert_rule_test") {
                    if rules::text(&case, "alertname").as_ref() != Some(name) {
                        continue;
                    }
                    let fired = rules::list(&case, "exp_alerts").into_iter().any(|fired| {
                        fired["exp_labels"]["severity"].as_str() == Some(severity)
                            && !fired["exp_annotations"].is_null()
                    });
                    // Silence proves nothing where there is nothing to be heard.
                    if fired || has_data(&group, &parts) {
                        tried.insert(if fired { "firing" } else { "quiet" }, true);
                    }
                }
            }
        }
        let not = tried.into_iter().filter(|(_, tried)| !tried);
        missing.extend(not.map(|(kind, _)| format!("{name} ({severity}) {kind}")));
    }
    assert!(missing.is_empty(), "not tried: {missing:?}");
}

/// Whether a test gives something to one of an alert's selectors, directly or through rules.
fn has_data(group: &Value, parts: &[promql::SeriesUse]) -> bool {
    let given = rules::list(group, "input_series");
    let given: BTreeSet<_> =
        given.iter().filter_map(|series| rules::text(series, "series")).collect();
    let given: BTreeSet<_> = given.iter().filter_map(|series| series.split('{').next()).collect();
    let recorded = rules::recording(&root()).unwrap();
    let mut asked: Vec<String> = parts.iter().map(|part| part.series.clone()).collect();
    let mut seen = BTreeSet::new();
    while let Some(series) = asked.pop() {
        if given.contains(series.as_str()) {
            return true;
        }
        if seen.insert(series.clone()) {
            let under = recorded.iter().filter(|rule| rule.name == series);
            asked.extend(
                under.flat_map(|rule| promql::uses(&rule.expr).unwrap()).map(|part| part.series),
            );
        }
    }
    false
}

#[test]
fn every_recording_rule_is_tried_and_used() {
    let cases: Vec<Value> = rules::tests(&root()).unwrap();
    let cases = cases.iter().flat_map(|file| rules::list(file, "tests"));
    let cases = cases.flat_map(|group| rules::list(&group, "promql_expr_test"));
    let mut tried = BTreeSet::new();
    for case in cases.filter(|case| !rules::list(case, "exp_samples").is_empty()) {
        let expr = rules::text(&case, "expr").unwrap();
        tried.extend(promql::uses(&expr).unwrap().into_iter().map(|part| part.series));
    }
    let used = used();
    for rule in rules::recording(&root()).unwrap() {
        assert_eq!(rule.name.split(':').count(), 3, "{}: level:metric:operations", rule.name);
        assert!(tried.contains(&rule.name), "{} is not tried", rule.name);
        assert!(used.contains(&rule.name), "nothing uses {}", rule.name);
    }
    for metric in registry::foreign(&root()).unwrap() {
        assert!(used.contains(&metric.series), "nothing uses {}", metric.series);
    }
}

/// The series that rules, dashboards and runbooks ask for.
fn used() -> BTreeSet<String> {
    let rules = rules::all(&root()).unwrap();
    let parts = rules.iter().flat_map(|rule| promql::uses(&rule.expr).unwrap());
    let mut used: BTreeSet<_> = parts.map(|part| part.series).collect();
    let dashboards = fs::read_dir(root().join("deploy/grafana/dashboards")).unwrap();
    let dashboards = dashboards.map(|entry| entry.unwrap().path());
    for file in dashboards.chain([root().join("docs/runbooks.md")]) {
        // By its words: dashboards' expressions have variables, and their own test reads them.
        let text = fs::read_to_string(file).unwrap();
        let words = text.split(|c: char| !c.is_alphanumeric() && c != '_' && c != ':');
        used.extend(words.map(str::to_owned));
    }
    used
}

#[test]
fn prometheus_scrapes_the_jobs_that_rules_know() {
    let config = yaml("deploy/prometheus/prometheus.yml");
    let jobs = rules::list(&config, "scrape_configs");
    let jobs: BTreeSet<_> = jobs.iter().filter_map(|job| rules::text(job, "job_name")).collect();
    let registry = registry::load(&root()).unwrap();
    let known = registry.get("up").unwrap().labels["job"].clone().unwrap();
    assert_eq!(jobs, known.into_iter().collect());
}

#[test]
fn alertmanager_knows_the_severities_and_silences_alerts_that_exist() {
    let config = yaml("deploy/alertmanager/alertmanager.yml");
    let names: BTreeSet<_> = alerts().into_iter().map(|alert| alert.name).collect();
    let jobs = registry::load(&root()).unwrap().get("up").unwrap().labels["job"].clone().unwrap();
    let mut severities = BTreeSet::new();
    let mut matchers: Vec<String> = Vec::new();
    for route in rules::list(&config["route"], "routes") {
        matchers.extend(texts(&route, "matchers"));
    }
    for matcher in &matchers {
        severities.extend(values(matcher, "severity"));
    }
    assert_eq!(severities, ["page", "ticket"].map(str::to_owned).into());
    for rule in rules::list(&config, "inhibit_rules") {
        for side in ["source_matchers", "target_matchers"] {
            for matcher in texts(&rule, side) {
                let (names_of, jobs_of) = (values(&matcher, "alertname"), values(&matcher, "job"));
                assert!(names_of.iter().all(|name| names.contains(name)), "{matcher}");
                assert!(jobs_of.iter().all(|job| jobs.contains(job)), "{matcher}");
            }
        }
    }
}

fn texts(of: &Value, name: &str) -> Vec<String> {
    rules::list(of, name).iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The values that a matcher such as `alertname =~ "A|B"` names of a label.
fn values(matcher: &str, label: &str) -> Vec<String> {
    let Some(rest) = matcher.strip_prefix(label) else { return Vec::new() };
    let value = rest.trim_start_matches([' ', '=', '~', '!']).trim_matches('"');
    value.split('|').map(str::to_owned).collect()
}
