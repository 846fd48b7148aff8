//! What the dialects' tests share: one user, one message, one of each other frame.

use super::{Dialect, ErrorFrame, refusal};
use protocol::{
    chat::{Change, ChatSettings, Event, MemberChange, Message, PresenceStatus, UserRef},
    code::Code,
    frames::{ChatEvent, ServerFrame, Typist},
    id::{ChatId, Seq, UserId},
    time::Timestamp,
};

pub(crate) const NOW: Timestamp = Timestamp(1_700_000_000_007);

pub(crate) fn ann() -> UserRef {
    UserRef::registered(UserId(3), "ann")
}

fn message() -> Message {
    Message {
        id: Seq(7),
        sender: ann(),
        text: "hi".into(),
        timestamp: NOW,
        client_message_id: Some("c1".into()),
        reply_to: None,
        edited_at: None,
    }
}

fn event(change: Change) -> ChatEvent {
    ChatEvent { chat_id: ChatId(12), event: Event { seq: Seq(7), change } }
}

pub(crate) fn message_event() -> ChatEvent {
    event(Change::Message(message()))
}

pub(crate) fn message_of(event: &mut ChatEvent) -> &mut Message {
    match &mut event.event.change {
        Change::Message(message) => message,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn ack() -> ServerFrame {
    let (chat_id, message_id, seq) = (ChatId(12), Seq(7), Seq(7));
    ServerFrame::Ack { id: None, chat_id, message_id, seq, timestamp: NOW }
}

pub(crate) fn code(error: ErrorFrame) -> String {
    match *error {
        ServerFrame::Error { code, .. } => code,
        other => panic!("{other:?}"),
    }
}

/// Checks that an older dialect encodes errors and messages, and nothing that its clients do
/// not know.
pub(crate) fn only_messages_and_errors(dialect: Dialect) {
    assert!(dialect.encode(&refusal(None, Code::Blocked, "No."), NOW).is_some());
    let (by, user, timestamp) = (UserId(3), ann(), NOW);
    for change in [
        Change::Edited(message()),
        Change::Deleted { id: Seq(7), by, timestamp },
        Change::Member { user: user.clone(), change: MemberChange::Joined, by, timestamp },
        Change::Renamed { name: "x".into(), by, timestamp },
        Change::Owner { user, by, timestamp },
    ] {
        assert_eq!(dialect.encode_event(&event(change), Some(UserId(4))), None);
    }
    let chat_id = ChatId(12);
    for frame in [
        ServerFrame::Typing { chat_id, who: Typist::One { user: ann() } },
        ServerFrame::Typing { chat_id, who: Typist::Many { count: 3 } },
        ServerFrame::Presence { user_id: by, status: PresenceStatus::Online },
        ServerFrame::ChatSettings { chat_id, settings: ChatSettings::default() },
        ServerFrame::ChatRemoved { chat_id },
        ServerFrame::CaughtUp { chat_id, seq: Seq(7) },
        ServerFrame::Reconnect { after_ms: 1 },
        ServerFrame::Announcement { announcement: None },
    ] {
        assert_eq!(dialect.encode(&frame, NOW), None, "{frame:?}");
    }
}
