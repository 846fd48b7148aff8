//! A socket at the end of a real connection: writing, pings, what strangers may hold. That it reads what
//! it should is tried in `tests/conformance`.

use super::*;
use crate::wire::{credit::Credit, output::Written};
use futures_util::{FutureExt, SinkExt, StreamExt};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    time::Instant,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, protocol::Role},
};

type Client = WebSocketStream<TcpStream>;

const PATIENCE: Duration = Duration::from_secs(20);

/// A server's end, and the stream that is connected to it.
async fn streams() -> (Socket, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (server, address) = listener.accept().await.unwrap();
    let loan = Credit::new(50_000, 50_000).loan(address.ip());
    (Socket::new(server, &Bytes::new(), &Config::default(), loan), client)
}

/// A server's end, and a client that is connected to it.
async fn pair() -> (Socket, Client) {
    let (server, client) = streams().await;
    (server, WebSocketStream::from_raw_socket(client, Role::Client, None).await)
}

/// More than the kernel holds between the two, in frames that are joined and in large ones.
fn many() -> VecDeque<Frame> {
    let text =
        |n: usize| format!("{n}{}", "x".repeat(if n.is_multiple_of(50) { 90_000 } else { 200 }));
    (0..10_000).map(|n| Frame::from(text(n).as_str())).collect()
}

async fn next(client: &mut Client) -> Message {
    client.next().await.unwrap().unwrap()
}

#[tokio::test]
async fn a_client_gets_every_frame_whole_however_slowly_it_reads() {
    let (mut server, mut client) = pair().await;
    let mut frames = many();
    assert_eq!(server.output.write_now(&mut frames), Ok(Written::Some), "too much for the kernel");
    let reading = async {
        for frame in many() {
            assert_eq!(next(&mut client).await, Message::text(frame.text()));
        }
    };
    let (written, ()) = tokio::join!(server.write(&mut frames, PATIENCE), reading);
    assert_eq!(written, Ok(()));
    assert_eq!(server.output.write_now(&mut VecDeque::from(["end".into()])), Ok(Written::All));
    assert_eq!(next(&mut client).await, Message::text("end"));
}

#[tokio::test]
async fn a_write_given_up_ends_its_frame_before_the_close() {
    let (mut server, mut client) = pair().await;
    let mut frames = many();
    let written = server.write(&mut frames, PATIENCE).now_or_never();
    assert!(written.is_none(), "too much for the kernel");
    let reading = async {
        for frame in many() {
            match next(&mut client).await {
                Message::Close(close) => {
                    let reason = close.unwrap().reason.to_string();
                    // Reads on to the end, as a client does.
                    while let Some(Ok(_)) = client.next().await {}
                    return reason;
                }
                message => assert_eq!(message, Message::text(frame.text())),
            }
        }
        panic!("not closed");
    };
    let ((), reason) = tokio::join!(server.close(Close::SlowConsumer), reading);
    assert_eq!(reason, Close::SlowConsumer.reason());
}

/// Slow is whoever takes nothing, not whoever takes long.
#[tokio::test]
async fn a_client_that_reads_slowly_is_not_a_slow_consumer_and_one_that_stops_is() {
    const SHORT: Duration = Duration::from_millis(1500);
    let (mut server, mut client) = streams().await;
    let mut frames = many();
    let bytes: usize = frames.iter().map(Frame::size).sum();
    let started = Instant::now();
    let reading = async {
        let mut buffer = vec![0; bytes / 16];
        for _ in 0..6 {
            // This is how slowly it reads.
            tokio::time::sleep(SHORT / 5).await;
            client.read_exact(&mut buffer).await.unwrap();
        }
    };
    let (written, ()) = tokio::join!(server.write(&mut frames, SHORT), reading);
    assert_eq!(written, Err(Close::SlowConsumer), "nothing more was read");
    assert!(started.elapsed() > SHORT * 2, "while it read it was waited for");
}

#[tokio::test]
async fn the_newest_ping_is_answered_with_whatever_is_written_next() {
    let (mut server, mut client) = pair().await;
    for n in ["a", "b"] {
        client.feed(Message::Ping(n.into())).await.unwrap();
        client.feed(Message::text(n)).await.unwrap();
    }
    for n in ["c", "d"] {
        client.feed(Message::Ping(n.into())).await.unwrap();
    }
    client.flush().await.unwrap();
    for n in ["a", "b"] {
        let Ok(Incoming::Text(text)) = server.next().await else { panic!("no text") };
        assert_eq!(text, n);
        assert!(server.input.owes_pong());
    }
    assert!(matches!(server.next().await, Ok(Incoming::Sign)), "once for both");
    assert!(server.next().now_or_never().is_none());
    server.write(&mut VecDeque::from(["answer".into()]), PATIENCE).await.unwrap();
    assert!(!server.input.owes_pong());
    assert_eq!(next(&mut client).await, Message::Pong("d".into()));
    assert_eq!(next(&mut client).await, Message::text("answer"));
}

#[tokio::test]
async fn who_only_ever_pings_is_closed() {
    let (mut server, mut client) = pair().await;
    for _ in 0..20 {
        client.send(Message::Ping(Bytes::new())).await.unwrap();
        assert!(matches!(server.next().await, Ok(Incoming::Sign)));
    }
    client.send(Message::Ping(Bytes::new())).await.unwrap();
    assert!(matches!(server.next().await, Err(Close::Abuse)));
}

#[tokio::test]
async fn who_floods_instead_of_closing_is_not_waited_for() {
    let (server, mut client) = streams().await;
    let ping = [0x89, 0x80, 1, 2, 3, 4];
    client.write_all(&ping.repeat(3 * MAX_FORGOTTEN_FRAMES)).await.unwrap();
    let closed = timeout(CLOSE_TIMEOUT / 2, server.close(Close::Abuse)).await;
    assert!(closed.is_ok(), "it is read no further");

    // A burst that was under way is read to its end, and the client is told why.
    let (server, mut client) = streams().await;
    client.write_all(&ping.repeat(MAX_FORGOTTEN_FRAMES / 2)).await.unwrap();
    let closing = server.close(Close::Restart);
    let reading = async move {
        let mut told = [0; 4];
        client.read_exact(&mut told).await.unwrap();
        client.write_all(&[0x88, 0x80, 1, 2, 3, 4]).await.unwrap();
        told
    };
    let (closed, told) = tokio::join!(timeout(CLOSE_TIMEOUT / 2, closing), reading);
    assert!(closed.is_ok());
    assert_eq!(u16::from_be_bytes([told[2], told[3]]), Close::Restart.code());
}

#[tokio::test]
async fn a_stranger_holds_what_it_has_paid_for() {
    let (mut server, mut client) = streams().await;
    let credit = Credit::new(20_000, 20_000);
    server.input.set_loan(credit.loan([192, 0, 2, 1].into()));
    let mut frame = vec![0x81, 0xfe, 0xc3, 0x50, 0, 0, 0, 0];
    frame.resize(50_008, b'x');
    client.write_all(&frame[..8_000]).await.unwrap();
    assert!(server.next().now_or_never().is_none(), "these are free");
    client.write_all(&frame[8_000..]).await.unwrap();
    assert!(matches!(server.next().await, Err(Close::Overloaded)));

    let (mut server, mut client) = streams().await;
    server.on_client_known();
    client.write_all(&frame).await.unwrap();
    assert!(matches!(server.next().await, Ok(Incoming::Text(text)) if text.len() == 50_000));
    assert_eq!(server.input.memory(), 0, "nothing stays");
}
