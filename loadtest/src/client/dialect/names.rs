//! `WS /ws/chat`: private messages between usernames. A sender is told that its message is stored,
//! by a status that says in which chat but not which message; its messages are shown to the other
//! one only. There is no key: nothing is sent twice.

use super::{ClientMessage, CommandKind, Observation, Of, PrivatePeer, ServerMessage};
use protocol::id::{ChatId, Seq};
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, time::Duration};

#[derive(Serialize)]
struct NamesClientFrame<'a> {
    username_to: &'a str,
    message: &'a str,
}

/// A frame to one of these, as text.
pub(crate) fn encode(peers: &[PrivatePeer], outgoing: ClientMessage<'_>) -> Option<String> {
    let ClientMessage::Command { kind: CommandKind::Send, chat, text, .. } = outgoing else {
        return None;
    };
    let peer = peers.iter().find(|peer| peer.chat == chat)?;
    serde_json::to_string(&NamesClientFrame { username_to: &peer.username, message: text }).ok()
}

#[derive(Deserialize)]
#[serde(untagged)]
enum NamesServerFrame<'a> {
    Status(#[serde(borrow)] NamesStatus<'a>),
    Message {
        #[serde(borrow, rename = "username_from")]
        _from: Cow<'a, str>,
        #[serde(borrow)]
        message: Cow<'a, str>,
        id: Seq,
        chat_id: ChatId,
    },
}

#[derive(Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
enum NamesStatus<'a> {
    Success {
        id: Seq,
        chat_id: ChatId,
    },
    Error {
        #[serde(borrow)]
        code: Cow<'a, str>,
        retry_after_ms: Option<u64>,
    },
}

/// What a server's text means.
pub(crate) fn decode(run: &str, text: &str) -> ServerMessage {
    match serde_json::from_str(text) {
        Ok(NamesServerFrame::Message { message, id, chat_id, .. }) => {
            ServerMessage::Event(Observation::text(run, chat_id, id, &message))
        }
        Ok(NamesServerFrame::Status(NamesStatus::Success { id, chat_id })) => {
            ServerMessage::Ack { of: Of::OldestIn(chat_id), chat: chat_id, message: id, seq: id }
        }
        Ok(NamesServerFrame::Status(NamesStatus::Error { code, retry_after_ms })) => {
            ServerMessage::Refused {
                of: Of::Oldest,
                code: code.into_owned(),
                retry_after: retry_after_ms.map(Duration::from_millis),
            }
        }
        Err(_) => ServerMessage::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::dialect::samples::*;

    #[test]
    fn a_message_is_addressed_by_name() {
        let send = |chat| ClientMessage::send("k", chat, "hi");
        assert_eq!(
            encode(&peers(), send(ChatId(12))).as_deref(),
            Some(r#"{"username_to":"bob","message":"hi"}"#)
        );
        assert_eq!(encode(&peers(), send(ChatId(99))), None);
        assert_eq!(
            encode(&peers(), ClientMessage::Read { chat: ChatId(12), message: Seq(7) }),
            None
        );
    }

    #[test]
    fn what_the_server_says_is_understood() {
        let text = stamped();
        let frame = format!(
            r#"{{"username_from":"ann","message":"{text}","id":7,"chat_id":12,"timestamp":"2023-11-14T22:13:20.007Z"}}"#
        );
        assert_is_message(decode(RUN, &frame), ChatId(12), &text);
        let (chat, place) = (ChatId(12), Seq(7));
        assert_eq!(
            decode(
                RUN,
                r#"{"status":"success","error":null,"id":7,"chat_id":12,"timestamp":"2023-11-14T22:13:20.007Z"}"#
            ),
            ServerMessage::Ack { of: Of::OldestIn(chat), chat, message: place, seq: place }
        );
        let (of, code) = (Of::Oldest, "rate_limited".to_owned());
        let retry_after = Some(Duration::from_secs(1));
        assert_eq!(
            decode(
                RUN,
                r#"{"status":"error","error":"Too many frames.","code":"rate_limited","retry_after_ms":1000}"#
            ),
            ServerMessage::Refused { of, code, retry_after }
        );
        for other in ["", "{}", r#"{"type":"error","code":"x"}"#, r#"{"status":"maybe"}"#] {
            assert_eq!(decode(RUN, other), ServerMessage::Unknown, "{other}");
        }
    }
}
