//! A native connection that has not said hello yet. A pure state machine: no socket, no clock; whose
//! token it is, is checked in `opening.rs`.

use crate::{
    config::Config,
    dialect::{
        native::{decode, frame_id},
        refusal,
    },
    session::count_refused,
};
use shared::{
    close::Close,
    limit::{Bucket, Rate},
    protocol::{ClientFrame, Resume, ServerFrame},
};
use std::time::Duration;

/// A connection that has not said hello yet.
#[derive(Debug)]
pub struct Greeting {
    /// The token that came with the upgrade.
    presented: Option<String>,
    refused: Bucket,
    refused_rate: Rate,
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
        Self { presented, refused: Bucket::default(), refused_rate: config.refused_frames }
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
}
