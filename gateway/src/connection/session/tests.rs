use super::*;
use crate::dialect::Window;
use protocol::{calls::Peer, chat::UserRef};
use uuid::Uuid;

const NOW: Duration = Duration::from_secs(100);

/// A session and what is left to its account.
struct Alone(Session, Allowance);

fn session() -> Alone {
    Alone(Session::new(Timestamp(1_000), &Config::default()), Allowance::default())
}

fn speak(session: &mut Alone, from: Speaker<'_>, text: &str) -> Result<Effect, Close> {
    let Alone(session, allowance) = session;
    session.on_text(text, from, allowance, NOW, || "made".to_owned())
}

fn on_text(session: &mut Alone, window: Window, text: &str) -> Result<Effect, Close> {
    let ann = UserRef::registered(UserId(1), "ann");
    speak(session, Speaker { window, user: Some(&ann) }, text)
}

fn effect(session: &mut Alone, text: &str) -> Effect {
    on_text(session, Window::Native, text).unwrap()
}

fn code(effect: Effect) -> (String, Option<String>) {
    match effect {
        Effect::Reply(ServerFrame::Error { code, id, .. }) => (code, id),
        other => panic!("not an error: {other:?}"),
    }
}

#[test]
fn a_send_without_id_gets_one_that_the_client_never_sees() {
    let text = r#"{"type":"send","chat_id":5,"text":"hi","later":true}"#;
    let Effect::Post { id: None, command } = effect(&mut session(), text) else {
        panic!("no post")
    };
    assert_eq!(command.user_id, UserId(1));
    assert!(
        matches!(command.action, Action::Send { client_message_id, .. } if client_message_id == "made")
    );
}

#[test]
fn bad_frames_are_explained() {
    let mut session = session();
    let long = "x".repeat(65);
    let cases = [
        ("", "malformed", None),
        ("[]", "malformed", None),
        ("{}", "malformed", None),
        (r#"{"type":7,"id":"a"}"#, "malformed", Some("a")),
        (r#"{"type":"dance","id":"b"}"#, "unknown_type", Some("b")),
        (r#"{"type":"send","id":"c"}"#, "invalid_frame", Some("c")),
        (r#"{"type":"send","id":"d","chat_id":"x","text":""}"#, "invalid_frame", Some("d")),
        (r#"{"type":"hello"}"#, "already_greeted", None),
        (r#"{"type":"ping","id":""}"#, "invalid_id", None),
    ];
    for (text, expected, id) in cases {
        let (code, found) = code(effect(&mut session, text));
        assert_eq!((code.as_str(), found.as_deref()), (expected, id), "{text}");
    }
    let too_long = format!(r#"{{"type":"ping","id":"{long}"}}"#);
    assert_eq!(code(effect(&mut session, &too_long)).0, "invalid_id");
}

#[test]
fn too_fast_is_refused_with_a_time_and_then_closed() {
    let mut session = session();
    let mut refused = 0;
    let close = loop {
        match on_text(&mut session, Window::Native, r#"{"type":"ping"}"#) {
            Ok(Effect::Reply(ServerFrame::Pong { .. })) => assert_eq!(refused, 0),
            Ok(Effect::Reply(ServerFrame::Error { code, retry_after_ms, .. })) => {
                assert_eq!(code, "rate_limited");
                assert!(retry_after_ms.is_some_and(|ms| ms > 0));
                refused += 1;
            }
            Ok(other) => panic!("{other:?}"),
            Err(close) => break close,
        }
    };
    assert_eq!(close, Close::Abuse);
    assert!(refused > 10);
}

#[test]
fn typing_is_one_accounts_over_all_its_connections() {
    let text = r#"{"type":"typing","chat_id":5}"#;
    let mut one = session();
    let mut relayed = 0;
    for _ in 0..10 {
        // Another connection: its session is new, its account is not.
        one.0 = session().0;
        relayed += usize::from(effect(&mut one, text) == Effect::Typing(ChatId(5)));
    }
    assert_eq!(relayed, 5);
}

#[test]
fn a_token_renews_its_own_session_only() {
    let Alone(mut session, _) = session();
    let (own, other) = (SessionId(Uuid::nil()), SessionId(Uuid::max()));
    let frame = session.renew(Some("t".into()), (other, own), Timestamp(9_000));
    assert!(matches!(frame, ServerFrame::Error { code, .. } if code == "other_session"));
    assert_eq!(session.expires_at, Timestamp(1_000));
    let frame = session.renew(None, (own, own), Timestamp(9_000));
    assert!(matches!(frame, ServerFrame::TokenAccepted { .. }));
    assert_eq!(session.expires_at, Timestamp(9_000));
}

#[test]
fn the_older_dialects_frames_lead_to_the_same_things() {
    let said = |text: &str| Action::Send {
        client_message_id: "made".into(),
        text: text.into(),
        reply_to: None,
    };
    let post = |chat_id| Effect::Post {
        id: None,
        command: Command { user_id: UserId(1), chat_id, action: said("hi") },
    };
    let direct = |to| Effect::LookUp(Question::Direct { to, action: said("hi") });
    let mut session = session();
    for (window, text, expected) in [
        (Window::Lobby, r#"{"type":"chat_message","message":"hi"}"#, post(ChatId::LOBBY)),
        (Window::Lobby, r#"{"type":"user_joined"}"#, Effect::Nothing),
        (Window::Chat(ChatId(5)), r#"{"content":"hi"}"#, post(ChatId(5))),
        (
            Window::Names,
            r#"{"username_to":"bob","message":"hi"}"#,
            direct(Peer::Username("bob".into())),
        ),
        (
            Window::Numbers(UserId(1)),
            r#"{"senderId":1,"receiverId":2,"content":"hi"}"#,
            direct(Peer::Id(UserId(2))),
        ),
    ] {
        assert_eq!(on_text(&mut session, window, text), Ok(expected), "{text}");
    }
    let guest = Speaker { window: Window::Lobby, user: None };
    let text = r#"{"type":"chat_message","username":"Zoe","message":"hi"}"#;
    let effect = speak(&mut session, guest, text);
    let guest = Question::Guest { name: "Zoe".into(), action: Some(said("hi")) };
    assert_eq!(effect, Ok(Effect::LookUp(guest)));
}

#[test]
fn what_the_api_would_refuse_does_not_reach_it() {
    let mut session = session();
    let named = r#"{"type":"send","id":"a","chat_id":5,"text":" "}"#;
    let refused = code(effect(&mut session, named));
    assert_eq!(refused, ("invalid_text".to_owned(), Some("a".to_owned())));
    // The api's refusals are no abuse, and its words for it are none either.
    for _ in 0..100 {
        assert!(on_text(&mut session, Window::Native, named).is_ok());
    }
}

#[test]
fn every_dialect_is_limited_alike() {
    for (window, good) in [
        (Window::Lobby, r#"{"type":"user_joined"}"#),
        (Window::Chat(ChatId(5)), r#"{"type":"read","message_id":1}"#),
        (Window::Names, r#"{"username_to":"bob","message":"hi"}"#),
        (Window::Numbers(UserId(1)), r#"{"senderId":1,"receiverId":2,"content":"hi"}"#),
    ] {
        let mut session = session();
        let refused = |effect| matches!(effect, Ok(Effect::Reply(ServerFrame::Error { .. })));
        let taken =
            (0..1_000).take_while(|_| !refused(on_text(&mut session, window, good))).count();
        assert_eq!(taken, 200, "{window:?}");
        let bad = (0..1_000).take_while(|_| refused(on_text(&mut session, window, "x"))).count();
        assert_eq!(bad, 49, "{window:?}: with the one that came too fast 50");
        assert_eq!(on_text(&mut session, window, "x"), Err(Close::Abuse));
        let Alone(session, allowance) = &mut session;
        assert_eq!(session.on_binary(allowance, NOW), Err(Close::Abuse));
    }
}
