//! `WS /ws/{chat_id}`: one chat, in the spellings of two kinds of clients at once. A server's frame has the fields
//! of both. A client's frame may use either spelling. If it names the chat or the sender, they must be right.

use super::{
    ClientRequest, ErrorFrame, encode_error, identity_mismatch, native, new_message, refusal,
    text::{Number, invalid, parse, unknown_type},
};
use crate::wire::frame::Frame;
use platform::text::is_name_of;
use protocol::{
    chat::UserRef,
    code::Code,
    frames::{ChatEvent, ClientFrame, ServerFrame},
    id::{ChatId, Seq, UserId},
    limits::MAX_CLIENT_ID_BYTES,
    time::Timestamp,
};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
struct Incoming {
    r#type: Option<String>,
    text: Option<String>,
    content: Option<String>,
    client_message_id: Option<String>,
    message_id: Option<Number>,
    room_id: Option<Number>,
    chat_id: Option<Number>,
    user_id: Option<Number>,
    username: Option<String>,
}

/// Decodes a client's frame in the window of this chat.
pub(super) fn decode(
    text: &str,
    chat_id: ChatId,
    user: Option<&UserRef>,
) -> Result<ClientRequest, ErrorFrame> {
    let frame: Incoming = parse(text).map_err(|error| naming(id_of(text), error))?;
    let id = frame.client_message_id;
    let explained = |error: ErrorFrame| naming(id.clone(), error);
    if [frame.room_id, frame.chat_id].iter().flatten().any(|room| room.0 != chat_id.0) {
        let text = "This connection is another room's. Open one for that room.";
        return Err(explained(Box::new(refusal(None, Code::RoomMismatch, text))));
    }
    if let Some(user) = user {
        if frame.user_id.is_some_and(|user_id| user_id.0 != user.id.0) {
            return Err(explained(identity_mismatch("user_id")));
        }
        if frame.username.is_some_and(|name| !is_name_of(&name, &user.username)) {
            return Err(explained(identity_mismatch("username")));
        }
    }
    Ok(ClientRequest::Frame(match frame.r#type.as_deref() {
        None | Some("message") => match frame.text.or(frame.content) {
            Some(text) => ClientFrame::Send { id, chat_id, text, reply_to: None },
            None => return Err(explained(invalid("missing field `text`"))),
        },
        Some("read") => match frame.message_id {
            Some(message) => ClientFrame::Read { chat_id, message_id: Seq(message.0) },
            None => return Err(invalid("missing field `message_id`")),
        },
        Some(_) => return Err(explained(unknown_type())),
    }))
}

/// Names the frame's id in its error, so that the client knows which frame failed. A longer id is not repeated: the
/// answer must not grow with what a client sends.
fn naming(id: Option<String>, mut error: ErrorFrame) -> ErrorFrame {
    if let ServerFrame::Error { id: of, .. } = &mut *error {
        *of = id.filter(|id| id.len() <= MAX_CLIENT_ID_BYTES);
    }
    error
}

/// The id of a frame of which something else cannot be read, such as a text that ends with half an emoji.
fn id_of(text: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct IdOnly {
        client_message_id: String,
    }
    serde_json::from_str(text).ok().map(|IdOnly { client_message_id }| client_message_id)
}

#[derive(Serialize)]
struct MessageFrame<'a> {
    r#type: &'static str,
    id: Seq,
    chat_id: ChatId,
    room_id: ChatId,
    sender_id: UserId,
    user_id: UserId,
    username: &'a str,
    text: &'a str,
    content: &'a str,
    timestamp: Timestamp,
    guest: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_message_id: Option<&'a str>,
}

#[derive(Serialize)]
struct ReadFrame {
    r#type: &'static str,
    message_id: Seq,
    reader_id: UserId,
    chat_id: ChatId,
}

/// Encodes a message.
pub(super) fn encode_event(event: &ChatEvent) -> Option<Frame> {
    new_message(event).map(|message| {
        native::encode(&MessageFrame {
            r#type: "message",
            id: message.id,
            chat_id: event.chat_id,
            room_id: event.chat_id,
            sender_id: message.sender.id,
            user_id: message.sender.id,
            username: &message.sender.username,
            text: &message.text,
            content: &message.text,
            timestamp: message.timestamp,
            guest: message.sender.guest,
            client_message_id: message.client_message_id.as_deref(),
        })
    })
}

/// Encodes read marks, errors, and a message that one connection gets again.
pub(super) fn encode(frame: &ServerFrame, now: Timestamp) -> Option<Frame> {
    match frame {
        ServerFrame::Read { chat_id, user_id, message_id } => Some(native::encode(&ReadFrame {
            r#type: "read",
            message_id: *message_id,
            reader_id: *user_id,
            chat_id: *chat_id,
        })),
        ServerFrame::Event(event) => encode_event(event),
        _ => encode_error(frame, now),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::{Dialect, samples::*};

    fn read(text: &str) -> Result<ClientRequest, (String, Option<String>)> {
        decode(text, ChatId(12), Some(&ann())).map_err(|error| match *error {
            ServerFrame::Error { code, id, .. } => (code, id),
            other => panic!("{other:?}"),
        })
    }

    fn said(id: Option<&str>) -> Result<ClientRequest, (String, Option<String>)> {
        let (id, text) = (id.map(str::to_owned), "hi".into());
        Ok(ClientRequest::Frame(ClientFrame::Send {
            id,
            chat_id: ChatId(12),
            text,
            reply_to: None,
        }))
    }

    #[test]
    fn both_spellings_are_understood() {
        for text in [
            r#"{"content":"hi","room_id":12,"user_id":3,"username":"ann"}"#,
            r#"{"content":"hi","room_id":"12","user_id":"3","username":"Ann"}"#,
            r#"{"content":"hi"}"#,
            r#"{"type":"message","text":"hi"}"#,
            r#"{"type":"message","text":"hi","client_message_id":null,"chat_id":12,"x":{}}"#,
        ] {
            assert_eq!(read(text), said(None), "{text}");
        }
        assert_eq!(
            read(r#"{"type":"message","text":"hi","client_message_id":"c1"}"#),
            said(Some("c1"))
        );
        assert_eq!(
            read(r#"{"type":"read","message_id":7}"#),
            Ok(ClientRequest::Frame(ClientFrame::Read { chat_id: ChatId(12), message_id: Seq(7) }))
        );
    }

    #[test]
    fn bad_frames_are_explained() {
        for (text, expected, id) in [
            ("[]", "malformed", None),
            (r#"{"content":"hi""#, "malformed", None),
            ("{}", "invalid_frame", None),
            (r#"{"content":7}"#, "invalid_frame", None),
            (r#"{"content":7,"client_message_id":"c"}"#, "invalid_frame", Some("c")),
            (r#"{"text":"half \ud83d","client_message_id":"c"}"#, "malformed", Some("c")),
            (r#"{"client_message_id":"half \ud83d"}"#, "malformed", None),
            (r#"{"type":"read"}"#, "invalid_frame", None),
            (r#"{"type":"read","message_id":1.5}"#, "invalid_frame", None),
            (r#"{"type":"read","message_id":9223372036854775808}"#, "invalid_frame", None),
            (r#"{"type":"message","client_message_id":"c"}"#, "invalid_frame", Some("c")),
            (r#"{"type":"typing","client_message_id":"c"}"#, "unknown_type", Some("c")),
            (r#"{"content":"hi","room_id":13}"#, "room_mismatch", None),
            (r#"{"text":"hi","chat_id":13,"client_message_id":"c"}"#, "room_mismatch", Some("c")),
            (r#"{"content":"hi","user_id":4}"#, "identity_mismatch", None),
            (r#"{"content":"hi","username":"bob"}"#, "identity_mismatch", None),
        ] {
            assert_eq!(read(text), Err((expected.into(), id.map(str::to_owned))), "{text}");
        }
    }

    #[test]
    fn what_it_says() {
        let mut event = message_event();
        let frame = Dialect::Chat.encode_event(&event, None).unwrap();
        assert_eq!(
            frame.text(),
            r#"{"type":"message","id":7,"chat_id":12,"room_id":12,"sender_id":3,"user_id":3,"username":"ann","text":"hi","content":"hi","timestamp":"2023-11-14T22:13:20.007Z","guest":false,"client_message_id":"c1"}"#
        );
        message_of(&mut event).client_message_id = None;
        let frame = encode(&ServerFrame::Event(event), NOW).unwrap();
        assert!(frame.text().ends_with(r#""guest":false}"#), "{frame:?}");
        let (chat_id, user_id, message_id) = (ChatId(12), UserId(3), Seq(7));
        let frame = encode(&ServerFrame::Read { chat_id, user_id, message_id }, NOW).unwrap();
        assert_eq!(frame.text(), r#"{"type":"read","message_id":7,"reader_id":3,"chat_id":12}"#);
        let error = refusal(Some("c1".into()), Code::InvalidText, "No.");
        assert_eq!(
            encode(&error, NOW).unwrap().text(),
            r#"{"type":"error","code":"invalid_text","message":"No.","timestamp":"2023-11-14T22:13:20.007Z","client_message_id":"c1"}"#
        );
        only_messages_and_errors(Dialect::Chat);
    }
}
