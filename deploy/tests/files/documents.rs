//! Checks the documents generated from the code.

use crate::generated;
use deploy::{documents, known};
use platform::{
    settings::{CommaSeparated, ListenAddr, Origin, TrustedNetwork},
    telemetry::LogFilter,
};
use std::{any::TypeId, collections::HashSet};

fn holds(name: &str, expected: &str) {
    generated::check(&format!("docs/{name}"), "documents", expected, |written| written == expected);
}

#[test]
fn the_configuration_is_what_the_binaries_take() {
    holds("configuration.md", &documents::configuration());
}

/// So that it means the same to all binaries.
#[test]
fn what_people_write_is_read_in_one_place() {
    for binary in known::BINARIES {
        let command = known::command(binary).unwrap();
        for setting in known::settings(&command) {
            let name = setting.get_env().unwrap().to_str().unwrap();
            assert!(
                setting.get_value_delimiter().is_none(),
                "{binary}: {name} is not a CommaSeparated list"
            );
            let expected = match name {
                "ALLOWED_ORIGINS" => TypeId::of::<CommaSeparated<Origin>>(),
                "TRUSTED_PROXIES" => TypeId::of::<CommaSeparated<TrustedNetwork>>(),
                "LOG" => TypeId::of::<LogFilter>(),
                name if name.ends_with("LISTEN") => TypeId::of::<ListenAddr>(),
                _ => continue,
            };
            assert!(setting.get_value_parser().type_id() == expected, "{binary}: {name}");
        }
    }
}

#[test]
fn the_metrics_are_what_the_processes_measure() {
    holds("metrics.md", &documents::metrics());
}

/// Names by the conventions of Prometheus, and none twice with another meaning.
#[test]
fn metrics_are_named_by_the_conventions() {
    use platform::metric::Kind;
    let mut seen = HashSet::new();
    for (_, _, table) in known::metric_tables() {
        for metric in table {
            let name = metric.name;
            assert!(seen.insert(name), "{name} is there twice");
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name}");
            assert!(!metric.help.is_empty() && !metric.help.ends_with('.'), "{name}: its help");
            let total = name.ends_with("_total");
            assert_eq!(total, metric.kind.as_str() == "counter", "{name}: _total is for counters");
            let buckets = name.ends_with("_seconds") || name.ends_with("_size");
            assert!(metric.kind != Kind::Histogram || buckets, "{name} would have no buckets");
        }
    }
}
