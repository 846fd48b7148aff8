//! `WS /gateway`, the native dialect: a frame's text to its meaning and back, in the types of
//! [`protocol::frames`]. What a frame leads to is decided in `connection/session.rs`.

use super::{ErrorFrame, refusal};
use crate::wire::frame::Frame;
use protocol::{
    code::Code,
    frames::{ClientFrame, ServerFrame},
    limits::MAX_CLIENT_ID_BYTES,
};
use serde::Serialize;
use strum::VariantNames as _;

/// A server's frame.
pub(crate) fn encode(frame: &impl Serialize) -> Frame {
    Frame::from_writer(|bytes| {
        // Our own types always serialise: no maps with odd keys, no fallible impls.
        let _ = serde_json::to_writer(bytes, frame);
    })
}

/// A client's frame, or the `error` that explains what is wrong with it.
pub(crate) fn decode(text: &str) -> Result<ClientFrame, ErrorFrame> {
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
        return refusal(None, Code::Malformed, "A frame is a JSON object with a type.");
    };
    let id = outline.id.and_then(|id| id.as_str().map(str::to_owned));
    let id = id.filter(|id| id.len() <= MAX_CLIENT_ID_BYTES);
    let known = outline.r#type.as_ref().and_then(|kind| kind.as_str());
    let known = known.map(|kind| ClientFrame::VARIANTS.contains(&kind));
    match known {
        None => refusal(id, Code::Malformed, "A frame is a JSON object with a type."),
        Some(false) => refusal(id, Code::UnknownType, "There is no frame of this type."),
        Some(true) => {
            // serde's message names the field; the position behind it means nothing here.
            let reason = error.to_string();
            let reason = reason.split(" at line ").next().unwrap_or_default();
            refusal(id, Code::InvalidFrame, &format!("This frame is not valid: {reason}."))
        }
    }
}

/// The id that a frame was given by its sender.
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
