//! A client of an older dialect: one WebSocket of any of them, JSON in and out, as strict as a test
//! can be: what comes next must be what is expected. So that nothing came in between needs no
//! waiting: provoke something later and expect that. It does nothing by itself.

use super::{
    socket::{Dial, Socket, SocketEvent},
    wait::{DEADLINE, within},
};
use protocol::close::Close;
use serde_json::Value;

/// An open WebSocket of some dialect.
pub struct DialectSocket {
    /// For the failure's text.
    name: String,
    socket: Socket,
    /// Who may appear in it; others' messages are passed over. `None`: everybody.
    known: Option<Vec<String>>,
}

impl DialectSocket {
    /// Opens it; the server must accept the upgrade. The name is for a failure's text.
    pub async fn open(name: &str, dial: &Dial) -> Self {
        let socket = dial.open().await.unwrap_or_else(|error| panic!("{name}: {error}"));
        Self { name: name.to_owned(), socket, known: None }
    }

    /// The lobby is everybody's: what others than these say and do there, who belong to another
    /// test, is passed over.
    pub fn among(mut self, usernames: &[&str]) -> Self {
        self.known = Some(usernames.iter().map(|name| (*name).to_owned()).collect());
        self
    }

    /// Sends a frame.
    pub async fn say(&mut self, frame: Value) {
        self.socket.say_text(frame.to_string()).await;
    }

    /// For frames that no client of the dialect sends.
    pub fn socket(&mut self) -> &mut Socket {
        &mut self.socket
    }

    /// What comes next.
    pub async fn next(&mut self) -> Value {
        match self.hear("the next frame").await {
            Ok(frame) => frame,
            Err(end) => panic!("{} waited for a frame and got {end:?}", self.name),
        }
    }

    /// What comes next, or with which code and reason the server closes.
    pub async fn next_or_close(&mut self) -> Result<Value, (u16, String)> {
        match self.hear("the next frame or a close").await {
            Ok(frame) => Ok(frame),
            Err(SocketEvent::Closed(code, reason)) => Err((code, reason)),
            Err(end) => panic!("{} waited for a frame and got {end:?}", self.name),
        }
    }

    /// A frame that is not a stranger's, or the end.
    async fn hear(&mut self, what: &str) -> Result<Value, SocketEvent> {
        let name = &self.name;
        within(DEADLINE, &format!("{what} at {name}"), async {
            loop {
                let text = match self.socket.hear().await {
                    SocketEvent::Text(text) => text,
                    end => return Err(end),
                };
                let frame: Value = serde_json::from_str(&text)
                    .unwrap_or_else(|error| panic!("{name} got {text:?}: {error}"));
                if !is_strangers(&frame, self.known.as_deref()) {
                    return Ok(frame);
                }
            }
        })
        .await
    }

    /// What comes next must contain this: every field named here, with this value; it may have more.
    pub async fn expect(&mut self, part: Value) -> Value {
        let frame = self.next().await;
        assert!(
            contains(&frame, &part),
            "{} expected a frame with {part} and got {frame}",
            self.name
        );
        frame
    }

    /// What comes next are these, in whatever order.
    pub async fn expect_all<const COUNT: usize>(&mut self, parts: [Value; COUNT]) {
        let mut missing = parts.to_vec();
        while !missing.is_empty() {
            let frame = self.next().await;
            let found = missing.iter().position(|part| contains(&frame, part));
            let found = found.unwrap_or_else(|| {
                panic!("{} expected one of {missing:?} and got {frame}", self.name)
            });
            missing.remove(found);
        }
    }

    /// Passes over what comes before this.
    pub async fn expect_until(&mut self, part: Value) -> Value {
        loop {
            let frame = self.next().await;
            if contains(&frame, &part) {
                return frame;
            }
        }
    }

    /// Says this; what comes next must contain that.
    pub async fn ask(&mut self, frame: Value, answer: Value) -> Value {
        self.say(frame).await;
        self.expect(answer).await
    }

    /// The server closes it for this reason, whatever comes before.
    pub async fn expect_close(&mut self, close: Close) {
        self.socket.expect_close(close).await;
    }

    /// The server closes it for this reason, and nothing comes before.
    pub async fn expect_only_close(&mut self, close: Close) {
        match self.hear(close.reason()).await {
            Err(SocketEvent::Closed(code, reason)) => {
                let expected = (close.code(), close.reason());
                assert_eq!((code, reason.as_str()), expected, "{}", self.name);
            }
            other => panic!("{} waited for {close:?} and got {other:?}", self.name),
        }
    }
}

/// Whether a frame of the lobby is about somebody who is not known here.
fn is_strangers(frame: &Value, known: Option<&[String]>) -> bool {
    let (Some(known), Some(who)) = (known, frame["username"].as_str()) else { return false };
    !known.iter().any(|name| name == who)
}

/// Whether `whole` has everything that `part` has.
pub fn contains(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => part
            .iter()
            .all(|(name, part)| whole.get(name).is_some_and(|whole| contains(whole, part))),
        (Value::Array(whole), Value::Array(part)) => {
            whole.len() == part.len() && whole.iter().zip(part).all(|(w, p)| contains(w, p))
        }
        (whole, part) => whole == part,
    }
}
