//! Adds an example to every request body and every success, made from the examples of the fields. A handler
//! that gives its own example keeps it.

use super::operations::operations;
use serde_json::{Map, Value};

/// Deeper than any of our types, and an end for one that contains itself.
const DEPTH: usize = 8;

/// Completes every operation's examples.
pub(super) fn add(document: &mut Value) {
    let schemas = document["components"]["schemas"].clone();
    for (_, _, operation) in operations(document) {
        if let Some(content) = operation.pointer_mut("/requestBody/content") {
            fill(content, &schemas);
        }
        let responses = operation["responses"].as_object_mut().into_iter().flatten();
        for (_, response) in responses.filter(|(status, _)| status.starts_with('2')) {
            if let Some(content) = response.get_mut("content") {
                fill(content, &schemas);
            }
        }
    }
}

fn fill(content: &mut Value, schemas: &Value) {
    for (_, media) in content.as_object_mut().into_iter().flatten() {
        let given = media.get("example").or_else(|| media.get("examples")).is_some();
        if let Some(example) = example(&media["schema"], schemas, DEPTH).filter(|_| !given) {
            media["example"] = example;
        }
    }
}

/// An example of this schema, when its fields have some.
fn example(schema: &Value, schemas: &Value, depth: usize) -> Option<Value> {
    let depth = depth.checked_sub(1)?;
    let own = schema["examples"].get(0).or_else(|| schema.get("example"));
    if let Some(own) = own.or_else(|| schema.get("const")) {
        return Some(own.clone());
    }
    if let Some(name) = schema["$ref"].as_str() {
        let target = schemas.get(name.rsplit('/').next()?)?;
        return example(target, schemas, depth);
    }
    if let Some(parts) = schema["allOf"].as_array() {
        let parts = parts.iter().map(|part| example(part, schemas, depth));
        let mut whole = Map::new();
        for part in parts {
            whole.extend(part?.as_object()?.clone());
        }
        return Some(whole.into());
    }
    if let Some(choices) = schema["oneOf"].as_array().or_else(|| schema["anyOf"].as_array()) {
        let real = |choice: &&Value| choice["type"] != "null";
        return choices.iter().filter(real).find_map(|choice| example(choice, schemas, depth));
    }
    if let Some(first) = schema["enum"].get(0) {
        return Some(first.clone());
    }
    let is = |kind: &str| {
        schema["type"] == kind
            || schema["type"].as_array().is_some_and(|kinds| kinds.iter().any(|one| one == kind))
    };
    if is("array") {
        return Some(vec![example(&schema["items"], schemas, depth)?].into());
    }
    if let Some(properties) = schema["properties"].as_object() {
        let required = |name: &String| {
            schema["required"].as_array().is_some_and(|all| all.iter().any(|one| one == name))
        };
        let mut whole = Map::new();
        for (name, property) in properties {
            match example(property, schemas, depth) {
                // Left out rather than `null`: shorter to read, and the same.
                Some(Value::Null) | None if !required(name) => {}
                Some(value) => drop(whole.insert(name.clone(), value)),
                None => return None,
            }
        }
        return Some(whole.into());
    }
    if is("boolean") {
        return Some(false.into());
    }
    is("null").then_some(Value::Null)
}
