//! A native connection that has not said hello yet. A pure state machine: no socket, no clock; whose
//! token it is, is checked in `opening/native.rs`.

use crate::{
    config::Config,
    connection::{presented::Presented, session::count_refused},
    dialect::{
        native::{decode, frame_id},
        refusal,
    },
};
use platform::limit::{Bucket, Rate};
use protocol::{
    close::Close,
    code::Code,
    frames::{ClientFrame, Resume, ServerFrame, VERSION},
};
use std::{mem, time::Duration};

/// A connection that has not said hello yet.
#[derive(Debug)]
pub(super) struct Greeting {
    /// What came with the upgrade.
    presented: Presented,
    refused: Bucket,
    refused_rate: Rate,
}

/// A hello that makes sense; its token is not checked yet.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Hello {
    pub token: String,
    /// What the connection speaks.
    pub version: u16,
    pub resume: Option<Resume>,
}

/// What a frame before `hello` leads to.
#[derive(Debug)]
pub(super) enum Greeted {
    Hello(Hello),
    /// Answer with this and wait on.
    NotYet(ServerFrame),
}

impl Greeting {
    pub(super) fn new(presented: Presented, config: &Config) -> Self {
        Self { presented, refused: Bucket::default(), refused_rate: config.account.refused_frames }
    }

    /// A text frame. `now` counts from any fixed start.
    pub(super) fn on_text(&mut self, text: &str, now: Duration) -> Result<Greeted, Close> {
        match decode(text) {
            Ok(ClientFrame::Hello { token, version, resume }) => {
                let presented = mem::take(&mut self.presented);
                let token = token.map_or_else(|| presented.token(), Ok)?;
                Ok(Greeted::Hello(Hello { token, version: version.clamp(1, VERSION), resume }))
            }
            Ok(frame) => {
                let error = refusal(frame_id(&frame), Code::HelloRequired, "Say hello first.");
                self.refuse(error, now)
            }
            Err(error) => self.refuse(*error, now),
        }
    }

    fn refuse(&mut self, error: ServerFrame, now: Duration) -> Result<Greeted, Close> {
        count_refused(&mut self.refused, &self.refused_rate, now)?;
        Ok(Greeted::NotYet(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(100);

    #[test]
    fn hello_takes_its_own_token_or_the_upgrades() {
        let config = Config::default();
        let hello =
            |presented: &Presented, text: &str| match Greeting::new(presented.clone(), &config)
                .on_text(text, NOW)
            {
                Ok(Greeted::Hello(hello)) => Ok(hello.token),
                Ok(Greeted::NotYet(frame)) => panic!("{frame:?}"),
                Err(close) => Err(close),
            };
        let (with, without) = (r#"{"type":"hello","token":"a"}"#, r#"{"type":"hello"}"#);
        let token = Presented::Token("b".into());
        for presented in [&token, &Presented::Nothing, &Presented::ForeignPage] {
            assert_eq!(hello(presented, with), Ok("a".into()));
        }
        assert_eq!(hello(&token, without), Ok("b".into()));
        assert_eq!(hello(&Presented::Nothing, without), Err(Close::Unauthenticated));
        assert_eq!(hello(&Presented::ForeignPage, without), Err(Close::WrongOrigin));
    }

    #[test]
    fn a_connection_speaks_the_older_version_of_both() {
        let config = Config::default();
        let version = |text: &str| {
            let mut greeting = Greeting::new(Presented::Token("a".into()), &config);
            match greeting.on_text(text, NOW) {
                Ok(Greeted::Hello(hello)) => Some(hello.version),
                _ => None,
            }
        };
        assert_eq!(version(r#"{"type":"hello"}"#), Some(1), "clients from before the field");
        assert_eq!(version(r#"{"type":"hello","version":1}"#), Some(1));
        assert_eq!(version(r#"{"type":"hello","version":65535}"#), Some(VERSION));
        assert_eq!(version(r#"{"type":"hello","version":0}"#), Some(1));
        for wrong in [r#""1""#, "-1", "1.5", "null", "70000"] {
            let hello = format!(r#"{{"type":"hello","version":{wrong}}}"#);
            assert_eq!(version(&hello), None, "{wrong}");
        }
    }

    #[test]
    fn before_hello_everything_else_is_refused_and_too_much_of_it_closes() {
        let config = Config::default();
        let mut greeting = Greeting::new(Presented::Nothing, &config);
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
}
