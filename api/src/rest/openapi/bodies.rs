//! Rules for request bodies beyond the types of the fields: the patterns of texts, and which of several fields
//! must be there. The derive cannot express the second, and many fields share the first. The rules are those
//! of [`platform::text`] and [`crate::accounts::input`]. A regular expression that every generator reads
//! cannot express all of them (unassigned characters, lengths in bytes), so the document allows a little
//! more than the api.

use super::operations::operations;
use serde_json::{Value, json};

const CONTROLS: &str = r"\x00-\x1f\x7f-\x9f";
/// Those that a message's text may not have.
const TEXT_CONTROLS: &str = r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f";
/// Invisible wherever they stand.
const HIDDEN: &str = r"\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200c\u200e\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0d\ufeff\uffa0\ufff0-\ufffb";
/// What joins emoji, and says how they are drawn.
const JOINERS: &str = r"\u200d\ufe0e\ufe0f";

/// What stands in the patterns.
struct Patterns {
    username: String,
    prefix: String,
    name: String,
    chat_name: String,
    password: String,
    email: String,
    avatar: String,
    text: String,
    client_message_id: String,
    reason: String,
}

impl Patterns {
    fn new() -> Self {
        let unseen = format!("{CONTROLS}{HIDDEN}{JOINERS}");
        // Without white space at its ends.
        let whole = |first: &str, then: &str| format!(r"^[^\s{first}]([^{then}]*[^\s{then}])?$");
        // With something that a reader sees.
        let seen = |around: &str| format!(r"^[^{around}]*[^\s{unseen}][^{around}]*$");
        let alphanumeric = format!(r"[^\x00-\x2f\x3a-\x40\x5b-\x60\x7b-\x9f\s{HIDDEN}]");
        let or_dash = format!(r"[^\x00-\x2c\x2f\x3a-\x40\x5b-\x60\x7b-\x9f\s{HIDDEN}]");
        let label = format!("{alphanumeric}({or_dash}*{alphanumeric})?");
        let of_url = format!(r#"\s"<>\\{CONTROLS}{HIDDEN}"#);
        Self {
            username: whole(&format!("@{unseen}"), &format!("@{unseen}")),
            prefix: format!(r"^([^\s@{unseen}][^@{unseen}]*)?[^\s@0-9{unseen}]$"),
            name: whole(&unseen, &format!("{CONTROLS}{HIDDEN}")),
            chat_name: seen(&format!("{CONTROLS}{HIDDEN}")),
            password: format!("^[^{unseen}]*$"),
            email: format!(r#"^[^\s@<>",{CONTROLS}{HIDDEN}]{{1,64}}@{label}(\.{label})+$"#),
            avatar: format!("^(https?://[^/{of_url}][^{of_url}]*)?$"),
            text: seen(TEXT_CONTROLS),
            client_message_id: format!("^[^{CONTROLS}]+$"),
            reason: format!("^[^{CONTROLS}{HIDDEN}]*$"),
        }
    }
}

/// Completes the bodies' schemas and the parameters that are texts.
pub(super) fn complete(document: &mut Value) {
    let texts = Patterns::new();
    // An empty field of a form was left out.
    let or_empty = |pattern: &str| format!("^$|{pattern}");
    for (schema, field, pattern) in [
        ("RegisterBody", "username", &or_empty(&texts.username)),
        ("RegisterBody", "email", &or_empty(&texts.email)),
        ("RegisterBody", "name", &or_empty(&texts.name)),
        ("RegisterBody", "password", &texts.password),
        ("RegisterUserBody", "username", &texts.username),
        ("RegisterUserBody", "email", &texts.email),
        ("RegisterUserBody", "name", &or_empty(&texts.name)),
        ("RegisterUserBody", "password", &texts.password),
        ("PasswordBody", "new_password", &texts.password),
        ("ForgotBody", "email", &texts.email),
        ("ResetBody", "new_password", &texts.password),
        ("EmailBody", "email", &or_empty(&texts.email)),
        ("ProfileChange", "name", &texts.name),
        ("ProfileChange", "avatar", &texts.avatar),
        ("MakeBody", "name", &texts.chat_name),
        ("RenameBody", "name", &texts.chat_name),
        ("BulkChat", "name", &texts.chat_name),
        ("SendBody", "text", &texts.text),
        ("SendBody", "client_message_id", &texts.client_message_id),
        ("EditBody", "text", &texts.text),
        ("MakeUsersBody", "prefix", &texts.prefix),
        ("RemoveUsersBody", "prefix", &texts.prefix),
    ] {
        at(document, schema)["properties"][field]["pattern"] = pattern.as_str().into();
    }
    let named = json!([given("username"), given("email"), given("mail")]);
    at(document, "RegisterBody")["anyOf"] = named.clone();
    at(document, "LoginBody")["anyOf"] = named;
    at(document, "AddBody")["anyOf"] = json!([
        { "required": ["user_id"], "properties": { "user_id": { "type": "integer" } } },
        { "required": ["user_ids"], "properties": { "user_ids": { "minItems": 1 } } },
    ]);
    for (_, _, operation) in operations(document) {
        let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
        for parameter in parameters.into_iter().flatten() {
            if parameter["name"] == "reason" {
                parameter["schema"]["pattern"] = texts.reason.as_str().into();
            }
        }
    }
}

fn at<'a>(document: &'a mut Value, schema: &str) -> &'a mut Value {
    &mut document["components"]["schemas"][schema]
}

/// A field that is there and says something.
fn given(field: &str) -> Value {
    json!({ "required": [field], "properties": { field: { "type": "string", "minLength": 1 } } })
}
