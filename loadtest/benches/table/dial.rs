//! Opening one WebSocket and taking its frames one after the other: for the few clients that a row is
//! about. Those who come by the thousand are a [`crate::crowd::Crowd`].

use crate::frame::{self, Frame};
use anyhow::{Result, bail, ensure};
use serde_json::json;
use std::net::SocketAddr;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Where a client stopped in a chat before it comes back.
#[derive(Debug)]
pub struct Past {
    /// Of the database.
    pub epoch: String,
    pub chat: i64,
    pub seq: u64,
}

/// The upgrade and the hello of the native protocol; the answer is not read.
pub async fn native(
    gateway: SocketAddr,
    token: &str,
    past: Option<&Past>,
    mask: u32,
) -> Result<TcpStream> {
    let mut stream = upgrade(gateway, "/gateway").await?;
    let resume = past
        .map(|past| json!({ "epoch": past.epoch, "cursors": { past.chat.to_string(): past.seq } }));
    let hello = json!({ "type": "hello", "token": token, "resume": resume }).to_string();
    stream.write_all(&frame::masked(frame::TEXT, hello.as_bytes(), mask)).await?;
    Ok(stream)
}

/// The upgrade alone: nothing is said after it before the client has said something.
pub async fn upgrade(gateway: SocketAddr, path: &str) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(gateway).await?;
    stream.set_nodelay(true)?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {gateway}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        ensure!(stream.read_buf(&mut head).await? > 0, "closed in the handshake");
    }
    ensure!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
    Ok(stream)
}

/// An open socket and what of its next frame has arrived.
pub struct FrameSocket {
    stream: TcpStream,
    bytes: Vec<u8>,
    used: usize,
}

impl FrameSocket {
    pub fn new(stream: TcpStream) -> Self {
        Self { stream, bytes: Vec::new(), used: 0 }
    }

    pub async fn say(&mut self, json: &str) -> Result<()> {
        self.stream.write_all(&frame::masked(frame::TEXT, json.as_bytes(), 0x9e37_79b9)).await?;
        Ok(())
    }

    /// The text of the next text frame. Pings are answered.
    pub async fn text(&mut self) -> Result<Vec<u8>> {
        loop {
            while let Some(Frame { opcode, payload, length }) =
                frame::first(&self.bytes[self.used..])
            {
                self.used += length;
                match opcode {
                    frame::TEXT => return Ok(payload.to_vec()),
                    frame::PING => {
                        let pong = frame::masked(frame::PONG, payload, 1);
                        self.stream.write_all(&pong).await?;
                    }
                    frame::CLOSE => bail!("closed: {}", String::from_utf8_lossy(payload)),
                    _ => {}
                }
            }
            self.bytes.drain(..std::mem::take(&mut self.used));
            ensure!(self.stream.read_buf(&mut self.bytes).await? > 0, "closed");
        }
    }
}
