//! The OpenAPI document held against every REST answer that a test gets: its path, method, status,
//! content type, headers and body must be documented. What the load balancer itself answers is not
//! ours to describe; what a request looks like is the test's own business, because many send bad ones.

use jsonschema::Validator;
use parking_lot::Mutex;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
};

/// Public and not described: the page and the pages that show the document.
const PAGES: [&str; 4] = ["", "assets", "docs", "redoc"];
/// Another listener's, for operators.
const ADMIN: [&str; 3] = ["metrics", "livez", "readyz"];

static CONTRACT: LazyLock<Contract> = LazyLock::new(Contract::load);

/// An answer as it came.
pub struct Seen<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub status: u16,
    pub headers: &'a HeaderMap,
    pub body: &'a [u8],
}

/// Panics when the answer is not as the document says.
pub fn check(seen: &Seen<'_>) {
    if let Err(why) = CONTRACT.check(seen) {
        let body = String::from_utf8_lossy(&seen.body[..seen.body.len().min(2_000)]);
        panic!(
            "not as /openapi.json says: {} {} answered {}: {why}\n{:?}\n{body}",
            seen.method, seen.path, seen.status, seen.headers
        );
    }
}

struct Contract {
    document: Value,
    /// Compiled once: by the schema's place.
    validators: Mutex<HashMap<String, Arc<Validator>>>,
}

impl Contract {
    fn load() -> Self {
        Self { document: api::rest::document(), validators: Mutex::default() }
    }

    fn check(&self, seen: &Seen<'_>) -> Result<(), String> {
        let kind = content_type(seen.headers);
        if kind == "text/html" && seen.headers.get("server").is_some() {
            // nginx's own words for what is no HTTP; our servers send no such header.
            return Ok(());
        }
        let first = seen.path.split('/').nth(1).unwrap_or_default();
        let Some((template, item)) = self.route(seen.path) else {
            let known = PAGES.contains(&first) || ADMIN.contains(&first) || seen.status == 404;
            return if known { Ok(()) } else { Err("this path is not documented".to_owned()) };
        };
        let method = seen.method.to_ascii_lowercase();
        let Some(operation) = item.get(&method) else {
            // A browser's question before a request of another origin, and a refused method.
            let fits = seen.status == 405 || method == "options" || method == "head";
            return if fits { Ok(()) } else { Err("this method is not documented".to_owned()) };
        };
        if seen.status == 304 || (seen.status == 413 && operation.get("requestBody").is_none()) {
            // Caching is HTTP's own. The load balancer looks at the size before anything else.
            return Ok(());
        }
        let status = seen.status.to_string();
        let response = operation["responses"].get(&status);
        let response = self.resolved(response.ok_or("this status is not documented")?);
        for (name, header) in response["headers"].as_object().into_iter().flatten() {
            if self.resolved(header)["required"] == true
                && !seen.headers.contains_key(name.as_str())
            {
                return Err(format!("the header {name} is missing"));
            }
        }
        let Some(content) = response.get("content") else {
            return if seen.body.is_empty() { Ok(()) } else { Err("a body came".to_owned()) };
        };
        let media = content.get(kind).ok_or(format!("{kind:?} is not documented"))?;
        let body: Value =
            serde_json::from_slice(seen.body).map_err(|error| format!("no JSON: {error}"))?;
        let place = format!("{method} {template} {status} {kind}");
        let validator = self.validator(&place, &media["schema"])?;
        let faults: Vec<String> = validator
            .iter_errors(&body)
            .map(|fault| format!("{fault} at {}", fault.instance_path()))
            .collect();
        if !faults.is_empty() {
            return Err(faults.join("; "));
        }
        let codes = media["examples"].as_object().filter(|_| seen.status >= 400);
        match codes {
            Some(codes) if !codes.contains_key(body["code"].as_str().unwrap_or_default()) => {
                Err(format!("the code {} is not documented for it", body["code"]))
            }
            _ => Ok(()),
        }
    }

    /// What a reference leads to, or the value itself.
    fn resolved<'a>(&'a self, value: &'a Value) -> &'a Value {
        let pointer = value["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
        pointer.and_then(|pointer| self.document.pointer(pointer)).unwrap_or(value)
    }

    /// The documented path that a request's path is an instance of; one without parameters first.
    fn route(&self, path: &str) -> Option<(&str, &Value)> {
        let paths = self.document["paths"].as_object()?;
        if let Some((template, item)) = paths.get_key_value(path) {
            return Some((template, item));
        }
        let fits = |template: &str| {
            let (mut wanted, mut given) = (template.split('/'), path.split('/'));
            loop {
                match (wanted.next(), given.next()) {
                    (None, None) => return true,
                    (Some(wanted), Some(given))
                        if wanted == given || (wanted.starts_with('{') && !given.is_empty()) => {}
                    _ => return false,
                }
            }
        };
        let (template, item) = paths.iter().find(|(template, _)| fits(template))?;
        Some((template, item))
    }

    fn validator(&self, place: &str, schema: &Value) -> Result<Arc<Validator>, String> {
        let mut all = self.validators.lock();
        if let Some(known) = all.get(place) {
            return Ok(Arc::clone(known));
        }
        let whole = json!({ "components": self.document["components"], "allOf": [schema] });
        let options = jsonschema::options().should_validate_formats(true);
        let made = options.build(&whole).map_err(|error| format!("no schema: {error}"))?;
        let made = Arc::new(made);
        all.insert(place.to_owned(), Arc::clone(&made));
        Ok(made)
    }
}

fn content_type(headers: &HeaderMap) -> &str {
    let given = headers.get("content-type").and_then(|value| value.to_str().ok());
    given.unwrap_or_default().split(';').next().unwrap_or_default().trim()
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderValue;

    const PROBLEM: &str = r#"{"status":404,"title":"Not Found","detail":"x","error":true,
        "code":"chat_not_found","message":"x","timestamp":"2026-11-21T10:00:00.000Z"}"#;

    fn verdict(method: &str, path: &str, status: u16, kind: &'static str, body: &str) -> String {
        let headers = [("content-type", kind), ("ratelimit", ""), ("ratelimit-policy", "")]
            .map(|(name, value)| (name.parse().expect("a name"), HeaderValue::from_static(value)));
        let headers = HeaderMap::from_iter(headers);
        let seen = Seen { method, path, status, headers: &headers, body: body.as_bytes() };
        CONTRACT.check(&seen).err().unwrap_or_default()
    }

    #[test]
    fn what_is_not_documented_is_noticed() {
        let (json, problem) = ("application/json", "application/problem+json");
        let cases = [
            ("GET", "/chats/7", 404, problem, PROBLEM, ""),
            ("GET", "/chats/7", 404, json, PROBLEM, "not documented"),
            ("GET", "/chats/7", 418, problem, PROBLEM, "status is not documented"),
            ("GET", "/chats/7", 403, problem, PROBLEM, "code"),
            ("GET", "/chats/7", 503, problem, PROBLEM, "Retry-After"),
            ("GET", "/chats/7", 404, problem, "{}", "required property"),
            ("GET", "/chats/7", 404, problem, "nonsense", "no JSON"),
            ("PUT", "/chats/7", 200, json, "{}", "method is not documented"),
            ("GET", "/unheard/of", 200, json, "{}", "path is not documented"),
            ("DELETE", "/chats/7", 204, json, "{}", "a body came"),
            ("GET", "/me/sessions", 200, json, r#"[{"id":"no uuid"}]"#, "uuid"),
        ];
        for (method, path, status, kind, body, why) in cases {
            let verdict = verdict(method, path, status, kind, body);
            assert!(verdict.contains(why), "{method} {path} {status}: {verdict}");
            assert_eq!(verdict.is_empty(), why.is_empty(), "{method} {path} {status}: {verdict}");
        }
    }
}
