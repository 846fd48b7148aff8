//! The refusals of every operation. A handler declares those of its own service, each status with
//! its codes: ``description = "`not_a_member` You are not a member of this chat."``. What follows from
//! a route's shape (it takes a body, parameters, credentials) is added here, so that it is the same
//! everywhere and no handler can forget it.

use super::operations;
use serde_json::{Map, Value, json};
use shared::problem::PROBLEM_JSON;

/// What extractors and surroundings refuse with: status, code, sentence.
const COMMON: [(&str, &str, &str); 14] = [
    ("400", "malformed_json", "The body is not JSON: expected value."),
    ("400", "bad_request", "The request could not be read."),
    ("401", "unauthenticated", "Sign in first: no access token came with this request."),
    ("401", "invalid_token", "The access token is not valid."),
    ("401", "token_expired", "The access token has expired. Renew it."),
    ("401", "session_ended", "This session has ended. Sign in again."),
    ("403", "blocked", "This account is blocked."),
    ("403", "wrong_origin", "This page may not act with your session cookie."),
    ("413", "body_too_large", "The body is too large."),
    ("415", "unsupported_media_type", "Send the body as application/json."),
    ("422", "validation_failed", "limit: must be from 1 to 100"),
    ("500", "internal", "Something went wrong on our side."),
    ("503", "unavailable", "The service cannot answer right now. Try again in a moment."),
    ("503", "timeout", "The service cannot answer right now. Try again in a moment."),
];

/// Completes every operation's refusals.
pub fn add(document: &mut Value) {
    let guarded_by_default = document["security"].as_array().is_some_and(|all| !all.is_empty());
    for (_, method, operation) in operations(document) {
        let guarded = match operation["security"].as_array() {
            Some(own) => own.iter().any(|one| one.as_object().is_some_and(|one| !one.is_empty())),
            None => guarded_by_default,
        };
        let shape = Shape {
            guarded,
            changes: method != "get",
            body: operation.get("requestBody").is_some(),
            parameters: operation["parameters"].as_array().is_some_and(|all| !all.is_empty()),
        };
        let Some(responses) = operation["responses"].as_object_mut() else { continue };
        for (status, declared) in responses.iter_mut().filter(|(status, _)| is_refusal(status)) {
            let codes = declared_codes(declared["description"].as_str().unwrap_or_default());
            *declared = refusal(status, &codes);
        }
        for (status, code, sentence) in COMMON.into_iter().filter(|common| shape.meets(common)) {
            let response = responses.entry(status).or_insert_with(|| refusal(status, &[]));
            add_code(response, status, code, sentence);
        }
    }
}

/// What of an operation decides on its common refusals.
struct Shape {
    guarded: bool,
    changes: bool,
    body: bool,
    parameters: bool,
}

impl Shape {
    fn meets(&self, (status, code, _): &(&str, &str, &str)) -> bool {
        match *status {
            "400" | "413" | "415" => self.body,
            "401" => self.guarded,
            "403" if *code == "wrong_origin" => self.guarded && self.changes,
            "403" => self.guarded,
            "422" => self.body || self.parameters,
            _ => true,
        }
    }
}

fn is_refusal(status: &str) -> bool {
    status.starts_with(['4', '5'])
}

/// The codes of a handler's description, each with its sentence.
fn declared_codes(description: &str) -> Vec<(String, String)> {
    let mut parts = description.split('`').skip(1).map(|part| part.trim().to_owned());
    std::iter::from_fn(|| parts.next().zip(parts.next())).collect()
}

fn refusal(status: &str, codes: &[(String, String)]) -> Value {
    let mut response = json!({
        "description": "",
        "content": { PROBLEM_JSON: {
            "schema": { "$ref": "#/components/schemas/Problem" },
            "examples": {},
        } },
    });
    let integer = |description: &str| json!({ "description": description, "required": true,
        "schema": { "type": "integer", "minimum": 1 } });
    let text = |description: &str| json!({ "description": description, "required": true,
        "schema": { "type": "string" } });
    match status {
        "429" | "503" => {
            response["headers"] =
                json!({ "Retry-After": integer("Seconds after which to come back.") });
        }
        "401" => response["headers"] = json!({ "WWW-Authenticate": text("`Bearer`") }),
        _ => {}
    }
    for (code, sentence) in codes {
        add_code(&mut response, status, code, sentence);
    }
    response
}

fn add_code(response: &mut Value, status: &str, code: &str, sentence: &str) {
    let mut description = response["description"].as_str().unwrap_or_default().to_owned();
    if !description.is_empty() {
        description.push_str(", ");
    }
    description.push_str(&format!("`{code}`"));
    response["description"] = description.into();
    let example = json!({ "summary": code, "value": problem(status, code, sentence) });
    if let Some(Value::Object(examples)) = response
        .pointer_mut("/content/application~1problem+json/examples")
    {
        examples.insert(code.to_owned(), example);
    }
}

/// A problem as [`shared::problem::Problem`] writes it.
fn problem(status: &str, code: &str, sentence: &str) -> Value {
    let number: u16 = status.parse().unwrap_or_default();
    let title = axum::http::StatusCode::from_u16(number).ok();
    let title = title.and_then(|status| status.canonical_reason()).unwrap_or("Error");
    let mut body = Map::from_iter([
        ("status".to_owned(), json!(number)),
        ("title".to_owned(), json!(title)),
        ("detail".to_owned(), json!(sentence)),
        ("error".to_owned(), json!(true)),
        ("code".to_owned(), json!(code)),
        ("message".to_owned(), json!(sentence)),
        ("timestamp".to_owned(), json!("2026-11-21T10:00:00.000Z")),
    ]);
    if code == "validation_failed" {
        let (field, message) = sentence.split_once(": ").unwrap_or(("body", sentence));
        body.insert("errors".to_owned(), json!([{ "field": field, "message": message }]));
    }
    body.into()
}
