//! Nothing is missing in the document, and what it shows is valid by itself.

use serde_json::{Value, json};
use std::{collections::BTreeSet, fs, path::Path};

/// Every operation, as `GET /path`.
fn operations(document: &Value) -> Vec<(String, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    let operations = paths.iter().flat_map(|(path, item)| {
        let methods = item.as_object().unwrap().iter();
        methods.map(move |(method, operation)| {
            (format!("{} {path}", method.to_uppercase()), operation)
        })
    });
    operations.collect()
}

#[test]
fn every_operation_says_what_a_reader_needs() {
    let document = api::rest::document();
    let tags: BTreeSet<&str> = document["tags"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tag| tag["name"].as_str().unwrap())
        .collect();
    let mut ids = BTreeSet::new();
    for (name, operation) in operations(&document) {
        let id = operation["operationId"].as_str().unwrap();
        assert!(ids.insert(id), "{name}: {id} is taken");
        assert!(id.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{name}: {id}");
        let summary = operation["summary"].as_str().unwrap_or_default();
        assert!(!summary.is_empty() && !summary.ends_with('.'), "{name}: summary {summary:?}");
        assert!(summary.len() < 60, "{name}: a summary is one short line: {summary:?}");
        let tag = operation["tags"][0].as_str().unwrap_or_default();
        assert!(tags.contains(tag), "{name}: tag {tag:?} has no description");
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let described = parameter["description"].as_str().is_some_and(|text| !text.is_empty());
            assert!(described, "{name}: {} has no description", parameter["name"]);
        }
        let responses = operation["responses"].as_object().unwrap();
        assert!(responses.keys().any(|status| status.starts_with('2')), "{name}: no success");
        for (status, response) in responses {
            let response = resolved(&document, response);
            let described = response["description"].as_str().is_some_and(|text| !text.is_empty());
            assert!(described, "{name}: {status} has no description");
            if status.starts_with(['4', '5']) {
                let problem = &response["content"]["application/problem+json"];
                let examples = problem["examples"].as_object().unwrap();
                assert!(!examples.is_empty(), "{name}: {status} names no `code`");
                for code in examples.keys() {
                    let snake = code.chars().all(|c| c.is_ascii_lowercase() || c == '_');
                    assert!(snake, "{name}: {status} {code:?} is no code");
                }
            }
        }
    }
}

#[test]
fn every_body_and_success_has_an_example_that_is_valid() {
    let document = api::rest::document();
    for (name, operation) in operations(&document) {
        let body = operation.get("requestBody").map(|body| ("body".to_owned(), &body["content"]));
        let responses = operation["responses"].as_object().unwrap().iter();
        let contents = responses
            .map(|(status, response)| (status.clone(), resolved(&document, response)))
            .filter_map(|(status, response)| Some((status, response.get("content")?)))
            .chain(body);
        for (of, content) in contents {
            for (kind, media) in content.as_object().unwrap() {
                assert!(media.get("schema").is_some(), "{name}: {of} {kind} has no schema");
                let many = media["examples"].as_object().into_iter().flatten();
                let examples: Vec<&Value> = many
                    .map(|(_, example)| &resolved(&document, example)["value"])
                    .chain(media.get("example"))
                    .collect();
                assert!(!examples.is_empty(), "{name}: {of} has no example; give its fields some");
                let valid = validator(&document, &media["schema"]);
                for example in examples {
                    let faults: Vec<String> =
                        valid.iter_errors(example).map(|fault| fault.to_string()).collect();
                    assert!(faults.is_empty(), "{name}: {of}: {faults:?} in {example}");
                }
            }
        }
    }
}

#[test]
fn every_reference_leads_somewhere() {
    fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
        match value {
            Value::Object(map) => {
                found.extend(map.get("$ref").and_then(Value::as_str));
                map.values().for_each(|value| references(value, found));
            }
            Value::Array(all) => all.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let document = api::rest::document();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    for reference in &found {
        let target = reference.strip_prefix('#').and_then(|pointer| document.pointer(pointer));
        assert!(target.is_some(), "{reference}");
    }
}

/// `routes!` puts a handler into the router and the document alike. A route added past it would be
/// served and not described.
#[test]
fn no_route_is_added_beside_the_document() {
    let rest = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/rest");
    // What is served as it is, and the document itself, are in folders of their own.
    let files: Vec<_> = fs::read_dir(rest).unwrap().map(|entry| entry.unwrap().path()).collect();
    let files: Vec<_> = files.into_iter().filter(|path| path.is_file()).collect();
    assert!(files.len() > 5, "{files:?}");
    for file in files {
        let code = fs::read_to_string(&file).unwrap();
        for past in [".route(", ".nest(", ".fallback(", "Router::new().", "routing::"] {
            let own = code.replace("OpenApiRouter::new().", "");
            assert!(!own.contains(past), "{file:?} uses {past}");
        }
    }
}

/// What a reference leads to, or the value itself.
fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str().and_then(|reference| reference.strip_prefix('#')) {
        Some(pointer) => document.pointer(pointer).unwrap(),
        None => value,
    }
}

/// A schema's validator that finds the document's components.
fn validator(document: &Value, schema: &Value) -> jsonschema::Validator {
    let whole = json!({ "components": document["components"], "allOf": [schema] });
    jsonschema::options().build(&whole).unwrap()
}
