//! What the api does with gateways that speak its streams in the wrong way, over real sockets.

use super::*;
use platform::stream::{StreamReader, StreamWriter, split};
use protocol::{
    calls::Post,
    command::{Action, Command},
    id::Seq,
    limits::{MAX_ANSWER_BYTES, MAX_BATCH, MAX_CALL_BYTES},
    stream::{
        self, FailedBody, FrameKind, HEAD_BYTES, MAX_IN_FLIGHT, PROTOCOL, VERSION, post::PostBody,
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// A stage whose backend is unused, and where its api listens.
async fn listening() -> (SqliteStage, String) {
    let mut url = None;
    let stage = SqliteStage::new(|api| {
        url = Some(serves(api, api::internal_router(api.clone())));
        Box::new(Direct(api.clone()))
    });
    let stage = stage.await;
    let address = url.unwrap().to_string().trim_start_matches("http://").to_owned();
    (stage, address)
}

/// Asks for a stream. The connection, and the head of the answer.
async fn ask(address: &str, secret: &str, version: &str) -> (TcpStream, String) {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "GET /internal/stream HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {secret}\r\nconnection: upgrade\r\n\
         upgrade: {PROTOCOL}\r\nswitchboard-stream-version: {version}\r\n\r\n"
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.unwrap());
    }
    (socket, String::from_utf8(head).unwrap())
}

async fn begin(address: &str) -> (StreamReader, StreamWriter) {
    let (socket, head) = ask(address, SECRET, VERSION).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    split(socket, &[], MAX_ANSWER_BYTES)
}

/// A call with so many commands, all for no chat.
fn call(number: u64, commands: usize) -> Vec<u8> {
    let action = Action::Delete { message_id: Seq(1) };
    let command = Command { user_id: UserId(1), chat_id: ChatId(0), action };
    let post = Post { commands: vec![command; commands], impatient: true };
    stream::frame(FrameKind::Post, number, &PostBody::new(&post, None)).unwrap()
}

async fn next(reader: &mut StreamReader) -> (FrameKind, u64, Vec<u8>) {
    let (head, body) = reader.read().await.unwrap().unwrap();
    (head.kind, head.call, body.to_vec())
}

async fn is_answered(reader: &mut StreamReader, writer: &StreamWriter, number: u64) {
    writer.write(&call(number, 1)).await.unwrap();
    let (kind, answered, _) = next(reader).await;
    assert_eq!((kind, answered), (FrameKind::Posted, number));
}

#[tokio::test]
async fn a_stream_needs_the_secret_and_a_known_version() {
    let (_stage, address) = listening().await;
    for (secret, version, status) in
        [("wrong", VERSION, 401), ("", VERSION, 401), (SECRET, "2", 426), (SECRET, "", 426)]
    {
        let (_, head) = ask(&address, secret, version).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
    }
    let (mut reader, writer) = begin(&address).await;
    is_answered(&mut reader, &writer, 7).await;
}

#[tokio::test]
async fn a_call_that_is_refused_ends_nothing() {
    let (_stage, address) = listening().await;
    let (mut reader, writer) = begin(&address).await;
    let unreadable = stream::frame(FrameKind::Post, 1, &"no call").unwrap();
    for (number, frame) in [(1, unreadable), (2, call(2, MAX_BATCH + 1))] {
        writer.write(&frame).await.unwrap();
        let (kind, answered, body) = next(&mut reader).await;
        assert_eq!((kind, answered), (FrameKind::Failed, number));
        assert_eq!(stream::read::<FailedBody<'_>>(&body).unwrap().status, 422);
    }
    is_answered(&mut reader, &writer, 3).await;
}

#[tokio::test]
async fn what_is_no_frame_of_a_gateway_ends_the_stream_alone() {
    let (_stage, address) = listening().await;
    let mut too_long = call(1, 1);
    too_long[..4].copy_from_slice(&u32::try_from(MAX_CALL_BYTES + 1).unwrap().to_be_bytes());
    let mut unknown = call(1, 1);
    unknown[12] = 9;
    let answer = stream::frame(FrameKind::Posted, 1, &()).unwrap();
    for frame in [too_long, unknown, answer] {
        let (mut reader, writer) = begin(&address).await;
        writer.write(&frame).await.unwrap();
        assert!(!matches!(reader.read().await, Ok(Some(_))));
    }
    // Cut in the middle of a frame, behind a whole one that is answered all the same.
    let (mut reader, writer) = begin(&address).await;
    writer.write(&call(1, 1)).await.unwrap();
    writer.write(&call(2, 1)[..HEAD_BYTES + 1]).await.unwrap();
    writer.finish().await;
    assert_eq!(next(&mut reader).await.1, 1);
    assert!(!matches!(reader.read().await, Ok(Some(_))));
    let (mut reader, writer) = begin(&address).await;
    is_answered(&mut reader, &writer, 3).await;
}

#[tokio::test]
async fn many_calls_at_once_are_all_answered() {
    let (_stage, address) = listening().await;
    let (mut reader, writer) = begin(&address).await;
    let calls = 5 * MAX_IN_FLIGHT as u64;
    let frames: Vec<u8> = (0..calls).flat_map(|number| call(number, 1)).collect();
    writer.write(&frames).await.unwrap();
    let mut answered = Vec::new();
    for _ in 0..calls {
        answered.push(next(&mut reader).await.1);
    }
    answered.sort_unstable();
    assert_eq!(answered, (0..calls).collect::<Vec<_>>());
}
