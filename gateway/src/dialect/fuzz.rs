//! Whatever a client sends: decoding never panics, and what comes out owns little more than came in.

use super::{ClientRequest, Speaker, Window, samples::ann};
use proptest::prelude::*;
use protocol::{
    calls::Peer,
    frames::{ClientFrame, ServerFrame},
    id::{ChatId, UserId},
};
use serde_json::Value;

/// Cases of each test: a few seconds on a busy machine, and some 25,000 decoded texts.
const CASES: u32 = 1_000;

/// What an answer may take beside what it repeats of the frame: the longest explanation.
const ANSWER_BYTES: usize = 600;

/// Every dialect, signed in and, where there are any, as a guest.
fn speakers(check: impl Fn(Speaker<'_>)) {
    let ann = ann();
    for window in [
        Window::Native,
        Window::Lobby,
        Window::Chat(ChatId(12)),
        Window::Names,
        Window::Numbers(ann.id),
    ] {
        check(Speaker { window, user: Some(&ann) });
    }
    check(Speaker { window: Window::Lobby, user: None });
}

/// Decodes a text in every dialect and weighs the outcome.
fn decode(text: &str) {
    speakers(|from| {
        let (owned, limit) = match from.decode(text) {
            Ok(request) => (weight(&request), text.len()),
            Err(error) => (error_weight(&error), text.len() + ANSWER_BYTES),
        };
        assert!(owned <= limit, "{from:?}: {owned} bytes of {}: {text:.200}", text.len());
    });
}

/// The bytes of text that a decoded frame owns.
fn weight(request: &ClientRequest) -> usize {
    match request {
        ClientRequest::Direct { to, text } => {
            let name = match to {
                Peer::Username(name) => name.capacity(),
                Peer::Id(_) => 0,
            };
            name + text.capacity()
        }
        ClientRequest::Guest { name, text } => {
            name.capacity() + text.as_ref().map_or(0, String::capacity)
        }
        ClientRequest::Nothing => 0,
        ClientRequest::Frame(frame) => frame_weight(frame),
    }
}

fn frame_weight(frame: &ClientFrame) -> usize {
    let of = |id: &Option<String>| id.as_ref().map_or(0, String::capacity);
    match frame {
        ClientFrame::Hello { token, resume, .. } => {
            // A cursor takes 16 bytes; its shortest text is 6: "1":1 and a comma.
            let cursors = resume.as_ref().map_or(0, |r| r.epoch.capacity() + 6 * r.cursors.len());
            of(token) + cursors
        }
        ClientFrame::Send { id, text, .. } | ClientFrame::Edit { id, text, .. } => {
            of(id) + text.capacity()
        }
        ClientFrame::Token { id, token } => of(id) + token.capacity(),
        ClientFrame::Delete { id, .. }
        | ClientFrame::Subscribe { id, .. }
        | ClientFrame::Unsubscribe { id, .. }
        | ClientFrame::Ping { id } => of(id),
        ClientFrame::Read { .. } | ClientFrame::Typing { .. } => 0,
    }
}

fn error_weight(error: &ServerFrame) -> usize {
    match error {
        ServerFrame::Error { id, code, message, .. } => {
            id.as_ref().map_or(0, String::capacity) + code.capacity() + message.capacity()
        }
        other => panic!("not an error: {other:?}"),
    }
}

/// Frames of all dialects, with everything in them.
const GOOD: [&str; 16] = [
    r#"{"type":"hello","token":"t","resume":{"epoch":"e","cursors":{"12":41}}}"#,
    r#"{"type":"send","id":"c1","chat_id":12,"text":"hi \u00e4 \"","reply_to":3}"#,
    r#"{"type":"edit","id":"c2","chat_id":12,"message_id":7,"text":"ho"}"#,
    r#"{"type":"delete","id":"c3","chat_id":12,"message_id":7}"#,
    r#"{"type":"typing","chat_id":12}"#,
    r#"{"type":"subscribe","id":"c4","chat_id":12,"after":5}"#,
    r#"{"type":"unsubscribe","id":"c5","chat_id":12}"#,
    r#"{"type":"token","id":"c6","token":"t"}"#,
    r#"{"type":"ping","id":"c7"}"#,
    r#"{"type":"chat_message","username":"ann","message":"hi","timestamp":"2026-11-21T10:00:00Z"}"#,
    r#"{"type":"user_joined","username":"Zoë"}"#,
    r#"{"content":"hi","room_id":12,"user_id":"3","username":"ann"}"#,
    r#"{"type":"message","text":"hi","client_message_id":"c1"}"#,
    r#"{"type":"read","message_id":7,"chat_id":12}"#,
    r#"{"username_to":"bob","message":"hi"}"#,
    r#"{"senderId":3,"receiverId":4,"content":"hi","timestamp":1700000000}"#,
];

/// Names of fields, and what else may stand in their place.
fn key() -> impl Strategy<Value = String> {
    let known = [
        "type",
        "id",
        "text",
        "message",
        "content",
        "username",
        "username_to",
        "chat_id",
        "room_id",
        "user_id",
        "message_id",
        "client_message_id",
        "senderId",
        "receiverId",
        "timestamp",
        "token",
        "resume",
        "epoch",
        "cursors",
        "after",
        "reply_to",
    ];
    prop_oneof![4 => prop::sample::select(known.to_vec()).prop_map(str::to_owned), 1 => ".{0,8}"]
}

fn scalar() -> impl Strategy<Value = Value> {
    let words =
        ["hello", "send", "read", "message", "chat_message", "user_joined", "12", "3", "ann"];
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (0i64..20).prop_map(Value::from),
        prop::sample::select(words.to_vec()).prop_map(Value::from),
        ".{0,40}".prop_map(Value::from),
    ]
}

fn json() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(5, 40, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            prop::collection::vec((key(), inner), 0..8)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_text(text in ".{0,300}") {
        decode(&text);
    }

    #[test]
    fn any_json(value in json()) {
        decode(&value.to_string());
    }

    /// Fields in any order, also twice.
    #[test]
    fn any_object(fields in prop::collection::vec((key(), json()), 0..8)) {
        let fields: Vec<String> =
            fields.iter().map(|(key, value)| format!("{}:{value}", Value::from(key.as_str()))).collect();
        decode(&format!("{{{}}}", fields.join(",")));
    }

    /// Good frames with some characters replaced, inserted, doubled or cut.
    #[test]
    fn any_mistake(
        frame in prop::sample::select(&GOOD[..]),
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0u8..5, any::<char>()), 1..4),
    ) {
        let mut text: Vec<char> = frame.chars().collect();
        for (place, edit, other) in edits {
            if text.is_empty() {
                break;
            }
            let at = place.index(text.len());
            match edit {
                0 => text[at] = other,
                1 => text.insert(at, other),
                2 => { text.remove(at); }
                3 => text.truncate(at),
                _ => text.extend_from_within(at..),
            }
        }
        decode(&text.into_iter().collect::<String>());
    }
}

#[test]
fn good_frames_are_understood_somewhere() {
    let ann = ann();
    for frame in GOOD {
        let understood = |window| Speaker { window, user: Some(&ann) }.decode(frame).is_ok();
        let windows = [
            Window::Native,
            Window::Lobby,
            Window::Chat(ChatId(12)),
            Window::Names,
            Window::Numbers(UserId(3)),
        ];
        let guest = Speaker { window: Window::Lobby, user: None };
        assert!(windows.into_iter().any(understood) || guest.decode(frame).is_ok(), "{frame}");
    }
}

/// What takes the most to read: deep nesting, long numbers, fields again and again, long texts.
#[test]
fn the_worst_of_the_largest_frames() {
    const BYTES: usize = 52_000;
    let deep =
        |open: &str, close: &str| format!("{}{}", open.repeat(BYTES / 2), close.repeat(BYTES / 2));
    let nines = "9".repeat(BYTES);
    for key in ["type", "id", "text", "chat_id", "message", "username", "senderId", "x"] {
        for value in [
            deep("[", "]"),
            deep("{\"a\":", "}"),
            "[".repeat(BYTES),
            format!("[{}0]", "0,".repeat(BYTES / 2)),
            nines.clone(),
            format!("-{nines}"),
            format!("1e{nines}"),
            format!("0.{nines}"),
            format!("\"{}\"", "x".repeat(BYTES)),
            format!("\"{}\"", "\\u00e4".repeat(BYTES / 6)),
            format!("\"{}\"", "\\ud800".repeat(BYTES / 6)),
        ] {
            decode(&format!("{{\"{key}\":{value}}}"));
            decode(&format!("{{\"type\":\"read\",\"{key}\":{value}}}"));
            decode(&value);
        }
        decode(&format!("{{{}\"x\":1}}", format!("\"{key}\":\"a\",").repeat(BYTES / 12)));
    }
    let cursors = (0..BYTES / 8).map(|n| format!("\"{n}\":1")).collect::<Vec<_>>().join(",");
    decode(&format!(
        "{{\"type\":\"hello\",\"resume\":{{\"epoch\":\"e\",\"cursors\":{{{cursors}}}}}}}"
    ));
}
