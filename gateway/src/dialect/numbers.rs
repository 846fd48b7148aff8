//! `WS /messages/{user_id}`: private messages between user ids. Frames of clients and of the server have the same
//! shape. A sender gets no answer to a message that was stored.

use super::{
    ClientRequest, ErrorFrame, encode_error, identity_mismatch, native, new_message,
    text::{Number, parse},
};
use crate::wire::frame::Frame;
use protocol::{
    calls::Peer,
    frames::{ChatEvent, ServerFrame},
    id::{ChatId, Seq, UserId},
    time::Timestamp,
};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Incoming {
    sender_id: Number,
    receiver_id: Number,
    content: String,
}

/// Decodes a client's frame, whose sender must be the window's user. Ignores its time, because the database's clock
/// counts.
pub(super) fn decode(text: &str, user: UserId) -> Result<ClientRequest, ErrorFrame> {
    let Incoming { sender_id, receiver_id, content } = parse(text)?;
    if sender_id.0 != user.0 {
        return Err(identity_mismatch("senderId"));
    }
    Ok(ClientRequest::Direct { to: Peer::Id(UserId(receiver_id.0)), text: content })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MessageFrame<'a> {
    sender_id: UserId,
    receiver_id: UserId,
    content: &'a str,
    /// Unix seconds.
    timestamp: i64,
    id: Seq,
    #[serde(rename = "chat_id")]
    chat_id: ChatId,
}

/// Encodes another user's message. A private chat has two members, so every reader is the receiver, and one encoding
/// fits all connections.
pub(super) fn encode_event(event: &ChatEvent, reader: Option<UserId>) -> Option<Frame> {
    let message = new_message(event)?;
    Some(native::encode(&MessageFrame {
        sender_id: message.sender.id,
        receiver_id: reader?,
        content: &message.text,
        timestamp: message.timestamp.unix_seconds(),
        id: message.id,
        chat_id: event.chat_id,
    }))
}

/// Encodes errors. This dialect's clients understand no other frame.
pub(super) fn encode(frame: &ServerFrame, now: Timestamp) -> Option<Frame> {
    encode_error(frame, now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::{Dialect, samples::*};

    #[test]
    fn a_message_names_both() {
        for text in [
            r#"{"senderId":3,"receiverId":4,"content":"hi","timestamp":1700000000}"#,
            r#"{"senderId":"3","receiverId":"4","content":"hi"}"#,
        ] {
            let to = Peer::Id(UserId(4));
            assert_eq!(
                decode(text, UserId(3)),
                Ok(ClientRequest::Direct { to, text: "hi".into() })
            );
        }
        for (text, expected) in [
            ("7", "malformed"),
            (r#"{"senderId":4,"receiverId":3,"content":"hi"}"#, "identity_mismatch"),
            (r#"{"receiverId":4,"content":"hi"}"#, "invalid_frame"),
            (r#"{"senderId":3,"receiverId":4}"#, "invalid_frame"),
            (r#"{"senderId":3,"receiverId":1e30,"content":"hi"}"#, "invalid_frame"),
            (r#"{"senderId":3,"receiverId":18446744073709551615,"content":"hi"}"#, "invalid_frame"),
            (r#"{"senderId":3,"receiverId":"bob","content":"hi"}"#, "invalid_frame"),
            (r#"{"senderId":3,"receiverId":null,"content":"hi"}"#, "invalid_frame"),
        ] {
            assert_eq!(decode(text, UserId(3)).map_err(code), Err(expected.into()), "{text}");
        }
    }

    #[test]
    fn what_it_says() {
        assert_eq!(
            Dialect::Numbers.encode_event(&message_event(), Some(UserId(4))).unwrap().text(),
            r#"{"senderId":3,"receiverId":4,"content":"hi","timestamp":1700000000,"id":7,"chat_id":12}"#
        );
        assert_eq!(encode(&ack(), NOW), None);
        only_messages_and_errors(Dialect::Numbers);
    }
}
