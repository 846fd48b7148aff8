//! What a client's frames lead to, whatever dialect they came in. A pure state machine: no socket, no
//! clock, no lock. [`Session`] is a connection whose client is known; a native one that has not said
//! hello yet is a [`crate::greeting::Greeting`].

use crate::{
    config::Config,
    dialect::{Asked, Speaker, native::frame_id, refusal, too_fast},
};
use shared::{
    close::Close,
    id::{ChatId, Seq, SessionId},
    internal::{Action, Command, MAX_CLIENT_ID_BYTES, Peer, ReadMark, Refusal},
    limit::{Bucket, Rate},
    protocol::{ClientFrame, ServerFrame},
    text::{check_client_message_id, check_guest_name, check_peer, check_text},
    time::Timestamp,
};
use std::time::Duration;

/// A connection whose client is known.
#[derive(Debug)]
pub struct Session {
    /// When the token expires, or what stands for it in dialects that cannot renew it: the connection
    /// does not live longer.
    pub expires_at: Timestamp,
    frames: Bucket,
    frame_rate: Rate,
    typing: Bucket,
    typing_rate: Rate,
    refused: Refused,
}

/// What a frame asks for. Whoever runs the session carries it out.
#[derive(Debug, PartialEq)]
pub enum Wanted {
    /// Answer with this.
    Reply(ServerFrame),
    /// Have the api carry this out and answer with `ack` or `error`.
    Post {
        id: Option<String>,
        command: Command,
    },
    /// Find the private chat with this person and post to it.
    Direct {
        to: Peer,
        action: Action,
    },
    /// Find the guest of this name, announce it when it is new here, and let it say this.
    Guest {
        name: String,
        action: Option<Action>,
    },
    Read(ReadMark),
    Typing(ChatId),
    Subscribe {
        id: Option<String>,
        chat_id: ChatId,
        after: Option<Seq>,
    },
    Unsubscribe {
        id: Option<String>,
        chat_id: ChatId,
    },
    /// Check this token; if it is good, [`Session::renewed`].
    Renew {
        id: Option<String>,
        token: String,
    },
    Nothing,
}

impl Session {
    pub fn new(expires_at: Timestamp, config: &Config) -> Self {
        Self {
            expires_at,
            frames: Bucket::default(),
            frame_rate: config.frames,
            typing: Bucket::default(),
            typing_rate: config.typing,
            refused: Refused::new(config),
        }
    }

    /// A text frame by this speaker. `now` counts from any fixed start; `fallback_id` makes a client
    /// message id for a message without one.
    pub fn on_text(
        &mut self,
        text: &str,
        from: Speaker<'_>,
        now: Duration,
        fallback_id: impl FnOnce() -> String,
    ) -> Result<Wanted, Close> {
        let asked = match from.decode(text) {
            Ok(asked) => asked,
            Err(error) => return self.refuse(*error, now),
        };
        let id = match &asked {
            Asked::Frame(frame) => frame_id(frame),
            Asked::Direct { .. } | Asked::Guest { .. } | Asked::Nothing => None,
        };
        if let Err(wait) = self.frames.try_take(&self.frame_rate, now, 1) {
            metrics::counter!("gateway_rate_limited_total").increment(1);
            return self.refuse(too_fast(id, wait), now);
        }
        if id.as_ref().is_some_and(|id| id.is_empty() || id.len() > MAX_CLIENT_ID_BYTES) {
            let error = refusal(None, "invalid_id", "A frame's id has 1 to 64 bytes.");
            return self.refuse(error, now);
        }
        if let Err(Refusal { code, message }) = check(&asked) {
            // In the api's words, which would say the same.
            return Ok(Wanted::Reply(refusal(id, code.as_str(), &message)));
        }
        let say = |id: Option<String>, text, reply_to| {
            let client_message_id = id.unwrap_or_else(fallback_id);
            Action::Send { client_message_id, text, reply_to }
        };
        let frame = match asked {
            Asked::Frame(frame) => frame,
            Asked::Direct { to, text } => {
                return Ok(Wanted::Direct { to, action: say(None, text, None) });
            }
            Asked::Guest { name, text } => {
                let action = text.map(|text| say(None, text, None));
                return Ok(Wanted::Guest { name, action });
            }
            Asked::Nothing => return Ok(Wanted::Nothing),
        };
        let Some(user_id) = from.user.map(|user| user.id) else {
            // No guest's dialect asks for more.
            return self.refuse(refusal(None, "unauthenticated", "Sign in first."), now);
        };
        Ok(match frame {
            ClientFrame::Hello { .. } => {
                let error = refusal(None, "already_greeted", "This connection has said hello.");
                return self.refuse(error, now);
            }
            ClientFrame::Send { id, chat_id, text, reply_to } => {
                let action = say(id.clone(), text, reply_to);
                Wanted::Post { id, command: Command { user_id, chat_id, action } }
            }
            ClientFrame::Edit { id, chat_id, message_id, text } => {
                let action = Action::Edit { message_id, text };
                Wanted::Post { id, command: Command { user_id, chat_id, action } }
            }
            ClientFrame::Delete { id, chat_id, message_id } => {
                let action = Action::Delete { message_id };
                Wanted::Post { id, command: Command { user_id, chat_id, action } }
            }
            ClientFrame::Read { chat_id, message_id } => {
                Wanted::Read(ReadMark { user_id, chat_id, message_id })
            }
            ClientFrame::Typing { chat_id } => {
                match self.typing.try_take(&self.typing_rate, now, 1) {
                    Ok(()) => Wanted::Typing(chat_id),
                    Err(_) => Wanted::Nothing,
                }
            }
            ClientFrame::Subscribe { id, chat_id, after } => {
                Wanted::Subscribe { id, chat_id, after }
            }
            ClientFrame::Unsubscribe { id, chat_id } => Wanted::Unsubscribe { id, chat_id },
            ClientFrame::Token { id, token } => Wanted::Renew { id, token },
            ClientFrame::Ping { id } => Wanted::Reply(ServerFrame::Pong { id }),
        })
    }

    /// A binary frame: the protocol has none.
    pub fn on_binary(&mut self, now: Duration) -> Result<Wanted, Close> {
        self.refuse(refusal(None, "text_only", "Frames are JSON text."), now)
    }

    /// Something else was wrong with a frame: the answer to it, unless that happens too often.
    pub fn refuse(&mut self, error: ServerFrame, now: Duration) -> Result<Wanted, Close> {
        self.refused.count(now).map(|()| Wanted::Reply(error))
    }

    /// A fresh token of session `new` verified, on a connection of session `own`: the answer to the
    /// frame that brought it.
    pub fn renewed(
        &mut self,
        id: Option<String>,
        (new, own): (SessionId, SessionId),
        expires_at: Timestamp,
    ) -> ServerFrame {
        if new != own {
            return refusal(
                id,
                "other_session",
                "That token is of another session. Open a new connection for it.",
            );
        }
        self.expires_at = self.expires_at.max(expires_at);
        ServerFrame::TokenAccepted { id, expires_at: self.expires_at }
    }
}

/// What can be said of texts and names without the api, so that nothing longer than it takes is on
/// its way to it.
fn check(asked: &Asked) -> Result<(), Refusal> {
    match asked {
        Asked::Frame(ClientFrame::Send { id, text, .. }) => {
            id.as_deref().map_or(Ok(()), check_client_message_id)?;
            check_text(text)
        }
        Asked::Frame(ClientFrame::Edit { text, .. }) => check_text(text),
        Asked::Direct { to, text } => {
            check_peer(to)?;
            check_text(text)
        }
        Asked::Guest { name, text } => {
            check_guest_name(name)?;
            text.as_deref().map_or(Ok(()), check_text)
        }
        Asked::Frame(_) | Asked::Nothing => Ok(()),
    }
}

/// Counts refused frames: now and then one is a mistake, many are abuse.
#[derive(Debug)]
pub(crate) struct Refused {
    bucket: Bucket,
    rate: Rate,
}

impl Refused {
    pub fn new(config: &Config) -> Self {
        Self { bucket: Bucket::default(), rate: config.refused_frames }
    }

    pub fn count(&mut self, now: Duration) -> Result<(), Close> {
        self.bucket.try_take(&self.rate, now, 1).map_err(|_| Close::Abuse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::Window;
    use shared::{chat::UserRef, id::UserId};
    use uuid::Uuid;

    const NOW: Duration = Duration::from_secs(100);

    fn session() -> Session {
        Session::new(Timestamp(1_000), &Config::default())
    }

    fn on_text(session: &mut Session, window: Window, text: &str) -> Result<Wanted, Close> {
        let ann = UserRef::registered(UserId(1), "ann");
        session.on_text(text, Speaker { window, user: Some(&ann) }, NOW, || "made".to_owned())
    }

    fn wanted(session: &mut Session, text: &str) -> Wanted {
        on_text(session, Window::Native, text).unwrap()
    }

    fn code(wanted: Wanted) -> (String, Option<String>) {
        match wanted {
            Wanted::Reply(ServerFrame::Error { code, id, .. }) => (code, id),
            other => panic!("not an error: {other:?}"),
        }
    }

    #[test]
    fn a_send_without_id_gets_one_that_the_client_never_sees() {
        let text = r#"{"type":"send","chat_id":5,"text":"hi","later":true}"#;
        let Wanted::Post { id: None, command } = wanted(&mut session(), text) else {
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
            let (code, found) = code(wanted(&mut session, text));
            assert_eq!((code.as_str(), found.as_deref()), (expected, id), "{text}");
        }
        let too_long = format!(r#"{{"type":"ping","id":"{long}"}}"#);
        assert_eq!(code(wanted(&mut session, &too_long)).0, "invalid_id");
    }

    #[test]
    fn too_fast_is_refused_with_a_time_and_then_closed() {
        let mut session = session();
        let mut refused = 0;
        let close = loop {
            match on_text(&mut session, Window::Native, r#"{"type":"ping"}"#) {
                Ok(Wanted::Reply(ServerFrame::Pong { .. })) => assert_eq!(refused, 0),
                Ok(Wanted::Reply(ServerFrame::Error { code, retry_after_ms, .. })) => {
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
    fn a_token_renews_its_own_session_only() {
        let mut session = session();
        let (own, other) = (SessionId(Uuid::nil()), SessionId(Uuid::max()));
        let frame = session.renewed(Some("t".into()), (other, own), Timestamp(9_000));
        assert!(matches!(frame, ServerFrame::Error { code, .. } if code == "other_session"));
        assert_eq!(session.expires_at, Timestamp(1_000));
        let frame = session.renewed(None, (own, own), Timestamp(9_000));
        assert!(matches!(frame, ServerFrame::TokenAccepted { .. }));
        assert_eq!(session.expires_at, Timestamp(9_000));
    }

    #[test]
    fn the_families_frames_lead_to_the_same_things() {
        let said = |text: &str| Action::Send {
            client_message_id: "made".into(),
            text: text.into(),
            reply_to: None,
        };
        let post = |chat_id| Wanted::Post {
            id: None,
            command: Command { user_id: UserId(1), chat_id, action: said("hi") },
        };
        let direct = |to| Wanted::Direct { to, action: said("hi") };
        let mut session = session();
        for (window, text, expected) in [
            (Window::Lobby, r#"{"type":"chat_message","message":"hi"}"#, post(ChatId::LOBBY)),
            (Window::Lobby, r#"{"type":"user_joined"}"#, Wanted::Nothing),
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
        let wanted = session.on_text(text, guest, NOW, || "made".to_owned());
        assert_eq!(wanted, Ok(Wanted::Guest { name: "Zoe".into(), action: Some(said("hi")) }));
    }

    #[test]
    fn what_the_api_would_refuse_does_not_reach_it() {
        let mut session = session();
        let huge = "x".repeat(50_000);
        let named =
            |text: &str| format!(r#"{{"type":"send","id":"a","chat_id":5,"text":"{text}"}}"#);
        for (text, expected) in [
            (named(&huge), "invalid_text"),
            (named(" "), "invalid_text"),
            (named("a\\u0007"), "invalid_text"),
            (named("hi").replace(r#""a""#, r#""a\u0007""#), "invalid_client_message_id"),
            (
                r#"{"type":"edit","id":"a","chat_id":5,"message_id":1,"text":""}"#.into(),
                "invalid_text",
            ),
        ] {
            let (code, id) = code(wanted(&mut session, &text));
            assert_eq!(code, expected);
            assert!(id.is_some_and(|id| id.starts_with('a')), "named, so that the client knows");
        }
        let direct =
            |to: &str, text: &str| format!(r#"{{"username_to":"{to}","message":"{text}"}}"#);
        let said = |name: &str, text: &str| {
            format!(r#"{{"type":"chat_message","username":"{name}","message":"{text}"}}"#)
        };
        let guest = Speaker { window: Window::Lobby, user: None };
        for (text, expected) in
            [(direct(&huge, "hi"), "recipient_not_found"), (direct("bob", &huge), "invalid_text")]
        {
            assert_eq!(code(on_text(&mut session, Window::Names, &text).unwrap()).0, expected);
        }
        for (text, expected) in
            [(said(&huge, "hi"), "invalid_username"), (said("Zoe", ""), "invalid_text")]
        {
            let wanted = session.on_text(&text, guest, NOW, || "made".to_owned()).unwrap();
            assert_eq!(code(wanted).0, expected);
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
            let refused = |wanted| matches!(wanted, Ok(Wanted::Reply(ServerFrame::Error { .. })));
            let taken =
                (0..1_000).take_while(|_| !refused(on_text(&mut session, window, good))).count();
            assert_eq!(taken, 200, "{window:?}");
            let bad =
                (0..1_000).take_while(|_| refused(on_text(&mut session, window, "x"))).count();
            assert_eq!(bad, 49, "{window:?}: with the one that came too fast 50");
            assert_eq!(on_text(&mut session, window, "x"), Err(Close::Abuse));
            assert_eq!(session.on_binary(NOW), Err(Close::Abuse));
        }
    }
}
