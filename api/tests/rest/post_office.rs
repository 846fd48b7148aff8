//! A mail server for tests: it takes letters, or puts them off, refuses them, or says nothing at all. It speaks as
//! much of SMTP (RFC 5321) as a client needs.

use platform::lifecycle::Lifecycle;
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

/// What the server makes of the next letter.
#[derive(Clone, Copy, Debug)]
pub enum Manner {
    Take,
    /// 451: come back later.
    PutOff,
    /// 550: never.
    Refuse,
    /// The connection stays open, and no answer comes.
    Stall,
}

/// A letter as it came.
#[derive(Debug)]
pub struct Received {
    pub to: String,
    pub text: String,
}

impl Received {
    /// The token of the link in it.
    pub fn token(&self, place: &str) -> String {
        let text = self.text.replace("=\r\n", "").replace("=3D", "=");
        let (_, behind) = text.split_once(&format!("/#/{place}/")).unwrap();
        behind.split_whitespace().next().unwrap().to_owned()
    }
}

/// Runs as long as its test.
pub struct PostOffice {
    pub url: String,
    manners: Arc<Mutex<VecDeque<Manner>>>,
    letters: mpsc::Receiver<Received>,
}

impl PostOffice {
    pub async fn open() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("smtp://{}", listener.local_addr().unwrap());
        let manners: Arc<Mutex<VecDeque<Manner>>> = Arc::default();
        let (sender, letters) = mpsc::channel(100);
        let next = Arc::clone(&manners);
        let lifecycle = Lifecycle::new();
        let connections = lifecycle.clone();
        lifecycle.spawn_background(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let manner = next.lock().unwrap().pop_front().unwrap_or(Manner::Take);
                let sender = sender.clone();
                connections.spawn_background(async move {
                    // The client may go away in the middle of a word.
                    let _ = talk(stream, manner, sender).await;
                });
            }
        });
        Self { url, manners, letters }
    }

    /// How the next connections are treated, in this order; those after them as usual.
    pub fn next(&self, manners: impl IntoIterator<Item = Manner>) {
        self.manners.lock().unwrap().extend(manners);
    }

    /// How many of these connections have not come yet.
    pub fn remaining(&self) -> usize {
        self.manners.lock().unwrap().len()
    }

    pub async fn letter(&mut self) -> Received {
        let letter = tokio::time::timeout(Duration::from_secs(30), self.letters.recv());
        letter.await.unwrap().unwrap()
    }

    /// Whether nothing has come so far.
    pub fn is_empty(&mut self) -> bool {
        self.letters.try_recv().is_err()
    }
}

async fn talk(
    stream: TcpStream,
    manner: Manner,
    letters: mpsc::Sender<Received>,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 tests\r\n").await?;
    let (mut to, mut line) = (String::new(), String::new());
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let word = line.get(..4).unwrap_or_default().to_ascii_uppercase();
        let answer = match (word.as_str(), manner) {
            ("MAIL", Manner::Stall) => {
                // Until the client gives up.
                stream.read_line(&mut line).await?;
                return Ok(());
            }
            ("RCPT", Manner::PutOff) => "451 come back later",
            ("RCPT", Manner::Refuse) => "550 nobody of this name",
            ("RCPT", _) => {
                to = line.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
                "250 ok"
            }
            ("DATA", _) => {
                stream.write_all(b"354 go on\r\n").await?;
                let mut text = String::new();
                while !text.ends_with("\r\n.\r\n") {
                    stream.read_line(&mut text).await?;
                }
                let _ = letters.try_send(Received { to: to.clone(), text });
                "250 taken"
            }
            ("QUIT", _) => {
                stream.write_all(b"221 bye\r\n").await?;
                return Ok(());
            }
            _ => "250 ok",
        };
        stream.write_all(format!("{answer}\r\n").as_bytes()).await?;
    }
}
