//! A proxy before Redis that can swallow messages of subscriptions and let everything else pass: a
//! connection that looks well and is deaf.

use std::sync::{Arc, Mutex};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream, tcp::OwnedReadHalf},
    task::JoinHandle,
};

/// Which messages do not arrive.
#[derive(Clone, Copy)]
pub enum Swallow {
    Nothing,
    Probes,
    Everything,
}

pub struct Proxy {
    pub port: u16,
    swallowed: Arc<Mutex<Swallow>>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    #[expect(clippy::disallowed_methods, reason = "a test server without a lifecycle")]
    pub async fn start(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let swallowed = Arc::new(Mutex::new(Swallow::Nothing));
        let swallow = Arc::clone(&swallowed);
        let accepting = tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let server = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
                let swallow = Arc::clone(&swallow);
                tokio::spawn(async move {
                    let (mut from_client, mut to_client) = client.into_split();
                    let (from_server, mut to_server) = server.into_split();
                    let mut replies = BufReader::new(from_server);
                    let requests = tokio::io::copy(&mut from_client, &mut to_server);
                    let answers = async {
                        while let Some(frame) = frame(&mut replies).await {
                            let message = frame.starts_with(b">3\r\n$7\r\nmessage\r\n");
                            let probe = frame.windows(8).any(|part| part == b"\r\nprobe:");
                            let swallowed = match *swallow.lock().unwrap() {
                                Swallow::Nothing => false,
                                Swallow::Probes => message && probe,
                                Swallow::Everything => message,
                            };
                            if !swallowed && to_client.write_all(&frame).await.is_err() {
                                return;
                            }
                        }
                    };
                    tokio::select! { _ = requests => {}, () = answers => {} }
                });
            }
        });
        Self { port, swallowed, accepting }
    }

    /// From now on, on every connection.
    pub fn swallow(&self, what: Swallow) {
        *self.swallowed.lock().unwrap() = what;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// One whole RESP3 value as it came; `None` at the end of the stream.
async fn frame(replies: &mut BufReader<OwnedReadHalf>) -> Option<Vec<u8>> {
    let mut frame = Vec::new();
    let mut values = 1usize;
    while values > 0 {
        values -= 1;
        let start = frame.len();
        if replies.read_until(b'\n', &mut frame).await.ok()? == 0 {
            return None;
        }
        let line = std::str::from_utf8(&frame[start..]).unwrap().trim_end();
        let length = line[1..].parse().unwrap_or(0usize);
        match line.as_bytes()[0] {
            b'$' | b'=' | b'!' => {
                let end = frame.len() + length + 2;
                let from = frame.len();
                frame.resize(end, 0);
                replies.read_exact(&mut frame[from..]).await.ok()?;
            }
            b'*' | b'>' | b'~' => values += length,
            b'%' => values += 2 * length,
            _ => {}
        }
    }
    Some(frame)
}
