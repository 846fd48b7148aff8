//! Sections 9 and 10: large messages, many messages, fragments and pieces of every size.

use crate::{
    BINARY,
    peer::{BIN, CONT, Got, MORE, Peer, TEXT, close, frame, text},
};

async fn comes_back(frames: Vec<u8>, chop: usize, expected: Vec<Got>) {
    let sent = [frames, close(1000, "")].concat();
    let mut got = Peer::new().await.exchange(&sent, chop).await;
    assert_eq!(got.pop(), Some(Got::Close(1000)));
    // Not `assert_eq`, which would print megabytes.
    assert!(got == expected, "in pieces of {chop}");
}

/// A message in fragments of this size.
fn in_fragments(opcode: u8, payload: &[u8], size: usize) -> Vec<u8> {
    let count = payload.len().div_ceil(size);
    let one = |(n, piece)| {
        let opcode = if n == 0 { opcode } else { CONT };
        frame(if n + 1 < count { opcode | MORE } else { opcode }, piece)
    };
    payload.chunks(size).enumerate().flat_map(one).collect()
}

#[tokio::test]
async fn large_messages_come_through_in_one_frame() {
    for kilobytes in [64, 256, 1024, 4096, 16_384] {
        let payload = "ж".repeat(kilobytes * 512);
        comes_back(frame(TEXT, &payload), usize::MAX, vec![text(&payload)]).await;
        comes_back(frame(BIN, payload), usize::MAX, vec![text(BINARY)]).await;
    }
}

#[tokio::test]
async fn large_messages_come_through_in_fragments_of_any_size() {
    let payload = "ж€🦀x".repeat((1 << 20) / 10);
    for size in [61, 256, 1024, 1300, 4096, 16_384, 65_536, 262_144] {
        let frames = in_fragments(TEXT, payload.as_bytes(), size);
        comes_back(frames, usize::MAX, vec![text(&payload)]).await;
        let frames = in_fragments(BIN, payload.as_bytes(), size);
        comes_back(frames, usize::MAX, vec![text(BINARY)]).await;
    }
}

#[tokio::test]
async fn large_messages_come_through_in_pieces_of_any_size() {
    let payload = "ж€🦀x".repeat((1 << 18) / 10);
    for chop in [64, 127, 256, 512, 1024, 2047] {
        comes_back(frame(TEXT, &payload), chop, vec![text(&payload)]).await;
    }
}

#[tokio::test]
async fn many_messages_come_through() {
    for size in [0, 16, 64, 256, 1024, 4096, 16_384] {
        let payload = "*".repeat(size);
        let frames = frame(TEXT, &payload).repeat(1000);
        comes_back(frames, usize::MAX, (0..1000).map(|_| text(&payload)).collect()).await;
    }
}

#[tokio::test]
async fn a_message_that_is_too_large_closes_as_soon_as_it_is_announced() {
    const LARGEST: usize = 16 << 20;
    let header = b"\x81\xff\0\0\0\0\x01\0\0\x01\0\0\0\0";
    let mut peer = Peer::new().await;
    peer.send(header).await;
    assert_eq!((peer.next().await, peer.next().await), (Some(Got::Close(1009)), None));
    let parts = [frame(TEXT | MORE, vec![b'x'; LARGEST - 2]), frame(CONT, "xyz")].concat();
    assert_eq!(Peer::new().await.exchange(&parts, usize::MAX).await, [Got::Close(1009)]);
    // The client reads why, although it is still writing.
    let much = frame(TEXT, vec![b'x'; LARGEST + 1]);
    let got = Peer::new().await.exchange(&much[..(1 << 20)], usize::MAX).await;
    assert_eq!(got, [Got::Close(1009)]);
}
