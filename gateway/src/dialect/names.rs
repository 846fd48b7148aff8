//! `WS /ws/chat`: private messages between usernames. The server answers each message of a client with a status.
//! Messages of others come without a status and count as read once they are written.

use super::{ClientRequest, ErrorFrame, native, new_message, text::parse};
use crate::wire::frame::Frame;
use protocol::{
    calls::Peer,
    frames::{ChatEvent, ServerFrame},
    id::{ChatId, Seq},
    time::Timestamp,
};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
struct Incoming {
    username_to: String,
    message: String,
}

/// Decodes a client's frame.
pub(super) fn decode(text: &str) -> Result<ClientRequest, ErrorFrame> {
    let Incoming { username_to, message } = parse(text)?;
    Ok(ClientRequest::Direct { to: Peer::Username(username_to), text: message })
}

#[derive(Serialize)]
struct MessageFrame<'a> {
    username_from: &'a str,
    message: &'a str,
    id: Seq,
    chat_id: ChatId,
    timestamp: Timestamp,
}

#[derive(Serialize)]
struct Stored {
    status: &'static str,
    /// Always `null`. This dialect's clients expect the field.
    error: Option<()>,
    id: Seq,
    chat_id: ChatId,
    timestamp: Timestamp,
}

#[derive(Serialize)]
struct Failed<'a> {
    status: &'static str,
    error: &'a str,
    code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
}

/// Encodes another user's message.
pub(super) fn encode_event(event: &ChatEvent) -> Option<Frame> {
    new_message(event).map(|message| {
        native::encode(&MessageFrame {
            username_from: &message.sender.username,
            message: &message.text,
            id: message.id,
            chat_id: event.chat_id,
            timestamp: message.timestamp,
        })
    })
}

/// Encodes the outcome of a message that this client sent.
pub(super) fn encode(frame: &ServerFrame) -> Option<Frame> {
    match frame {
        ServerFrame::Ack { chat_id, message_id, timestamp, .. } => Some(native::encode(&Stored {
            status: "success",
            error: None,
            id: *message_id,
            chat_id: *chat_id,
            timestamp: *timestamp,
        })),
        ServerFrame::Error { code, message, retry_after_ms, .. } => Some(native::encode(&Failed {
            status: "error",
            error: message,
            code,
            retry_after_ms: *retry_after_ms,
        })),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::{Dialect, samples::*, too_fast};
    use std::time::Duration;

    #[test]
    fn a_message_names_its_recipient() {
        let to = Peer::Username("Bob".into());
        assert_eq!(
            decode(r#"{"username_to":"Bob","message":"hi","id":1}"#),
            Ok(ClientRequest::Direct { to, text: "hi".into() })
        );
        for (text, expected) in [
            ("null", "malformed"),
            (r#"["bob","hi"]"#, "malformed"),
            (r#"{"username_to":"bob","message":"hi"} x"#, "malformed"),
            (r#"{"username_to":"bob"}"#, "invalid_frame"),
            (r#"{"message":"hi"}"#, "invalid_frame"),
            (r#"{"username_to":"bob","username_to":"eve","message":"hi"}"#, "invalid_frame"),
            (r#"{"username_to":7,"message":"hi"}"#, "invalid_frame"),
        ] {
            assert_eq!(decode(text).map_err(code), Err(expected.into()), "{text}");
        }
    }

    #[test]
    fn what_it_says() {
        assert_eq!(
            Dialect::Names.encode_event(&message_event(), None).unwrap().text(),
            r#"{"username_from":"ann","message":"hi","id":7,"chat_id":12,"timestamp":"2023-11-14T22:13:20.007Z"}"#
        );
        assert_eq!(
            encode(&ack()).unwrap().text(),
            r#"{"status":"success","error":null,"id":7,"chat_id":12,"timestamp":"2023-11-14T22:13:20.007Z"}"#
        );
        assert_eq!(
            encode(&too_fast(None, Duration::from_secs(1))).unwrap().text(),
            r#"{"status":"error","error":"Too many frames. Wait and send it again.","code":"rate_limited","retry_after_ms":1000}"#
        );
        only_messages_and_errors(Dialect::Names);
    }
}
