//! A native connection before its client says hello. A pure state machine: no socket, no clock. It does not
//! verify the token; `opening/native.rs` does.

use crate::{
    config::Config,
    connection::{session::count_refused, upgrade_credential::UpgradeCredential},
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
    /// The credential of the upgrade, for a hello without a token.
    credential: UpgradeCredential,
    refused: Bucket,
    refused_rate: Rate,
}

/// A valid hello, whose token is not verified yet.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Hello {
    pub token: String,
    /// The version of the protocol that the connection speaks.
    pub version: u16,
    pub resume: Option<Resume>,
}

/// The result of a frame that comes before the connection is open.
#[derive(Debug)]
pub(super) enum GreetingOutcome {
    Hello(Hello),
    /// Another frame: send this error and go on waiting.
    NotYet(ServerFrame),
}

impl Greeting {
    pub(super) fn new(credential: UpgradeCredential, config: &Config) -> Self {
        Self { credential, refused: Bucket::default(), refused_rate: config.account.refused_frames }
    }

    /// Handles a text frame. `now` counts from any fixed start.
    pub(super) fn on_text(&mut self, text: &str, now: Duration) -> Result<GreetingOutcome, Close> {
        match decode(text) {
            Ok(ClientFrame::Hello { token, version, resume }) => {
                let credential = mem::take(&mut self.credential);
                let token = token.map_or_else(|| credential.token(), Ok)?;
                Ok(GreetingOutcome::Hello(Hello {
                    token,
                    version: version.clamp(1, VERSION),
                    resume,
                }))
            }
            Ok(frame) => {
                let error = refusal(frame_id(&frame), Code::HelloRequired, "Say hello first.");
                self.refuse(error, now)
            }
            Err(error) => self.refuse(*error, now),
        }
    }

    fn refuse(&mut self, error: ServerFrame, now: Duration) -> Result<GreetingOutcome, Close> {
        count_refused(&mut self.refused, &self.refused_rate, now)?;
        Ok(GreetingOutcome::NotYet(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(100);

    #[test]
    fn hello_takes_its_own_token_or_the_upgrades() {
        let config = Config::default();
        let hello = |credential: &UpgradeCredential, text: &str| match Greeting::new(
            credential.clone(),
            &config,
        )
        .on_text(text, NOW)
        {
            Ok(GreetingOutcome::Hello(hello)) => Ok(hello.token),
            Ok(GreetingOutcome::NotYet(frame)) => panic!("{frame:?}"),
            Err(close) => Err(close),
        };
        let (with, without) = (r#"{"type":"hello","token":"a"}"#, r#"{"type":"hello"}"#);
        let token = UpgradeCredential::Token("b".into());
        for credential in [&token, &UpgradeCredential::Nothing, &UpgradeCredential::ForeignPage] {
            assert_eq!(hello(credential, with), Ok("a".into()));
        }
        assert_eq!(hello(&token, without), Ok("b".into()));
        assert_eq!(hello(&UpgradeCredential::Nothing, without), Err(Close::Unauthenticated));
        assert_eq!(hello(&UpgradeCredential::ForeignPage, without), Err(Close::WrongOrigin));
    }

    #[test]
    fn a_connection_speaks_the_older_version_of_both() {
        let config = Config::default();
        let version = |text: &str| {
            let mut greeting = Greeting::new(UpgradeCredential::Token("a".into()), &config);
            match greeting.on_text(text, NOW) {
                Ok(GreetingOutcome::Hello(hello)) => Some(hello.version),
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
        let mut greeting = Greeting::new(UpgradeCredential::Nothing, &config);
        let frame = r#"{"type":"ping","id":"1"}"#;
        let GreetingOutcome::NotYet(ServerFrame::Error { code, id, .. }) =
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
