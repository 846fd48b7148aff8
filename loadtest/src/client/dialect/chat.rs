//! `WS /ws/{chat_id}`: one chat of any kind. Everybody in it is shown every message, its sender too,
//! which is the acknowledgement. Of the two kinds of clients that speak it, this is the one with keys: a
//! message that is sent again is stored once, and its sender is shown the stored one again.

use super::{ClientMessage, CommandKind, Observation, Of, ServerMessage, refusal::ErrorFrame};
use protocol::id::{ChatId, Seq};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum ChatClientFrame<'a> {
    Message { text: &'a str, client_message_id: &'a str },
    Read { message_id: Seq },
}

/// A frame in the window of this chat, as text.
pub(crate) fn encode(window: ChatId, outgoing: ClientMessage<'_>) -> Option<String> {
    let frame = match outgoing {
        ClientMessage::Command { kind: CommandKind::Send, key, chat, text } if chat == window => {
            ChatClientFrame::Message { text, client_message_id: key }
        }
        ClientMessage::Read { chat, message } if chat == window => {
            ChatClientFrame::Read { message_id: message }
        }
        ClientMessage::Command { .. }
        | ClientMessage::Read { .. }
        | ClientMessage::Hello { .. }
        | ClientMessage::Typing { .. }
        | ClientMessage::Token(_) => return None,
    };
    serde_json::to_string(&frame).ok()
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum ChatServerFrame<'a> {
    Message {
        id: Seq,
        chat_id: ChatId,
        #[serde(borrow)]
        text: Cow<'a, str>,
    },
    Read {},
    Error(ErrorFrame),
}

/// What a server's text means.
pub(crate) fn decode(run: &str, text: &str) -> ServerMessage {
    match serde_json::from_str(text) {
        Ok(ChatServerFrame::Message { id, chat_id, text }) => {
            ServerMessage::Event(Observation::text(run, chat_id, id, &text))
        }
        Ok(ChatServerFrame::Read {}) => ServerMessage::Ephemeral,
        Ok(ChatServerFrame::Error(refusal)) => refusal.into_message(Of::Nothing),
        Err(_) => ServerMessage::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::dialect::samples::*;

    #[test]
    fn messages_and_read_marks_of_its_chat_have_words() {
        let (chat, message) = (ChatId(12), Seq(7));
        for (outgoing, json) in [
            (
                ClientMessage::send("k", chat, "hi"),
                r#"{"type":"message","text":"hi","client_message_id":"k"}"#,
            ),
            (ClientMessage::Read { chat, message }, r#"{"type":"read","message_id":7}"#),
        ] {
            assert_eq!(encode(chat, outgoing).as_deref(), Some(json));
            assert_eq!(encode(ChatId(13), outgoing), None);
        }
        let kind = CommandKind::Delete(message);
        let delete = ClientMessage::Command { kind, key: "k", chat, text: "" };
        assert_eq!(encode(chat, delete), None);
    }

    #[test]
    fn what_the_server_says_is_understood() {
        let text = stamped();
        let frame = format!(
            r#"{{"type":"message","id":7,"chat_id":12,"room_id":12,"sender_id":3,"user_id":3,"username":"ann","text":"{text}","content":"{text}","timestamp":"2023-11-14T22:13:20.007Z","guest":false,"client_message_id":"k"}}"#
        );
        assert_is_message(decode(RUN, &frame), ChatId(12), &text);
        let read = r#"{"type":"read","message_id":7,"reader_id":4,"chat_id":12}"#;
        assert_eq!(decode(RUN, read), ServerMessage::Ephemeral);
        for (key, of) in
            [(r#","client_message_id":"k""#, Of::Key("k".to_owned())), ("", Of::Nothing)]
        {
            let error = format!(
                r#"{{"type":"error","code":"not_a_member","message":"No.","timestamp":"2023-11-14T22:13:20.007Z"{key}}}"#
            );
            let code = "not_a_member".to_owned();
            assert_eq!(decode(RUN, &error), ServerMessage::Refused { of, code, retry_after: None });
        }
        for other in ["", "{}", r#"{"type":"chat_message","id":1,"message":"x"}"#] {
            assert_eq!(decode(RUN, other), ServerMessage::Unknown, "{other}");
        }
    }
}
