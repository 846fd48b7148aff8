//! What a client's frames lead to, whatever dialect they came in. A pure state machine: no socket, no
//! clock, no lock. [`Session`] is a connection whose client is known; a native one that has not said
//! hello yet is a [`crate::connection::greeting::Greeting`].

use crate::{
    config::Config,
    dialect::{Asked, Speaker, native::frame_id, refusal, too_fast},
    hub::conn::account::Allowance,
};
use shared::{
    close::Close,
    id::{ChatId, Seq, SessionId},
    internal::{Action, Command, MAX_CLIENT_ID_BYTES, Peer, ReadMark, Refusal},
    limit::{Bucket, Rate},
    protocol::{ClientFrame, ServerFrame},
    time::Timestamp,
};
use std::time::Duration;

/// A connection whose client is known.
#[derive(Debug)]
pub(crate) struct Session {
    /// When the token expires, or what stands for it in dialects that cannot renew it: the connection
    /// does not live longer.
    pub expires_at: Timestamp,
    frame_rate: Rate,
    typing_rate: Rate,
    refused_rate: Rate,
}

/// What a frame asks for. Whoever runs the session carries it out.
#[derive(Debug, PartialEq)]
pub(crate) enum Wanted {
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
    pub(crate) fn new(expires_at: Timestamp, config: &Config) -> Self {
        Self {
            expires_at,
            frame_rate: config.frames,
            typing_rate: config.typing,
            refused_rate: config.refused_frames,
        }
    }

    /// A text frame by this speaker, out of what is left to its account. `now` counts from any fixed
    /// start, the same for all of the account's connections; `fallback_id` makes a client message id for
    /// a message without one.
    pub(crate) fn on_text(
        &self,
        text: &str,
        from: Speaker<'_>,
        allowance: &mut Allowance,
        now: Duration,
        fallback_id: impl FnOnce() -> String,
    ) -> Result<Wanted, Close> {
        let asked = match from.decode(text) {
            Ok(asked) => asked,
            Err(error) => return self.refuse(*error, allowance, now),
        };
        let id = match &asked {
            Asked::Frame(frame) => frame_id(frame),
            Asked::Direct { .. } | Asked::Guest { .. } | Asked::Nothing => None,
        };
        if let Err(wait) = allowance.frames.try_take(&self.frame_rate, now, 1) {
            metrics::counter!("gateway_rate_limited_total").increment(1);
            return self.refuse(too_fast(id, wait), allowance, now);
        }
        if id.as_ref().is_some_and(|id| id.is_empty() || id.len() > MAX_CLIENT_ID_BYTES) {
            let error = refusal(None, "invalid_id", "A frame's id has 1 to 64 bytes.");
            return self.refuse(error, allowance, now);
        }
        if let Err(Refusal { code, message }) = asked.check() {
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
            return self.refuse(refusal(None, "unauthenticated", "Sign in first."), allowance, now);
        };
        Ok(match frame {
            ClientFrame::Hello { .. } => {
                let error = refusal(None, "already_greeted", "This connection has said hello.");
                return self.refuse(error, allowance, now);
            }
            ClientFrame::Send { id, chat_id, text, reply_to } => {
                let action = say(id.clone(), text, reply_to);
                Wanted::Post { id, command: Command { user_id, chat_id, action } }
            }
            ClientFrame::Edit { id, chat_id, message_id, text } => {
                let client_edit_id = id.clone();
                let action = Action::Edit { message_id, text, client_edit_id };
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
                match allowance.typing.try_take(&self.typing_rate, now, 1) {
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
    pub(crate) fn on_binary(
        &self,
        allowance: &mut Allowance,
        now: Duration,
    ) -> Result<Wanted, Close> {
        self.refuse(refusal(None, "text_only", "Frames are JSON text."), allowance, now)
    }

    /// Something else was wrong with a frame: the answer to it, unless that happens too often.
    pub(crate) fn refuse(
        &self,
        error: ServerFrame,
        allowance: &mut Allowance,
        now: Duration,
    ) -> Result<Wanted, Close> {
        count_refused(&mut allowance.refused, &self.refused_rate, now)
            .map(|()| Wanted::Reply(error))
    }

    /// A fresh token of session `new` verified, on a connection of session `own`: the answer to the
    /// frame that brought it.
    pub(crate) fn renewed(
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

/// Counts refused frames: now and then one is a mistake, many are abuse.
pub(crate) fn count_refused(bucket: &mut Bucket, rate: &Rate, now: Duration) -> Result<(), Close> {
    bucket.try_take(rate, now, 1).map_err(|_| Close::Abuse)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::Window;
    use shared::{chat::UserRef, id::UserId};
    use uuid::Uuid;

    const NOW: Duration = Duration::from_secs(100);

    /// A session and what is left to its account.
    struct Alone(Session, Allowance);

    fn session() -> Alone {
        Alone(Session::new(Timestamp(1_000), &Config::default()), Allowance::default())
    }

    fn speak(session: &mut Alone, from: Speaker<'_>, text: &str) -> Result<Wanted, Close> {
        let Alone(session, allowance) = session;
        session.on_text(text, from, allowance, NOW, || "made".to_owned())
    }

    fn on_text(session: &mut Alone, window: Window, text: &str) -> Result<Wanted, Close> {
        let ann = UserRef::registered(UserId(1), "ann");
        speak(session, Speaker { window, user: Some(&ann) }, text)
    }

    fn wanted(session: &mut Alone, text: &str) -> Wanted {
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
    fn typing_is_one_accounts_over_all_its_connections() {
        let text = r#"{"type":"typing","chat_id":5}"#;
        let mut one = session();
        let mut relayed = 0;
        for _ in 0..10 {
            // Another connection: its session is new, its account is not.
            one.0 = session().0;
            relayed += usize::from(wanted(&mut one, text) == Wanted::Typing(ChatId(5)));
        }
        assert_eq!(relayed, 5);
    }

    #[test]
    fn a_token_renews_its_own_session_only() {
        let Alone(mut session, _) = session();
        let (own, other) = (SessionId(Uuid::nil()), SessionId(Uuid::max()));
        let frame = session.renewed(Some("t".into()), (other, own), Timestamp(9_000));
        assert!(matches!(frame, ServerFrame::Error { code, .. } if code == "other_session"));
        assert_eq!(session.expires_at, Timestamp(1_000));
        let frame = session.renewed(None, (own, own), Timestamp(9_000));
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
        let wanted = speak(&mut session, guest, text);
        assert_eq!(wanted, Ok(Wanted::Guest { name: "Zoe".into(), action: Some(said("hi")) }));
    }

    #[test]
    fn what_the_api_would_refuse_does_not_reach_it() {
        let mut session = session();
        let named = r#"{"type":"send","id":"a","chat_id":5,"text":" "}"#;
        let refused = code(wanted(&mut session, named));
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
            let refused = |wanted| matches!(wanted, Ok(Wanted::Reply(ServerFrame::Error { .. })));
            let taken =
                (0..1_000).take_while(|_| !refused(on_text(&mut session, window, good))).count();
            assert_eq!(taken, 200, "{window:?}");
            let bad =
                (0..1_000).take_while(|_| refused(on_text(&mut session, window, "x"))).count();
            assert_eq!(bad, 49, "{window:?}: with the one that came too fast 50");
            assert_eq!(on_text(&mut session, window, "x"), Err(Close::Abuse));
            let Alone(session, allowance) = &mut session;
            assert_eq!(session.on_binary(allowance, NOW), Err(Close::Abuse));
        }
    }
}
