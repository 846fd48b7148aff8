//! The echo that is tried, and a client that sends exactly what it is told.

use crate::BINARY;
use gateway::{
    config::Config,
    wire::{credit::Credit, frame::Frame, input::Incoming, socket::Socket},
};
use std::{collections::VecDeque, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_tungstenite::tungstenite::Bytes;

pub const TEXT: u8 = 1;
pub const BIN: u8 = 2;
pub const CONT: u8 = 0;
pub const CLOSE: u8 = 8;
pub const PING: u8 = 9;
pub const PONG: u8 = 10;
/// Added to an opcode: more frames follow.
pub const MORE: u8 = 0x80;

/// What a client reads.
#[derive(Debug, PartialEq, Eq)]
pub enum Got {
    Text(String),
    Pong(Vec<u8>),
    Close(u16),
}

pub fn text(text: &str) -> Got {
    Got::Text(text.to_owned())
}

pub fn pong(payload: impl AsRef<[u8]>) -> Got {
    Got::Pong(payload.as_ref().to_vec())
}

/// A masked frame. `opcode` may have [`MORE`], and reserved bits from 0x10 on.
pub fn frame(opcode: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let mut frame = vec![opcode ^ 0x80];
    match payload.len() {
        short @ ..126 => frame.push(0x80 | u8::try_from(short).unwrap()),
        middle @ ..65536 => {
            frame.push(0xfe);
            frame.extend(u16::try_from(middle).unwrap().to_be_bytes());
        }
        long => {
            frame.push(0xff);
            frame.extend((long as u64).to_be_bytes());
        }
    }
    let mask = [0x9d, 0x01, 0xf7, 0x5a];
    frame.extend(mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

pub fn close(code: u16, reason: impl AsRef<[u8]>) -> Vec<u8> {
    frame(CLOSE, [&code.to_be_bytes(), reason.as_ref()].concat())
}

/// A client of an echo that takes messages of up to 16 MiB.
pub struct Peer {
    stream: TcpStream,
    _echo: JoinSet<()>,
}

impl Peer {
    pub async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (server, address) = listener.accept().await.unwrap();
        let config = Config { max_frame_bytes: 16 << 20, ..Config::default() };
        let loan = Credit::new(64 << 20, 64 << 20).loan(address.ip());
        let mut tasks = JoinSet::new();
        tasks.spawn(echo(Socket::new(server, &Bytes::new(), &config, loan)));
        Self { stream, _echo: tasks }
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        // It may have been closed for what was sent before.
        let _ = self.stream.write_all(bytes).await;
    }

    /// What comes next; `None` when the server has ended its side.
    pub async fn next(&mut self) -> Option<Got> {
        next(&mut self.stream).await
    }

    /// Sends these bytes in pieces of `chop`, while it reads until the server ends its side.
    pub async fn exchange(mut self, bytes: &[u8], chop: usize) -> Vec<Got> {
        let (mut reading, mut writing) = self.stream.split();
        let sent = async {
            for piece in bytes.chunks(chop) {
                if writing.write_all(piece).await.is_err() {
                    break;
                }
            }
        };
        let heard = async {
            let mut heard = Vec::new();
            while let Some(got) = next(&mut reading).await {
                heard.push(got);
            }
            heard
        };
        let both = async { tokio::join!(sent, heard).1 };
        tokio::time::timeout(Duration::from_secs(60), both).await.expect("the server never ended")
    }
}

async fn next(stream: &mut (impl AsyncReadExt + Unpin)) -> Option<Got> {
    let mut head = [0; 2];
    if stream.read(&mut head[..1]).await.expect("no reset") == 0 {
        return None;
    }
    stream.read_exact(&mut head[1..]).await.unwrap();
    let length = match head[1] {
        126 => stream.read_u16().await.unwrap().into(),
        127 => usize::try_from(stream.read_u64().await.unwrap()).unwrap(),
        short => short.into(),
    };
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload).await.unwrap();
    Some(match head[0] {
        0x81 => Got::Text(String::from_utf8(payload).unwrap()),
        0x88 => Got::Close(u16::from_be_bytes([payload[0], payload[1]])),
        0x8a => Got::Pong(payload),
        other => panic!("a frame that begins with {other:x}"),
    })
}

async fn echo(mut socket: Socket) {
    let patience = Duration::from_secs(20);
    let close = loop {
        let mut frames = match socket.next().await {
            Ok(Incoming::Text(text)) => VecDeque::from([Frame::from(text.as_str())]),
            Ok(Incoming::Binary) => VecDeque::from([Frame::from(BINARY)]),
            Ok(Incoming::Sign) => VecDeque::new(),
            Err(close) => break close,
        };
        if let Err(close) = socket.write(&mut frames, patience).await {
            break close;
        }
    };
    socket.close(close).await;
}

/// What a client says and what it must read then.
pub type Case<'a> = (&'a str, Vec<Vec<u8>>, Vec<Got>);

/// Tries cases whole, frame by frame, and byte by byte. Those that do not end with a close of the
/// server's own are ended by the client.
pub async fn check(cases: impl IntoIterator<Item = Case<'_>>) {
    for (name, frames, mut expected) in cases {
        let mut sent = frames.concat();
        if !matches!(expected.last(), Some(Got::Close(_))) {
            sent.extend(close(1000, "done"));
            expected.push(Got::Close(1000));
        }
        for chop in [usize::MAX, 1] {
            let got = Peer::new().await.exchange(&sent, chop).await;
            assert_eq!(got, expected, "{name}, in pieces of {chop}");
        }
    }
}
