//! What is shipped is right, and what is wrong is told so that it can be put right.

use super::{
    keys::{Key, KeyType, SCENARIO},
    shipped::ShippedScenario,
    *,
};
use crate::scenario::{PhaseRate, TextBytes};
use std::{collections::BTreeSet, time::Duration};

fn mistakes(text: &str, sets: &[&str]) -> String {
    let source = ScenarioSource { name: "bad.toml".to_owned(), text: text.to_owned() };
    let sets: Vec<ScenarioOverride> = sets.iter().map(|set| set.parse().unwrap()).collect();
    read(&source, &sets).map(|_| String::new()).unwrap_or_else(|mistakes| mistakes.to_string())
}

/// As little as a scenario can have.
const LEAST: &str = r#"name = "least"
[people]
accounts = 2
[[phases]]
name = "only"
duration = "1s"
connections = 2
"#;

#[test]
fn what_is_shipped_can_be_run() {
    for ShippedScenario { name, text } in SHIPPED {
        let scenario = shipped(name).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        assert_eq!(scenario.name, name);
        assert!(!scenario.description.is_empty() && !scenario.thresholds.is_empty(), "{name}");
        assert!(text.contains(&format!("loadtest run {name} --url")), "{name} shows no command");
        assert!(text.contains("Raise:") || name == "smoke", "{name} does not say what to raise");
        let length: Duration = scenario.phases.iter().map(|phase| phase.duration).sum();
        assert!(length <= Duration::from_secs(75) || name == "soak", "{name} takes {length:?}");
    }
}

#[test]
fn every_file_is_shipped() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios");
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name());
    let files: BTreeSet<String> = files.map(|file| file.into_string().unwrap()).collect();
    let shipped = SHIPPED.iter().map(|shipped| format!("{}.toml", shipped.name));
    assert_eq!(files, shipped.collect());
}

#[test]
fn a_scenario_written_by_itself_is_read_again() {
    for ShippedScenario { name, .. } in SHIPPED {
        let scenario = shipped(name).unwrap();
        let text = toml::to_string(&scenario).unwrap();
        let again = read(&ScenarioSource { name: name.to_owned(), text }, &[]).unwrap();
        assert_eq!(again, scenario, "{name}");
    }
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    for (text, told) in [
        (include_str!("tests/syntax.toml"), include_str!("tests/syntax.txt")),
        (include_str!("tests/shape.toml"), include_str!("tests/shape.txt")),
        (include_str!("tests/sense.toml"), include_str!("tests/sense.txt")),
    ] {
        assert_eq!(mistakes(text, &[]), told.trim_end());
    }
    assert_eq!(
        mistakes("", &[]),
        "\
bad.toml: name is missing: text in quotes
bad.toml: people is missing: a table of accounts, dialects, slow
bad.toml: phases is missing: one or more [[…]] tables of name, duration, connections, warmup, \
bytes, messages, edits, deletes, typing, reads, history, reconnects, churn, storm, closed"
    );
    assert_eq!(mistakes(LEAST, &[]), "");
    for early in ["storm = 0.5", "closed = { senders = 1, window = 1 }"] {
        let told = mistakes(&format!("{LEAST}{early}\n"), &[]);
        assert!(told.contains("set connections in an earlier phase"), "{told}");
    }
}

#[test]
fn a_name_that_is_no_scenario() {
    let wrong = |name: &str| ScenarioSource::open(name).unwrap_err().to_string();
    let told = wrong("fanuot");
    assert_eq!(
        told,
        "fanuot: no shipped scenario has this name; did you mean fanout? (a file ends in .toml)"
    );
    assert!(wrong("./nowhere.toml").starts_with("./nowhere.toml: No such file"));
}

#[test]
fn set_changes_values() {
    let source = ScenarioSource::open("mix").unwrap();
    let sets = [
        "people.accounts=500",
        "phases.0.connections=7",
        "phases.afternoon.duration=1m",
        "phases.afternoon.messages={ from = 1, to = 2 }",
        "phases.2.bytes=99",
        "people.slow.share=0.25",
        "people.slow.bytes_per_second=100",
        "thresholds=[]",
        "description=none",
    ];
    let sets: Vec<ScenarioOverride> = sets.iter().map(|set| set.parse().unwrap()).collect();
    let scenario = read(&source, &sets).unwrap();
    assert_eq!(scenario.people.accounts, 500);
    assert_eq!(scenario.phases[0].connections, Some(7));
    assert_eq!(scenario.phases[1].duration, Duration::from_secs(60));
    assert_eq!(scenario.phases[1].messages, PhaseRate { from: 1.0, to: 2.0 });
    assert_eq!(scenario.phases[2].bytes, TextBytes { min: 99, max: 99 });
    assert_eq!(scenario.people.slow.map(|slow| slow.share), Some(0.25));
    assert_eq!((scenario.thresholds.len(), scenario.description.as_str()), (0, "none"));
}

#[test]
fn what_set_breaks_is_told_of_the_command_line() {
    let told = |set: &str| mistakes(LEAST, &[set]);
    assert_eq!(
        told("people.acounts=5"),
        "--set people.acounts: unknown key; did you mean accounts?"
    );
    assert_eq!(
        told("people.accounts=many"),
        "--set people.accounts: \"many\" does not fit; write a whole number, such as 100"
    );
    assert_eq!(
        told("phases.only.messages=-1"),
        "--set phases.0.messages: write a rate from 0 to 1000000 per second"
    );
    assert_eq!(
        told("phases.0.typing=1"),
        "--set phases.0.typing: there is no chat for this: add [[chats]]"
    );
    assert_eq!(
        told("phases.olny.messages=1"),
        "--set phases.olny.messages: phases has no item olny"
    );
    assert_eq!(
        told("phases.messages=1"),
        "--set phases.messages: phases is a list: select an item by its index, from 0"
    );
    assert_eq!("x".parse::<ScenarioOverride>().unwrap_err(), "write KEY=VALUE");
    assert!(
        "=1".parse::<ScenarioOverride>().is_err() && "a..b=1".parse::<ScenarioOverride>().is_err()
    );
}

/// Every key of the tables, by its path.
fn known(keys: &[Key], path: &str, into: &mut BTreeSet<String>) {
    for key in keys {
        let path = format!("{path}{}", key.name);
        match &key.kind {
            KeyType::Table(keys) => known(keys, &format!("{path}."), into),
            KeyType::Tables(keys) => known(keys, &format!("{path}."), into),
            _ => {
                into.insert(path);
            }
        }
    }
}

/// The types are asked for their fields by a key that they do not have.
#[test]
fn the_tables_of_keys_are_the_types() {
    let full = include_str!("tests/full.toml");
    let scenario: Scenario = toml::from_str(full).unwrap();
    assert_eq!(check(&scenario), []);
    let names = |text: &str| -> BTreeSet<String> {
        let error = toml::from_str::<Scenario>(text).unwrap_err();
        let message = error.message().to_owned();
        assert!(
            message.contains("unknown field") || message.contains("unknown variant"),
            "{message}"
        );
        message.split('`').skip(3).step_by(2).map(str::to_owned).collect()
    };
    let tables = |keys: &[Key]| keys.iter().map(|key| key.name.to_owned()).collect();
    let inner = |keys: &[Key], name: &str| -> BTreeSet<String> {
        let key = keys.iter().find(|key| key.name == name).unwrap();
        match &key.kind {
            KeyType::Table(keys) | KeyType::Tables(keys) => tables(keys),
            _ => panic!("{name} is no table"),
        }
    };
    assert_eq!(names(&format!("wrong = 1\n{full}")), tables(SCENARIO));
    for name in ["people", "chats", "phases", "faults"] {
        let header = if name == "people" { "[people]" } else { &format!("[[{name}]]") };
        assert_eq!(
            names(&full.replace(header, &format!("{header}\nwrong = 1"))),
            inner(SCENARIO, name),
            "{name}"
        );
    }
    for (table, known) in
        [("dialects", "native = 1"), ("slow", "share = 0.1"), ("closed", "senders = 1")]
    {
        let owner = if table == "closed" { "phases" } else { "people" };
        let owner = SCENARIO.iter().find(|key| key.name == owner).unwrap();
        let (KeyType::Table(keys) | KeyType::Tables(keys)) = &owner.kind else { panic!("{table}") };
        assert_eq!(
            names(&full.replace(known, &format!("wrong = 1, {known}"))),
            inner(keys, table),
            "{table}"
        );
    }
}

#[test]
fn the_documentation_has_every_key() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/loadtest.md");
    let page = std::fs::read_to_string(page).unwrap();
    let mut keys = BTreeSet::new();
    known(SCENARIO, "", &mut keys);
    for key in keys {
        assert!(page.contains(&format!("| `{key}` |")), "docs/loadtest.md has no row for {key}");
    }
    for ShippedScenario { name, .. } in SHIPPED {
        assert!(page.contains(&format!("| `{name}` |")), "docs/loadtest.md has no row for {name}");
    }
}
