//! `WS /gateway`, the native dialect, in the types of [`protocol::frames`].

use super::{ClientMessage, CommandKind, Observation, Of, ServerMessage};
use protocol::frames::{ClientFrame, Resume, ServerFrame};
use std::time::Duration;

/// A frame as text.
pub(crate) fn encode(outgoing: ClientMessage<'_>) -> Option<String> {
    let frame = match outgoing {
        ClientMessage::Hello { token, epoch, cursors } => ClientFrame::hello(
            Some(token.to_owned()),
            epoch.map(|epoch| Resume {
                epoch: epoch.to_owned(),
                cursors: cursors.iter().copied().collect(),
            }),
        ),
        ClientMessage::Command { kind, key, chat: chat_id, text } => {
            let (id, text) = (Some(key.to_owned()), text.to_owned());
            match kind {
                CommandKind::Send => ClientFrame::Send { id, chat_id, text, reply_to: None },
                CommandKind::Edit(message_id) => {
                    ClientFrame::Edit { id, chat_id, message_id, text }
                }
                CommandKind::Delete(message_id) => ClientFrame::Delete { id, chat_id, message_id },
            }
        }
        ClientMessage::Read { chat, message } => {
            ClientFrame::Read { chat_id: chat, message_id: message }
        }
        ClientMessage::Typing { chat } => ClientFrame::Typing { chat_id: chat },
        ClientMessage::Token(token) => ClientFrame::Token { id: None, token: token.to_owned() },
    };
    serde_json::to_string(&frame).ok()
}

/// What a server's text means.
pub(crate) fn decode(run: &str, text: &str) -> ServerMessage {
    let Ok(frame) = serde_json::from_str(text) else { return ServerMessage::Unknown };
    match frame {
        ServerFrame::Ready { epoch, heartbeat_ms, chats, .. } => ServerMessage::Ready {
            epoch,
            heartbeat: Duration::from_millis(heartbeat_ms),
            chats: chats.iter().map(|chat| (chat.id, chat.seq)).collect(),
        },
        ServerFrame::Event(event) => ServerMessage::Event(Observation::numbered(run, event)),
        ServerFrame::CaughtUp { chat_id, seq } => ServerMessage::CaughtUp { chat: chat_id, seq },
        ServerFrame::Resync { chat_id, seq } => ServerMessage::Resync { chat: chat_id, seq },
        ServerFrame::Ack { id, chat_id, message_id, seq, .. } => {
            ServerMessage::Ack { of: of(id), chat: chat_id, message: message_id, seq }
        }
        ServerFrame::Error { id, code, retry_after_ms, .. } => ServerMessage::Refused {
            of: of(id),
            code,
            retry_after: retry_after_ms.map(Duration::from_millis),
        },
        ServerFrame::Chat { chat } | ServerFrame::Subscribed { chat, .. } => {
            ServerMessage::Live { chat: chat.id, seq: chat.seq }
        }
        ServerFrame::ChatRemoved { chat_id } | ServerFrame::Unsubscribed { chat_id, .. } => {
            ServerMessage::ChatRemoved(chat_id)
        }
        ServerFrame::Reconnect { after_ms } => {
            ServerMessage::Reconnect(Duration::from_millis(after_ms))
        }
        ServerFrame::Read { .. } | ServerFrame::Typing { .. } | ServerFrame::Presence { .. } => {
            ServerMessage::Ephemeral
        }
        ServerFrame::TokenAccepted { .. }
        | ServerFrame::Pong { .. }
        | ServerFrame::Announcement { .. }
        | ServerFrame::ChatSettings { .. } => ServerMessage::Other,
    }
}

fn of(id: Option<String>) -> Of {
    id.map_or(Of::Nothing, Of::Key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{
        Stamp,
        dialect::Content,
        stamp::{key, text},
    };
    use protocol::id::{ChatId, Seq};

    #[test]
    fn what_a_device_says_is_a_frame_of_the_protocol() {
        let cursors = [(ChatId(12), Seq(41))];
        for (outgoing, json) in [
            (
                ClientMessage::Hello { token: "t", epoch: Some("e"), cursors: &cursors },
                r#"{"type":"hello","token":"t","version":1,"resume":{"epoch":"e","cursors":{"12":41}}}"#,
            ),
            (
                ClientMessage::Hello { token: "t", epoch: None, cursors: &[] },
                r#"{"type":"hello","token":"t","version":1}"#,
            ),
            (
                ClientMessage::send("k", ChatId(12), "hi"),
                r#"{"type":"send","id":"k","chat_id":12,"text":"hi"}"#,
            ),
            (ClientMessage::Typing { chat: ChatId(12) }, r#"{"type":"typing","chat_id":12}"#),
        ] {
            assert_eq!(encode(outgoing).as_deref(), Some(json));
        }
    }

    #[test]
    fn a_message_of_the_run_is_known_by_its_stamp() {
        let stamp = Stamp { device: 3, n: 9, due_micros: 17 };
        let json = format!(
            r#"{{"type":"message","chat_id":12,"seq":41,"id":41,"sender":{{"id":7,"username":"ann"}},
                "text":"{}","timestamp":"2026-11-21T10:00:00.000Z","client_message_id":"{}"}}"#,
            text("r", stamp, 100),
            key("r", 3, 9),
        );
        let ServerMessage::Event(observation) = decode("r", &json) else { panic!("{json}") };
        assert_eq!((observation.chat, observation.message), (ChatId(12), Some(Seq(41))));
        assert_eq!(observation.stamp, Some(stamp));
        assert!(matches!(observation.what, Content::Numbered(event) if event.event.seq == Seq(41)));
        let ServerMessage::Event(observation) = decode("other", &json) else { panic!("{json}") };
        assert_eq!(observation.stamp, None);
        assert_eq!(decode("r", "{}"), ServerMessage::Unknown);
    }
}
