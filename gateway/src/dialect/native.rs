//! `WS /gateway`, the native dialect: decodes and encodes the types of [`protocol::frames`].
//! `connection/session.rs` decides what a frame leads to.

use super::{ErrorFrame, refusal};
use crate::wire::frame::Frame;
use protocol::{
    code::Code,
    frames::{ClientFrame, ServerFrame},
    limits::MAX_CLIENT_ID_BYTES,
};
use serde::Serialize;
use strum::VariantNames as _;

/// Encodes a server's frame.
pub(crate) fn encode(frame: &impl Serialize) -> Frame {
    Frame::from_writer(|bytes| {
        // Cannot fail: our own types have only keys that JSON allows, and no fallible impls.
        let _ = serde_json::to_writer(bytes, frame);
    })
}

/// Decodes a client's frame. The error is the `error` frame to answer with.
pub(crate) fn decode(text: &str) -> Result<ClientFrame, ErrorFrame> {
    serde_json::from_str(text).map_err(|error| Box::new(explain(text, &error)))
}

/// Explains why a text is no frame: it is not JSON, has no known type, or has wrong fields. Names the frame's id
/// if it has one, so that the client knows which of its frames failed.
fn explain(text: &str, error: &serde_json::Error) -> ServerFrame {
    #[derive(serde::Deserialize)]
    struct Outline {
        r#type: Option<serde_json::Value>,
        id: Option<serde_json::Value>,
    }
    let Ok(outline) = serde_json::from_str::<Outline>(text) else {
        return refusal(None, Code::Malformed, "A frame is a JSON object with a type.");
    };
    let id = outline.id.and_then(|id| id.as_str().map(str::to_owned));
    // A longer id is not repeated: the answer must not grow with what a client sends.
    let id = id.filter(|id| id.len() <= MAX_CLIENT_ID_BYTES);
    let known = outline.r#type.as_ref().and_then(|kind| kind.as_str());
    let known = known.map(|kind| ClientFrame::VARIANTS.contains(&kind));
    match known {
        None => refusal(id, Code::Malformed, "A frame is a JSON object with a type."),
        Some(false) => refusal(id, Code::UnknownType, "There is no frame of this type."),
        Some(true) => {
            // serde's message names the field. The position at its end helps nobody.
            let reason = error.to_string();
            let reason = reason.split(" at line ").next().unwrap_or_default();
            refusal(id, Code::InvalidFrame, &format!("This frame is not valid: {reason}."))
        }
    }
}

/// The id that the client gave a frame.
pub(crate) fn frame_id(frame: &ClientFrame) -> Option<String> {
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
