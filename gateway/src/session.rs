//! What a client's frames mean, in the native protocol. A pure state machine: no socket, no clock,
//! no lock. [`Greeting`] is a connection that has not said hello; [`Session`] one that has.

use crate::{
    config::Config,
    native::{decode, frame_id, refusal, too_fast},
};
use shared::{
    close::Close,
    id::{ChatId, Seq, SessionId, UserId},
    internal::{Action, Command, MAX_CLIENT_ID_BYTES, ReadMark},
    limit::{Bucket, Rate},
    protocol::{ClientFrame, Resume, ServerFrame},
    time::Timestamp,
};
use std::time::Duration;

/// A connection that has not said hello yet.
#[derive(Debug)]
pub struct Greeting {
    /// The token that came with the upgrade.
    presented: Option<String>,
    refused: Refused,
}

/// A hello that makes sense; its token is not checked yet.
#[derive(Debug, PartialEq, Eq)]
pub struct Hello {
    pub token: String,
    pub resume: Option<Resume>,
}

/// What a frame before `hello` leads to.
#[derive(Debug)]
pub enum Greeted {
    Hello(Hello),
    /// Answer with this and wait on.
    NotYet(ServerFrame),
}

impl Greeting {
    pub fn new(presented: Option<String>, config: &Config) -> Self {
        Self { presented, refused: Refused::new(config) }
    }

    /// A text frame. `now` counts from any fixed start.
    pub fn on_text(&mut self, text: &str, now: Duration) -> Result<Greeted, Close> {
        match decode(text) {
            Ok(ClientFrame::Hello { token, resume }) => {
                let token = token.or_else(|| self.presented.take());
                let token = token.ok_or(Close::Unauthenticated)?;
                Ok(Greeted::Hello(Hello { token, resume }))
            }
            Ok(frame) => {
                let error = refusal(frame_id(&frame), "hello_required", "Say hello first.");
                self.refused.count(now).map(|()| Greeted::NotYet(error))
            }
            Err(error) => self.refused.count(now).map(|()| Greeted::NotYet(*error)),
        }
    }
}

/// A connection whose user is known.
#[derive(Debug)]
pub struct Session {
    user_id: UserId,
    session_id: SessionId,
    /// When the token expires; the connection does not live longer.
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
    pub fn new(
        user_id: UserId,
        session_id: SessionId,
        expires_at: Timestamp,
        config: &Config,
    ) -> Self {
        Self {
            user_id,
            session_id,
            expires_at,
            frames: Bucket::default(),
            frame_rate: config.frames,
            typing: Bucket::default(),
            typing_rate: config.typing,
            refused: Refused::new(config),
        }
    }

    /// A text frame. `now` counts from any fixed start; `fallback_id` makes a client message id for
    /// a `send` without one.
    pub fn on_text(
        &mut self,
        text: &str,
        now: Duration,
        fallback_id: impl FnOnce() -> String,
    ) -> Result<Wanted, Close> {
        let frame = match decode(text) {
            Ok(frame) => frame,
            Err(error) => return self.refuse(*error, now),
        };
        if let Err(wait) = self.frames.try_take(&self.frame_rate, now, 1) {
            metrics::counter!("gateway_rate_limited_total").increment(1);
            return self.refuse(too_fast(frame_id(&frame), wait), now);
        }
        if frame_id(&frame).is_some_and(|id| id.is_empty() || id.len() > MAX_CLIENT_ID_BYTES) {
            let error = refusal(None, "invalid_id", "A frame's id has 1 to 64 bytes.");
            return self.refuse(error, now);
        }
        let user_id = self.user_id;
        Ok(match frame {
            ClientFrame::Hello { .. } => {
                let error = refusal(None, "already_greeted", "This connection has said hello.");
                return self.refuse(error, now);
            }
            ClientFrame::Send { id, chat_id, text, reply_to } => {
                let client_message_id = id.clone().unwrap_or_else(fallback_id);
                let action = Action::Send { client_message_id, text, reply_to };
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

    /// A fresh token verified: the answer to the frame that brought it.
    pub fn renewed(
        &mut self,
        id: Option<String>,
        session_id: SessionId,
        expires_at: Timestamp,
    ) -> ServerFrame {
        if session_id != self.session_id {
            return refusal(
                id,
                "other_session",
                "That token is of another session. Open a new connection for it.",
            );
        }
        self.expires_at = self.expires_at.max(expires_at);
        ServerFrame::TokenAccepted { id, expires_at: self.expires_at }
    }

    fn refuse(&mut self, error: ServerFrame, now: Duration) -> Result<Wanted, Close> {
        self.refused.count(now).map(|()| Wanted::Reply(error))
    }
}

/// Counts refused frames: now and then one is a mistake, many are abuse.
#[derive(Debug)]
struct Refused {
    bucket: Bucket,
    rate: Rate,
}

impl Refused {
    fn new(config: &Config) -> Self {
        Self { bucket: Bucket::default(), rate: config.refused_frames }
    }

    fn count(&mut self, now: Duration) -> Result<(), Close> {
        self.bucket.try_take(&self.rate, now, 1).map_err(|_| Close::Abuse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    const NOW: Duration = Duration::from_secs(100);

    fn session() -> Session {
        let config = Config::default();
        Session::new(UserId(1), SessionId(Uuid::nil()), Timestamp(1_000), &config)
    }

    fn wanted(session: &mut Session, text: &str) -> Wanted {
        session.on_text(text, NOW, || "made".to_owned()).unwrap()
    }

    fn code(wanted: Wanted) -> (String, Option<String>) {
        match wanted {
            Wanted::Reply(ServerFrame::Error { code, id, .. }) => (code, id),
            other => panic!("not an error: {other:?}"),
        }
    }

    #[test]
    fn hello_takes_its_own_token_or_the_upgrades() {
        let config = Config::default();
        let hello = |presented: Option<&str>, text: &str| match Greeting::new(
            presented.map(str::to_owned),
            &config,
        )
        .on_text(text, NOW)
        {
            Ok(Greeted::Hello(hello)) => Ok(hello.token),
            Ok(Greeted::NotYet(frame)) => panic!("{frame:?}"),
            Err(close) => Err(close),
        };
        assert_eq!(hello(None, r#"{"type":"hello","token":"a"}"#), Ok("a".into()));
        assert_eq!(hello(Some("b"), r#"{"type":"hello"}"#), Ok("b".into()));
        assert_eq!(hello(Some("b"), r#"{"type":"hello","token":"a"}"#), Ok("a".into()));
        assert_eq!(hello(None, r#"{"type":"hello"}"#), Err(Close::Unauthenticated));
    }

    #[test]
    fn before_hello_everything_else_is_refused_and_too_much_of_it_closes() {
        let config = Config::default();
        let mut greeting = Greeting::new(None, &config);
        let frame = r#"{"type":"ping","id":"1"}"#;
        let Greeted::NotYet(ServerFrame::Error { code, id, .. }) =
            greeting.on_text(frame, NOW).unwrap()
        else {
            panic!("greeted")
        };
        assert_eq!((code.as_str(), id.as_deref()), ("hello_required", Some("1")));
        let refused = (0..1000).map_while(|_| greeting.on_text("x", NOW).ok()).count();
        assert!(refused < 100);
        assert_eq!(greeting.on_text("x", NOW).unwrap_err(), Close::Abuse);
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
            match session.on_text(r#"{"type":"ping"}"#, NOW, String::new) {
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
        let other = SessionId(Uuid::max());
        let frame = session.renewed(Some("t".into()), other, Timestamp(9_000));
        assert!(matches!(frame, ServerFrame::Error { code, .. } if code == "other_session"));
        assert_eq!(session.expires_at, Timestamp(1_000));
        let frame = session.renewed(None, SessionId(Uuid::nil()), Timestamp(9_000));
        assert!(matches!(frame, ServerFrame::TokenAccepted { .. }));
        assert_eq!(session.expires_at, Timestamp(9_000));
    }
}
