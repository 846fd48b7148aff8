//! The native dialect: a frame's text to its meaning and back. Pure. What a frame leads to is decided
//! in [`crate::session`].

use crate::relayed::Frame;
use serde::Serialize;
use shared::{
    internal::MAX_CLIENT_ID_BYTES,
    protocol::{ClientFrame, ServerFrame},
};
use std::time::Duration;

/// A server's frame as text.
pub fn encode(frame: &impl Serialize) -> Frame {
    // Our own types always serialise: no maps with odd keys, no fallible impls.
    serde_json::to_string(frame).unwrap_or_default().into()
}

/// An `error` frame.
pub fn refusal(id: Option<String>, code: &str, message: &str) -> ServerFrame {
    ServerFrame::Error {
        id,
        code: code.to_owned(),
        message: message.to_owned(),
        retry_after_ms: None,
    }
}

/// An `error` frame that says when to try again.
pub fn try_later(id: Option<String>, code: &str, message: &str, wait: Duration) -> ServerFrame {
    ServerFrame::Error {
        id,
        code: code.to_owned(),
        message: message.to_owned(),
        retry_after_ms: Some(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1)),
    }
}

/// The `error` for a frame that came too fast.
pub fn too_fast(id: Option<String>, wait: Duration) -> ServerFrame {
    try_later(id, "rate_limited", "Too many frames. Wait and send it again.", wait)
}

/// A client's frame, or the `error` that explains what is wrong with it.
pub fn decode(text: &str) -> Result<ClientFrame, Box<ServerFrame>> {
    serde_json::from_str(text).map_err(|error| Box::new(explain(text, &error)))
}

/// Why a text is no frame: not JSON, of no known type, or with wrong fields. Names the frame's id
/// when it has one, so that the client knows which of its frames failed.
fn explain(text: &str, error: &serde_json::Error) -> ServerFrame {
    #[derive(serde::Deserialize)]
    struct Outline {
        r#type: Option<serde_json::Value>,
        id: Option<serde_json::Value>,
    }
    let Ok(outline) = serde_json::from_str::<Outline>(text) else {
        return refusal(None, "malformed", "A frame is a JSON object with a type.");
    };
    let id = outline.id.and_then(|id| id.as_str().map(str::to_owned));
    let id = id.filter(|id| id.len() <= MAX_CLIENT_ID_BYTES);
    let known = outline.r#type.as_ref().and_then(|kind| kind.as_str()).map(is_known);
    match known {
        None => refusal(id, "malformed", "A frame is a JSON object with a type."),
        Some(false) => refusal(id, "unknown_type", "There is no frame of this type."),
        Some(true) => {
            // serde's message names the field; the position behind it means nothing here.
            let reason = error.to_string();
            let reason = reason.split(" at line ").next().unwrap_or_default();
            refusal(id, "invalid_frame", &format!("This frame is not valid: {reason}."))
        }
    }
}

fn is_known(kind: &str) -> bool {
    matches!(
        kind,
        "hello"
            | "send"
            | "edit"
            | "delete"
            | "read"
            | "typing"
            | "subscribe"
            | "unsubscribe"
            | "token"
            | "ping"
    )
}

/// The id that a frame was given by its sender.
pub fn frame_id(frame: &ClientFrame) -> Option<String> {
    match frame {
        ClientFrame::Send { id, .. }
        | ClientFrame::Edit { id, .. }
        | ClientFrame::Delete { id, .. }
        | ClientFrame::Subscribe { id, .. }
        | ClientFrame::Unsubscribe { id, .. }
        | ClientFrame::Token { id, .. }
        | ClientFrame::Ping { id } => id.clone(),
        ClientFrame::Hello { .. } | ClientFrame::Read { .. } | ClientFrame::Typing { .. } => None,
    }
}
