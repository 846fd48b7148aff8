//! `WS /messages/{user_id}`: private messages between user ids. A sender is told nothing of a message
//! that was stored; the other one is shown it. There is no key: nothing is sent twice.

use super::{
    ClientMessage, CommandKind, Me, Observation, Of, PrivatePeer, ServerMessage,
    refusal::ErrorFrame,
};
use protocol::id::{ChatId, Seq, UserId};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NumbersClientFrame<'a> {
    sender_id: UserId,
    receiver_id: UserId,
    content: &'a str,
    /// The database's clock counts; this one is not read.
    timestamp: u8,
}

/// A frame to one of these, as text.
pub(crate) fn encode(
    me: Me<'_>,
    peers: &[PrivatePeer],
    outgoing: ClientMessage<'_>,
) -> Option<String> {
    let ClientMessage::Command { kind: CommandKind::Send, chat, text, .. } = outgoing else {
        return None;
    };
    let peer = peers.iter().find(|peer| peer.chat == chat)?;
    let (sender_id, receiver_id) = (me.id, peer.id);
    serde_json::to_string(&NumbersClientFrame {
        sender_id,
        receiver_id,
        content: text,
        timestamp: 0,
    })
    .ok()
}

#[derive(Deserialize)]
#[serde(untagged)]
enum NumbersServerFrame<'a> {
    Message {
        #[serde(borrow)]
        content: Cow<'a, str>,
        id: Seq,
        chat_id: ChatId,
    },
    Error(ErrorFrame),
}

/// What a server's text means.
pub(crate) fn decode(run: &str, text: &str) -> ServerMessage {
    match serde_json::from_str(text) {
        Ok(NumbersServerFrame::Message { content, id, chat_id }) => {
            ServerMessage::Event(Observation::text(run, chat_id, id, &content))
        }
        // Whatever was written counts as answered already.
        Ok(NumbersServerFrame::Error(refusal)) => refusal.into_message(Of::Nothing),
        Err(_) => ServerMessage::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::dialect::samples::*;

    #[test]
    fn a_message_is_addressed_by_number() {
        let send = |chat| ClientMessage::send("k", chat, "hi");
        assert_eq!(
            encode(ME, &peers(), send(ChatId(12))).as_deref(),
            Some(r#"{"senderId":3,"receiverId":4,"content":"hi","timestamp":0}"#)
        );
        assert_eq!(encode(ME, &peers(), send(ChatId(99))), None);
        assert_eq!(encode(ME, &peers(), ClientMessage::Typing { chat: ChatId(12) }), None);
    }

    #[test]
    fn what_the_server_says_is_understood() {
        let text = stamped();
        let frame = format!(
            r#"{{"senderId":3,"receiverId":4,"content":"{text}","timestamp":1700000000,"id":7,"chat_id":12}}"#
        );
        assert_is_message(decode(RUN, &frame), ChatId(12), &text);
        let error = r#"{"type":"error","code":"recipient_blocked","message":"No.","timestamp":"2023-11-14T22:13:20.007Z"}"#;
        let (of, code) = (Of::Nothing, "recipient_blocked".to_owned());
        assert_eq!(decode(RUN, error), ServerMessage::Refused { of, code, retry_after: None });
        for other in ["", "{}", r#"{"senderId":3,"receiverId":4,"content":"x"}"#] {
            assert_eq!(decode(RUN, other), ServerMessage::Unknown, "{other}");
        }
    }
}
