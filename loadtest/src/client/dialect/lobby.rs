//! `WS /ws`: the lobby. Everybody in it is shown every message, its sender too, which is the only
//! acknowledgement; nothing is sent twice, since there is no key to know a repeat by. It has neither
//! edits nor read marks.

use super::{ClientMessage, CommandKind, Me, Observation, Of, ServerMessage, refusal::ErrorFrame};
use protocol::id::{ChatId, Seq};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

#[derive(Serialize)]
struct LobbyClientFrame<'a> {
    r#type: &'static str,
    username: &'a str,
    message: &'a str,
}

/// A frame as text.
pub(crate) fn encode(me: Me<'_>, outgoing: ClientMessage<'_>) -> Option<String> {
    let ClientMessage::Command { kind: CommandKind::Send, chat: ChatId::LOBBY, text, .. } =
        outgoing
    else {
        return None;
    };
    let (r#type, username) = ("chat_message", me.username);
    serde_json::to_string(&LobbyClientFrame { r#type, username, message: text }).ok()
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum LobbyServerFrame<'a> {
    ChatMessage {
        id: Seq,
        #[serde(borrow)]
        message: Cow<'a, str>,
    },
    UserJoined {},
    Error(ErrorFrame),
}

/// What a server's text means.
pub(crate) fn decode(run: &str, text: &str) -> ServerMessage {
    match serde_json::from_str(text) {
        Ok(LobbyServerFrame::ChatMessage { id, message }) => {
            ServerMessage::Event(Observation::text(run, ChatId::LOBBY, id, &message))
        }
        Ok(LobbyServerFrame::UserJoined {}) => ServerMessage::Ephemeral,
        Ok(LobbyServerFrame::Error(refusal)) => refusal.into_message(Of::Oldest),
        Err(_) => ServerMessage::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::dialect::samples::*;
    use std::time::Duration;

    #[test]
    fn only_messages_to_the_lobby_have_words() {
        assert_eq!(
            encode(ME, ClientMessage::send("k", ChatId::LOBBY, "hi")).as_deref(),
            Some(r#"{"type":"chat_message","username":"ann","message":"hi"}"#)
        );
        assert_eq!(encode(ME, ClientMessage::send("k", ChatId(12), "hi")), None);
        assert_eq!(encode(ME, ClientMessage::Typing { chat: ChatId::LOBBY }), None);
    }

    #[test]
    fn what_the_server_says_is_understood() {
        let text = stamped();
        let frame = format!(
            r#"{{"type":"chat_message","id":7,"username":"ann","message":"{text}","timestamp":"2023-11-14T22:13:20.007Z","guest":false}}"#
        );
        assert_is_message(decode(RUN, &frame), ChatId::LOBBY, &text);
        let escaped = r#"{"type":"chat_message","id":7,"username":"a","message":"\"hi\"","timestamp":"2023-11-14T22:13:20.007Z","guest":true}"#;
        let ServerMessage::Event(observation) = decode(RUN, escaped) else { panic!() };
        assert_eq!((observation.stamp, observation.message), (None, Some(Seq(7))));
        let joined =
            r#"{"type":"user_joined","username":"Zoe","timestamp":"2023-11-14T22:13:20.007Z"}"#;
        assert_eq!(decode(RUN, joined), ServerMessage::Ephemeral);
        let error = r#"{"type":"error","code":"rate_limited","message":"Too many frames.","timestamp":"2023-11-14T22:13:20.007Z","retry_after_ms":1000}"#;
        let (of, code) = (Of::Oldest, "rate_limited".to_owned());
        let retry_after = Some(Duration::from_secs(1));
        assert_eq!(decode(RUN, error), ServerMessage::Refused { of, code, retry_after });
        for other in ["", "{}", r#"{"type":"message","text":"x"}"#, r#"{"type":"chat_message"}"#] {
            assert_eq!(decode(RUN, other), ServerMessage::Unknown, "{other}");
        }
    }
}
