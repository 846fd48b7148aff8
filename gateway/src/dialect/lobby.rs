//! `WS /ws`: one public lobby. A frame names its author. A guest's frame gives the guest its name; a signed-in
//! user's frame must have the user's own. The dialect has no words for other chats, edits or read marks.

use super::{
    ClientRequest, ErrorFrame, encode_error, identity_mismatch, native, new_message,
    text::{invalid, parse, unknown_type},
};
use crate::wire::frame::Frame;
use platform::text::is_name_of;
use protocol::{
    chat::UserRef,
    frames::{ChatEvent, ClientFrame, ServerFrame},
    id::{ChatId, Seq},
    time::Timestamp,
};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
struct Incoming {
    r#type: String,
    username: Option<String>,
    message: Option<String>,
}

/// Decodes a client's frame. A guest has no name until a frame gives it one.
pub fn decode(text: &str, user: Option<&UserRef>) -> Result<ClientRequest, ErrorFrame> {
    let Incoming { r#type, username, message } = parse(text)?;
    let text = match r#type.as_str() {
        "chat_message" => Some(message.ok_or_else(|| invalid("missing field `message`"))?),
        "user_joined" => None,
        _ => return Err(unknown_type()),
    };
    let Some(user) = user else {
        let name = username.ok_or_else(|| invalid("missing field `username`"))?;
        return Ok(ClientRequest::Guest { name, text });
    };
    if username.is_some_and(|name| !is_name_of(&name, &user.username)) {
        return Err(identity_mismatch("username"));
    }
    Ok(match text {
        Some(text) => ClientRequest::Frame(ClientFrame::Send {
            id: None,
            chat_id: ChatId::LOBBY,
            text,
            reply_to: None,
        }),
        // The user was announced when it connected.
        None => ClientRequest::Nothing,
    })
}

#[derive(Serialize)]
struct ChatMessage<'a> {
    r#type: &'static str,
    id: Seq,
    username: &'a str,
    message: &'a str,
    timestamp: Timestamp,
    guest: bool,
}

#[derive(Serialize)]
struct UserJoined<'a> {
    r#type: &'static str,
    username: &'a str,
    timestamp: Timestamp,
}

/// Encodes a message in the lobby.
pub fn encode_event(event: &ChatEvent) -> Option<Frame> {
    new_message(event).map(|message| {
        native::encode(&ChatMessage {
            r#type: "chat_message",
            id: message.id,
            username: &message.sender.username,
            message: &message.text,
            timestamp: message.timestamp,
            guest: message.sender.guest,
        })
    })
}

/// The frame that announces a newcomer.
pub fn user_joined(username: &str, at: Timestamp) -> Frame {
    native::encode(&UserJoined { r#type: "user_joined", username, timestamp: at })
}

/// Encodes errors. This dialect's clients understand no other frame.
pub fn encode(frame: &ServerFrame, now: Timestamp) -> Option<Frame> {
    encode_error(frame, now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::{Dialect, refusal, samples::*};
    use protocol::code::Code;

    fn read(text: &str, user: Option<&UserRef>) -> Result<ClientRequest, String> {
        decode(text, user).map_err(code)
    }

    fn said(text: &str) -> ClientRequest {
        let chat_id = ChatId::LOBBY;
        ClientRequest::Frame(ClientFrame::Send {
            id: None,
            chat_id,
            text: text.into(),
            reply_to: None,
        })
    }

    #[test]
    fn a_user_speaks_under_its_own_name() {
        let ann = ann();
        for text in [
            r#"{"type":"chat_message","username":"ann","message":"hi","timestamp":"2026-01-01T00:00:00"}"#,
            r#"{"type":"chat_message","username":"ANN","message":"hi"}"#,
            r#"{"type":"chat_message","message":"hi","username":null,"more":[1]}"#,
        ] {
            assert_eq!(read(text, Some(&ann)), Ok(said("hi")), "{text}");
        }
        let joined = r#"{"type":"user_joined","username":"ann"}"#;
        assert_eq!(read(joined, Some(&ann)), Ok(ClientRequest::Nothing));
        for kind in ["chat_message", "user_joined"] {
            let text = format!(r#"{{"type":"{kind}","username":"bob","message":"hi"}}"#);
            assert_eq!(read(&text, Some(&ann)), Err("identity_mismatch".into()));
        }
    }

    #[test]
    fn a_guest_is_who_its_frame_says() {
        let text = r#"{"type":"chat_message","username":"Zoe","message":"hi"}"#;
        let guest = |text: Option<&str>| ClientRequest::Guest {
            name: "Zoe".into(),
            text: text.map(str::to_owned),
        };
        assert_eq!(read(text, None), Ok(guest(Some("hi"))));
        assert_eq!(read(r#"{"type":"user_joined","username":"Zoe"}"#, None), Ok(guest(None)));
        let nameless = r#"{"type":"chat_message","message":"hi"}"#;
        assert_eq!(read(nameless, None), Err("invalid_frame".into()));
    }

    #[test]
    fn bad_frames_are_explained() {
        let ann = ann();
        for (text, expected) in [
            ("", "malformed"),
            ("hello", "malformed"),
            (r#"["chat_message"]"#, "malformed"),
            (r#"{"type":"chat_message""#, "malformed"),
            ("{}", "invalid_frame"),
            (r#"{"type":7,"message":"hi"}"#, "invalid_frame"),
            (r#"{"type":"chat_message"}"#, "invalid_frame"),
            (r#"{"type":"chat_message","message":["hi"]}"#, "invalid_frame"),
            (r#"{"type":"dance","message":"hi"}"#, "unknown_type"),
        ] {
            assert_eq!(read(text, Some(&ann)), Err(expected.into()), "{text}");
        }
    }

    #[test]
    fn what_it_says() {
        let event = message_event();
        let frame = Dialect::Lobby.encode_event(&event, None).unwrap();
        assert_eq!(
            frame.text(),
            r#"{"type":"chat_message","id":7,"username":"ann","message":"hi","timestamp":"2023-11-14T22:13:20.007Z","guest":false}"#
        );
        assert_eq!(
            user_joined("Zoe", NOW).text(),
            r#"{"type":"user_joined","username":"Zoe","timestamp":"2023-11-14T22:13:20.007Z"}"#
        );
        let error = encode(&refusal(None, Code::Blocked, "No."), NOW).unwrap();
        assert_eq!(
            error.text(),
            r#"{"type":"error","code":"blocked","message":"No.","timestamp":"2023-11-14T22:13:20.007Z"}"#
        );
        only_messages_and_errors(Dialect::Lobby);
    }
}
