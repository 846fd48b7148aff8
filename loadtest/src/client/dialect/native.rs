//! `WS /gateway`, the native dialect, in the types of [`shared::protocol`].

use super::{Heard, Of, Said, Saying};
use shared::protocol::{ClientFrame, Resume, ServerFrame};
use std::time::Duration;

/// A frame as text.
pub fn encode(saying: Saying<'_>) -> Option<String> {
    let frame = match saying {
        Saying::Hello { token, epoch, cursors } => ClientFrame::Hello {
            token: Some(token.to_owned()),
            resume: epoch.map(|epoch| Resume {
                epoch: epoch.to_owned(),
                cursors: cursors.iter().copied().collect(),
            }),
        },
        Saying::Send { key, chat, text } => ClientFrame::Send {
            id: Some(key.to_owned()),
            chat_id: chat,
            text: text.to_owned(),
            reply_to: None,
        },
        Saying::Edit { key, chat, message, text } => ClientFrame::Edit {
            id: Some(key.to_owned()),
            chat_id: chat,
            message_id: message,
            text: text.to_owned(),
        },
        Saying::Delete { key, chat, message } => {
            ClientFrame::Delete { id: Some(key.to_owned()), chat_id: chat, message_id: message }
        }
        Saying::Read { chat, message } => ClientFrame::Read { chat_id: chat, message_id: message },
        Saying::Typing { chat } => ClientFrame::Typing { chat_id: chat },
        Saying::Token(token) => ClientFrame::Token { id: None, token: token.to_owned() },
    };
    serde_json::to_string(&frame).ok()
}

/// What a server's text means.
pub fn decode(run: &str, text: &str) -> Said {
    let Ok(frame) = serde_json::from_str(text) else { return Said::Unknown };
    match frame {
        ServerFrame::Ready { epoch, heartbeat_ms, chats, .. } => Said::Ready {
            epoch,
            heartbeat: Duration::from_millis(heartbeat_ms),
            chats: chats.iter().map(|chat| (chat.id, chat.seq)).collect(),
        },
        ServerFrame::Event(event) => Said::Event(Heard::numbered(run, event)),
        ServerFrame::CaughtUp { chat_id, seq } => Said::CaughtUp { chat: chat_id, seq },
        ServerFrame::Resync { chat_id, seq } => Said::Resync { chat: chat_id, seq },
        ServerFrame::Ack { id, chat_id, message_id, seq, .. } => {
            Said::Ack { of: of(id), chat: chat_id, message: message_id, seq }
        }
        ServerFrame::Error { id, code, retry_after_ms, .. } => Said::Refused {
            of: of(id),
            code,
            retry_after: retry_after_ms.map(Duration::from_millis),
        },
        ServerFrame::Chat { chat } | ServerFrame::Subscribed { chat, .. } => {
            Said::Live { chat: chat.id, seq: chat.seq }
        }
        ServerFrame::ChatRemoved { chat_id } | ServerFrame::Unsubscribed { chat_id, .. } => {
            Said::ChatRemoved(chat_id)
        }
        ServerFrame::Reconnect { after_ms } => Said::Reconnect(Duration::from_millis(after_ms)),
        ServerFrame::Read { .. } | ServerFrame::Typing { .. } | ServerFrame::Presence { .. } => {
            Said::Ephemeral
        }
        ServerFrame::TokenAccepted { .. } | ServerFrame::Pong { .. } => Said::Other,
    }
}

fn of(id: Option<String>) -> Of {
    id.map_or(Of::Nothing, Of::Key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{Stamp, dialect::Content, key, text};
    use shared::id::{ChatId, Seq};

    #[test]
    fn what_a_device_says_is_a_frame_of_the_protocol() {
        let cursors = [(ChatId(12), Seq(41))];
        for (saying, json) in [
            (
                Saying::Hello { token: "t", epoch: Some("e"), cursors: &cursors },
                r#"{"type":"hello","token":"t","resume":{"epoch":"e","cursors":{"12":41}}}"#,
            ),
            (
                Saying::Hello { token: "t", epoch: None, cursors: &[] },
                r#"{"type":"hello","token":"t"}"#,
            ),
            (
                Saying::Send { key: "k", chat: ChatId(12), text: "hi" },
                r#"{"type":"send","id":"k","chat_id":12,"text":"hi"}"#,
            ),
            (Saying::Typing { chat: ChatId(12) }, r#"{"type":"typing","chat_id":12}"#),
        ] {
            assert_eq!(encode(saying).as_deref(), Some(json));
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
        let Said::Event(heard) = decode("r", &json) else { panic!("{json}") };
        assert_eq!((heard.chat, heard.message), (ChatId(12), Some(Seq(41))));
        assert_eq!(heard.stamp, Some(stamp));
        assert!(matches!(heard.what, Content::Numbered(event) if event.event.seq == Seq(41)));
        let Said::Event(heard) = decode("other", &json) else { panic!("{json}") };
        assert_eq!(heard.stamp, None);
        assert_eq!(decode("r", "{}"), Said::Unknown);
    }
}
