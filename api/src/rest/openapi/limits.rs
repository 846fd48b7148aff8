//! The `RateLimit` fields of the answers. For refusals other than 429 only the document's description names
//! them, because a request that is refused before the limits has none.

use super::operations::operations;
use crate::rest::costs;
use serde_json::{Value, json};

/// Says what the fields are, and that every success has them.
pub(super) fn add(document: &mut Value) {
    for (path, _, operation) in operations(document) {
        let responses = operation["responses"].as_object_mut().into_iter().flatten();
        for (_, response) in responses.filter(|(status, _)| status.starts_with('2')) {
            if costs::is_limited(path) {
                tell(response);
            }
        }
    }
    document["components"]["headers"] = json!({
        "RateLimit-Policy": {
            "description": "The share that the request was taken from, `account` or `network`: `q` cheap \
                reads in `w` seconds.",
            "required": true,
            "schema": { "type": "string" },
            "example": "\"account\";q=1000;w=4",
        },
        "RateLimit": {
            "description": "The remaining share: `r` cheap reads, replenished in full after `t` seconds.",
            "required": true,
            "schema": { "type": "string" },
            "example": "\"account\";r=995;t=1",
        },
    });
}

/// Adds the fields to a response.
pub(super) fn tell(response: &mut Value) {
    for name in ["RateLimit-Policy", "RateLimit"] {
        response["headers"][name] = json!({ "$ref": format!("#/components/headers/{name}") });
    }
}
