//! What one account can do with its sockets, each kind of it by itself. No socket breaks the protocol so
//! badly that one would do; it is the number that makes it an attack. What ends a socket it opens again.

use crate::{
    dial::{native, upgrade},
    frame,
    siege::Siege,
};
use anyhow::{Result, ensure};
use serde_json::json;
use std::{
    net::SocketAddr,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    time::sleep,
};

/// Before a socket that ended is opened again.
const AGAIN: Duration = Duration::from_millis(100);
/// What the protocol allows one socket at once, and then in each tenth of a second.
const BURST: usize = 200;
const A_TENTH: Duration = Duration::from_millis(100);
const IN_A_TENTH: usize = 5;
/// Pings in one write.
const PINGS: usize = 512;
/// How long a socket that resumes stays, without reading what it asked for.
const UNREAD: Duration = Duration::from_secs(1);
/// As long as a frame may be, with what is around it.
const LONG_NAME: usize = 50_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attack {
    /// Messages into a chat of its own, all its sockets reading them.
    Messages,
    /// Pings as fast as they are taken.
    Pings,
    /// Resumes of big chats from their beginning, again and again.
    Resumes,
    /// Names as long as a frame, on `/ws/chat`.
    Names,
    /// Typing in a large room.
    Typing,
    /// Tokens of keys that nobody has.
    Keys,
}

impl Attack {
    pub const ALL: [Self; 6] =
        [Self::Messages, Self::Pings, Self::Resumes, Self::Names, Self::Typing, Self::Keys];

    pub fn name(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::Pings => "pings",
            Self::Resumes => "resumes",
            Self::Names => "long names",
            Self::Typing => "typing",
            Self::Keys => "made-up keys",
        }
    }
}

/// The account, and what it has to attack with.
pub struct Stranger {
    pub gateway: SocketAddr,
    pub token: String,
    pub epoch: String,
    /// A chat of its own.
    pub notes: i64,
    /// A room with many others.
    pub square: i64,
    /// Chats with long messages.
    pub big: Vec<i64>,
    pub done: Arc<Done>,
}

/// What all sockets did together.
#[derive(Debug, Default)]
pub struct Done {
    opened: AtomicU64,
    ended: AtomicU64,
    frames: AtomicU64,
}

impl Done {
    /// How many sockets have been opened, or have ended instead.
    pub fn tried(&self) -> u64 {
        self.opened().max(self.ended())
    }

    pub fn opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }

    pub fn ended(&self) -> u64 {
        self.ended.load(Ordering::Relaxed)
    }

    pub fn frames(&self) -> u64 {
        self.frames.load(Ordering::Relaxed)
    }
}

impl Stranger {
    /// All its sockets at work.
    pub fn lay_siege(self, attack: Attack, sockets: usize) -> Siege {
        Siege::lay(move |tasks| {
            let stranger = Rc::new(self);
            for _ in 0..sockets {
                let stranger = Rc::clone(&stranger);
                tasks.spawn_local(async move { stranger.attack(attack).await });
            }
        })
    }

    /// One socket, as long as it is polled.
    async fn attack(&self, attack: Attack) {
        loop {
            // Refused, closed, or done with: no difference to a stranger.
            let _ = self.once(attack).await;
            count(&self.done.ended, 1);
            sleep(AGAIN).await;
        }
    }

    async fn once(&self, attack: Attack) -> Result<()> {
        let stream = match attack {
            Attack::Names => {
                upgrade(self.gateway, &format!("/ws/chat?token={}", self.token)).await?
            }
            Attack::Keys => {
                let header = json!({ "typ": "JWT", "alg": "EdDSA", "kid": random_kid() });
                let (_, rest) = self.token.split_once('.').unwrap_or_default();
                native(self.gateway, &format!("{}.{rest}", part(&header)), None, 1).await?
            }
            Attack::Resumes => {
                let cursors: serde_json::Map<_, _> =
                    self.big.iter().map(|chat| (chat.to_string(), json!(0))).collect();
                let resume = json!({ "epoch": self.epoch, "cursors": cursors });
                let hello = json!({ "type": "hello", "token": self.token, "resume": resume });
                let mut stream = upgrade(self.gateway, "/gateway").await?;
                stream.write_all(&text(&hello.to_string())).await?;
                stream
            }
            _ => native(self.gateway, &self.token, None, 1).await?,
        };
        count(&self.done.opened, 1);
        if attack == Attack::Resumes {
            count(&self.done.frames, 1);
            stream.readable().await?;
            sleep(UNREAD).await;
            return Ok(());
        }
        let (reading, writing) = TcpStream::into_split(stream);
        tokio::select! {
            ended = read(reading) => ended,
            ended = self.write(attack, writing) => ended,
        }
    }

    async fn write(&self, attack: Attack, mut to: OwnedWriteHalf) -> Result<()> {
        let (bytes, frames, at_first, pause) = match attack {
            Attack::Messages => {
                let send =
                    json!({ "type": "send", "chat_id": self.notes, "text": "x".repeat(128) });
                (
                    text(&send.to_string()).repeat(IN_A_TENTH),
                    IN_A_TENTH,
                    BURST / IN_A_TENTH,
                    A_TENTH,
                )
            }
            Attack::Pings => {
                (frame::masked(frame::PING, b"", 1).repeat(PINGS), PINGS, 0, Duration::ZERO)
            }
            Attack::Typing => {
                let typing = json!({ "type": "typing", "chat_id": self.square });
                (text(&typing.to_string()), 1, 5, Duration::from_secs(1))
            }
            Attack::Names => {
                let name = "x".repeat(LONG_NAME);
                let direct = json!({ "username_to": name, "message": "x" });
                (text(&direct.to_string()), 1, 0, A_TENTH)
            }
            // Said with the hello.
            Attack::Resumes | Attack::Keys => return std::future::pending().await,
        };
        for number in 0_usize.. {
            to.write_all(&bytes).await?;
            count(&self.done.frames, frames as u64);
            if number >= at_first {
                sleep(pause).await;
            }
        }
        Ok(())
    }
}

/// Reads whatever comes, to the end.
async fn read(mut from: OwnedReadHalf) -> Result<()> {
    // Small: there are a thousand of them.
    let mut bytes = vec![0; 8 << 10];
    loop {
        ensure!(from.read(&mut bytes).await? > 0, "closed");
    }
}

fn text(json: &str) -> Vec<u8> {
    frame::masked(frame::TEXT, json.as_bytes(), 0x9e37_79b9)
}

fn part(json: &serde_json::Value) -> String {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    URL_SAFE_NO_PAD.encode(json.to_string())
}

fn random_kid() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

fn count(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}
