//! The refusals of every operation. A handler declares those of its own service, each status with
//! its codes: ``description = "`not_a_member` You are not a member of this chat."``. What follows from
//! a route's shape (it takes a body, parameters, credentials) is added here, so that it is the same
//! everywhere and no handler can forget it. A status that says nothing of its own is a reference.

use super::{limits, operations::operations};
use crate::rest::costs;
use axum::http::StatusCode;
use platform::problem::PROBLEM_JSON;
use protocol::code::Code;
use serde_json::{Map, Value, json};

/// What extractors and surroundings refuse with.
const COMMON: [Code; 15] = [
    Code::MalformedJson,
    Code::BadRequest,
    Code::Unauthenticated,
    Code::InvalidToken,
    Code::TokenExpired,
    Code::SessionEnded,
    Code::Blocked,
    Code::WrongOrigin,
    Code::BodyTooLarge,
    Code::UnsupportedMediaType,
    Code::ValidationFailed,
    Code::RateLimited,
    Code::Internal,
    Code::Unavailable,
    Code::Timeout,
];

/// A code's sentence, or one that shows what it says beyond that.
fn sentence(code: Code) -> &'static str {
    match code {
        Code::MalformedJson => "The body is not JSON: expected value.",
        Code::ValidationFailed => "limit: must be from 1 to 100",
        code => code.sentence(),
    }
}

/// Completes every operation's refusals.
pub(super) fn add(document: &mut Value) {
    let guarded_by_default = document["security"].as_array().is_some_and(|all| !all.is_empty());
    let (mut shared_responses, mut shared_examples) = (Map::new(), Map::new());
    for code in COMMON {
        let example = example(&status(code), code.as_str(), sentence(code));
        shared_examples.insert(code.as_str().to_owned(), example);
    }
    for (path, method, operation) in operations(document) {
        let guarded = match operation["security"].as_array() {
            Some(own) => own.iter().any(|one| one.as_object().is_some_and(|one| !one.is_empty())),
            None => guarded_by_default,
        };
        let shape = Shape {
            guarded,
            limited: costs::is_limited(path),
            changes: method != "get",
            body: operation.get("requestBody").is_some(),
            parameters: operation["parameters"].as_array().is_some_and(|all| !all.is_empty()),
        };
        let Some(responses) = operation["responses"].as_object_mut() else { continue };
        for (status, declared) in responses.iter_mut().filter(|(status, _)| is_refusal(status)) {
            let codes = declared_codes(declared["description"].as_str().unwrap_or_default());
            let mut refusal = DocumentedRefusal::new(status);
            for (code, sentence) in codes {
                refusal.add(&code, example(status, &code, &sentence));
            }
            shape.common(status).for_each(|code| refusal.add_common(code));
            // What it answers beside problems, such as `/status` while the database is away.
            if let Value::Object(own) = declared["content"].take() {
                refusal.response["description"] = declared["description"].take();
                if let Value::Object(content) = &mut refusal.response["content"] {
                    content.extend(own);
                }
            }
            *declared = refusal.response;
        }
        for code in COMMON.into_iter().filter(|code| shape.meets(*code)) {
            let status = status(code);
            if responses.contains_key(&status) {
                continue;
            }
            let mut refusal = DocumentedRefusal::new(&status);
            shape.common(&status).for_each(|code| refusal.add_common(code));
            let name = refusal.codes.join("_or_");
            responses.insert(status, reference("responses", &name));
            shared_responses.insert(name, refusal.response);
        }
    }
    document["components"]["examples"] = shared_examples.into();
    document["components"]["responses"] = shared_responses.into();
}

/// What of an operation decides on its common refusals.
struct Shape {
    guarded: bool,
    limited: bool,
    changes: bool,
    body: bool,
    parameters: bool,
}

impl Shape {
    fn meets(&self, code: Code) -> bool {
        match code.status() {
            400 | 413 | 415 => self.body,
            401 => self.guarded,
            403 if code == Code::WrongOrigin => self.guarded && self.changes,
            403 => self.guarded,
            422 => self.body || self.parameters,
            429 => self.limited,
            _ => true,
        }
    }

    /// The common codes of one status.
    fn common(&self, of: &str) -> impl Iterator<Item = Code> {
        COMMON.into_iter().filter(move |code| status(*code) == of && self.meets(*code))
    }
}

/// As the document spells it.
fn status(code: Code) -> String {
    code.status().to_string()
}

fn is_refusal(status: &str) -> bool {
    status.starts_with(['4', '5'])
}

/// The codes of a handler's description, each with its sentence.
fn declared_codes(description: &str) -> Vec<(String, String)> {
    let mut parts = description.split('`').skip(1).map(|part| part.trim().to_owned());
    std::iter::from_fn(|| parts.next().zip(parts.next())).collect()
}

fn reference(kind: &str, name: &str) -> Value {
    json!({ "$ref": format!("#/components/{kind}/{name}") })
}

/// A response being made of codes, in the order in which they come, each once.
struct DocumentedRefusal {
    codes: Vec<String>,
    response: Value,
}

impl DocumentedRefusal {
    fn new(status: &str) -> Self {
        let mut response = json!({
            "content": { PROBLEM_JSON: {
                "schema": { "$ref": "#/components/schemas/Problem" },
                "examples": {},
            } },
        });
        if matches!(status, "429" | "503") {
            response["headers"]["Retry-After"] = json!({
                "description": "The number of seconds to wait before the next request.", "required": true,
                "schema": { "type": "integer", "minimum": 1 },
            });
        }
        if status == "401" {
            response["headers"]["WWW-Authenticate"] = json!({
                "description": "`Bearer`", "required": true, "schema": { "type": "string" },
            });
        }
        if status == "429" {
            limits::tell(&mut response);
        }
        Self { codes: Vec::new(), response }
    }

    fn add_common(&mut self, code: Code) {
        self.add(code.as_str(), reference("examples", code.as_str()));
    }

    fn add(&mut self, code: &str, example: Value) {
        if self.codes.iter().any(|known| known == code) {
            return;
        }
        self.codes.push(code.to_owned());
        let named: Vec<String> = self.codes.iter().map(|code| format!("`{code}`")).collect();
        self.response["description"] = named.join(", ").into();
        self.response["content"][PROBLEM_JSON]["examples"][code] = example;
    }
}

/// A problem as [`platform::problem::Problem`] writes it.
fn example(status: &str, code: &str, sentence: &str) -> Value {
    let number: u16 = status.parse().unwrap_or_default();
    let title = StatusCode::from_u16(number).ok().and_then(|status| status.canonical_reason());
    let mut body = json!({
        "status": number,
        "title": title.unwrap_or("Error"),
        "detail": sentence,
        "error": true,
        "code": code,
        "message": sentence,
        "timestamp": "2026-11-21T10:00:00.000Z",
    });
    if let Some((field, message)) = sentence.split_once(": ").filter(|_| status == "422") {
        body["errors"] = json!([{ "field": field, "message": message }]);
    }
    json!({ "summary": code, "value": body })
}
