//! Descriptions of path parameters, by name, so that they are the same everywhere. A handler that describes
//! a parameter itself keeps its words.

use super::operations::operations;
use serde_json::Value;

const MEANINGS: [(&str, &str); 6] = [
    ("chat_id", "The chat; 1 is the lobby."),
    ("message_id", "The message's number in the chat."),
    ("receiver_id", "One of the two users."),
    ("sender_id", "The other of the two users. The order does not matter."),
    ("session_id", "The session's id, as listed by `GET /me/sessions`."),
    ("user_id", "The user."),
];

/// Describes every operation's path parameters.
pub(super) fn describe(document: &mut Value) {
    for (_, _, operation) in operations(document) {
        let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
        for parameter in parameters.into_iter().flatten() {
            let meaning = MEANINGS.iter().find(|(name, _)| parameter["name"] == *name);
            if let (Some((_, meaning)), None) = (meaning, parameter.get("description")) {
                parameter["description"] = (*meaning).into();
            }
        }
    }
}
