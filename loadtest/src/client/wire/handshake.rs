//! Upgrades a connection to a WebSocket: the client's request and the server's answer.

use super::{
    WireError,
    stream::{Transport, WireStream},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::handshake::{client::generate_key, derive_accept_key};

/// The largest answer taken: a balancer adds some lines to the five that are needed.
const MAX_ANSWER_BYTES: usize = 8192;

/// Asks for a WebSocket. `token` goes into the header where the dialect shows it there.
pub(crate) async fn shake_hands(
    mut stream: Transport,
    authority: &str,
    path: &str,
    token: Option<&str>,
) -> Result<WireStream, WireError> {
    let key = generate_key();
    let bearer = token.map(|token| format!("Authorization: Bearer {token}\r\n"));
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n{}\r\n",
        bearer.unwrap_or_default()
    );
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;
    let mut answer = Vec::with_capacity(512);
    let end = loop {
        if stream.read_buf(&mut answer).await? == 0 {
            return Err(WireError::Io(std::io::ErrorKind::UnexpectedEof));
        }
        if let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if answer.len() > MAX_ANSWER_BYTES {
            return Err(WireError::NotAWebSocket);
        }
    };
    check(&answer[..end], &derive_accept_key(key.as_bytes()))?;
    Ok(WireStream::new(stream, answer.split_off(end)))
}

/// Whether the answer opens this WebSocket (RFC 6455 4.1).
fn check(answer: &[u8], accept: &str) -> Result<(), WireError> {
    let answer = std::str::from_utf8(answer).map_err(|_| WireError::NotAWebSocket)?;
    let mut lines = answer.split("\r\n");
    let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 "));
    let status = status.and_then(|rest| rest.get(..3)?.parse().ok());
    match status.ok_or(WireError::NotAWebSocket)? {
        101 => {}
        other => return Err(WireError::Status(other)),
    }
    let accepted = lines.filter_map(|line| line.split_once(':')).any(|(name, value)| {
        name.eq_ignore_ascii_case("sec-websocket-accept") && value.trim() == accept
    });
    if accepted { Ok(()) } else { Err(WireError::NotAWebSocket) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        // RFC 6455 1.3's key and answer.
        let accept = derive_accept_key(b"dGhlIHNhbXBsZSBub25jZQ==");
        let good = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
                    sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
        assert!(check(good.as_bytes(), &accept).is_ok());
        let other = good.replace("xOo=", "xOO=");
        assert!(matches!(check(other.as_bytes(), &accept), Err(WireError::NotAWebSocket)));
        let busy = b"HTTP/1.1 503 Service Unavailable\r\n\r\n";
        assert!(matches!(check(busy, &accept), Err(WireError::Status(503))));
        for odd in ["", "SSH-2.0\r\n\r\n", "HTTP/1.1 \r\n\r\n"] {
            assert!(matches!(check(odd.as_bytes(), &accept), Err(WireError::NotAWebSocket)));
        }
    }
}
