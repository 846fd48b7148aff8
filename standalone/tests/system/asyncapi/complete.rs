//! Nothing is missing in the document and nothing is in it that is not in the product: frames, error
//! codes, closes. A new variant of one of the enums here does not compile until it has an arm, and
//! does not pass until it is in the document.

use super::document::{Frame, document};
use protocol::{
    chat::Change,
    close::{Close, Retry},
    code::Code,
    frames::{ClientFrame, ServerFrame},
};
use serde_json::Value;
use std::collections::BTreeSet;

/// All variants of an enum by the names they have on the wire. The match is what makes a new variant
/// a compile error.
macro_rules! wire_names {
    ($list:ident: $of:ident { $($variant:ident => $name:literal,)+ }) => {
        const $list: &[&str] = &[$($name),+];
        const _: fn(&$of) -> &'static str = |it| match it { $($of::$variant { .. } => $name,)+ };
    };
}

wire_names!(CLIENT: ClientFrame {
    Hello => "hello",
    Send => "send",
    Edit => "edit",
    Delete => "delete",
    Read => "read",
    Typing => "typing",
    Subscribe => "subscribe",
    Unsubscribe => "unsubscribe",
    Token => "token",
    Ping => "ping",
});
wire_names!(SERVER: ServerFrame {
    Ready => "ready",
    CaughtUp => "caught_up",
    Resync => "resync",
    Ack => "ack",
    Read => "read",
    Typing => "typing",
    Presence => "presence",
    Chat => "chat",
    ChatSettings => "chat_settings",
    ChatRemoved => "chat_removed",
    Subscribed => "subscribed",
    Unsubscribed => "unsubscribed",
    TokenAccepted => "token_accepted",
    Pong => "pong",
    Announcement => "announcement",
    Reconnect => "reconnect",
    Error => "error",
    Event => "",
});
wire_names!(EVENTS: Change {
    Message => "message",
    Edited => "edited",
    Deleted => "deleted",
    Member => "member",
    Renamed => "renamed",
    Owner => "owner",
    // What a newer node knows is in the newer document.
    Unknown => "",
});
/// Whether error frames say this code. A new code does not compile until that is decided here.
fn is_said_on_sockets(code: Code) -> bool {
    match code {
        Code::AlreadyGreeted
        | Code::ClientMessageIdReused
        | Code::HelloRequired
        | Code::InvalidFrame
        | Code::InvalidId
        | Code::InvalidUsername
        | Code::Malformed
        | Code::RecipientIsYourself
        | Code::RoomMismatch
        | Code::TextOnly
        | Code::TooManyChats
        | Code::UnknownType
        | Code::UsernameTaken
        | Code::SessionEnded
        | Code::TokenExpired
        | Code::Unauthenticated
        | Code::Banned
        | Code::Blocked
        | Code::BlockedByRecipient
        | Code::GuestsOff
        | Code::IdentityMismatch
        | Code::NotAMember
        | Code::NotYours
        | Code::RecipientBlocked
        | Code::ChatNotFound
        | Code::MessageNotFound
        | Code::RecipientNotFound
        | Code::InvalidClientMessageId
        | Code::InvalidReplyTo
        | Code::InvalidText
        | Code::RateLimited
        | Code::Overloaded
        | Code::Unavailable
        | Code::OtherSession
        | Code::Unknown => true,
        // Over REST only; `Busy` is told to gateways only.
        Code::BadRequest
        | Code::BlocklistFull
        | Code::CannotBanYourself
        | Code::CannotBlockYourself
        | Code::EmailTaken
        | Code::GroupFull
        | Code::MalformedJson
        | Code::NotARoom
        | Code::PrivateChat
        | Code::PrivateChatExists
        | Code::TooManyBans
        | Code::TooManyInvitations
        | Code::WrongPassword
        | Code::BearerOnly
        | Code::InvalidCredentials
        | Code::InvalidRefreshToken
        | Code::InvalidLink
        | Code::InvalidSecondStep
        | Code::SecondStepRequired
        | Code::SecondFactorOn
        | Code::WrongCode
        | Code::MailOff
        | Code::AvatarNotFound
        | Code::AvatarsOff
        | Code::PictureTooLarge
        | Code::UnreadablePicture
        | Code::InvalidToken
        | Code::AdminOnly
        | Code::Lobby
        | Code::NotTheOwner
        | Code::OtherUser
        | Code::WrongOrigin
        | Code::MemberNotFound
        | Code::NotFound
        | Code::SessionNotFound
        | Code::UserNotFound
        | Code::MethodNotAllowed
        | Code::DemoRefused
        | Code::LastAdmin
        | Code::BodyTooLarge
        | Code::UnsupportedMediaType
        | Code::ValidationFailed
        | Code::Internal
        | Code::Busy
        | Code::Timeout => false,
    }
}

fn tags(frames: &[Frame]) -> BTreeSet<&str> {
    let tags: BTreeSet<&str> = frames.iter().filter_map(|frame| frame.tag.as_deref()).collect();
    assert_eq!(tags.len(), frames.len(), "two native frames have one type");
    tags
}

/// The error codes that a schema lists.
fn codes(schema: &str) -> BTreeSet<&'static str> {
    let codes = document().json["components"]["schemas"][schema]["enum"].as_array();
    codes.expect(schema).iter().filter_map(Value::as_str).collect()
}

#[test]
fn every_native_frame_is_there_and_no_other() {
    let native = document().channel("native");
    assert_eq!(tags(&native.client), CLIENT.iter().copied().collect());
    // An event is written as what it says.
    let sent = SERVER.iter().chain(EVENTS).copied().filter(|name| !name.is_empty());
    assert_eq!(tags(&native.server), sent.collect());
}

#[test]
fn every_message_belongs_to_one_operation_of_its_channel() {
    let used = document().channels.iter().flat_map(|channel| {
        let frames: Vec<&Frame> = channel.client.iter().chain(&channel.server).collect();
        let listed = document().json["channels"][&channel.name]["messages"].as_object();
        assert_eq!(listed.expect("messages").len(), frames.len(), "{}", channel.name);
        frames.into_iter().map(|frame| frame.name.clone())
    });
    let used: Vec<String> = used.collect();
    let known = document().json["components"]["messages"].as_object().expect("messages");
    assert_eq!(used.iter().collect::<BTreeSet<_>>(), known.keys().collect());
    assert_eq!(used.len(), known.len(), "a message is in two operations");
}

#[test]
fn every_close_is_there_and_no_other() {
    let listed: Vec<(u64, &str, &str)> = document().json["x-closes"]
        .as_array()
        .expect("x-closes")
        .iter()
        .map(|row| {
            let text = |field: &str| row[field].as_str().expect("text");
            (row["code"].as_u64().expect("a code"), text("reason"), text("come_back"))
        })
        .collect();
    let known: Vec<(u64, &str, &str)> = Close::ALL
        .iter()
        .map(|close| {
            let come_back = match close.retry() {
                Retry::Now => "now",
                Retry::Backoff => "backoff",
                Retry::Never => "never",
            };
            (close.code().into(), close.reason(), come_back)
        })
        .collect();
    assert_eq!(listed, known);
}

#[test]
fn every_code_of_error_frames_is_there_and_no_other() {
    let listed = codes("nativeErrorCode").union(&codes("windowErrorCode")).copied().collect();
    let said =
        Code::ALL.iter().copied().chain([Code::Unknown]).filter(|code| is_said_on_sockets(*code));
    assert_eq!(said.map(Code::as_str).collect::<BTreeSet<_>>(), listed);
}

#[test]
fn the_prose_names_every_frame_code_and_close() {
    let prose = include_str!("../../../../docs/protocol.md");
    let closes = Close::ALL.iter().filter(|close| **close != Close::ByPeer).map(|it| it.reason());
    let events = SERVER.iter().chain(EVENTS).copied().filter(|name| !name.is_empty());
    for name in events.chain(CLIENT.iter().copied()).chain(codes("nativeErrorCode")).chain(closes) {
        assert!(prose.contains(&format!("`{name}`")), "docs/protocol.md does not tell of `{name}`");
    }
}
