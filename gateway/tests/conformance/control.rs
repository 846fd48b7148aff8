//! Section 2: pings and pongs.

use crate::peer::{Case, Got, MORE, PING, PONG, Peer, TEXT, check, close, frame, pong, text};

#[tokio::test]
async fn pings_are_answered_with_their_payload_and_pongs_not_at_all() {
    let bytes = b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff";
    let cases: [Case<'_>; 8] = [
        ("empty", vec![frame(PING, "")], vec![pong("")]),
        ("text", vec![frame(PING, "Hello, world!")], vec![pong("Hello, world!")]),
        ("bytes", vec![frame(PING, bytes)], vec![pong(bytes)]),
        ("longest", vec![frame(PING, [0xfe; 125])], vec![pong([0xfe; 125])]),
        ("too long", vec![frame(PING, [0xfe; 126])], vec![Got::Close(1002)]),
        ("pong", vec![frame(PONG, "")], vec![]),
        ("pong with payload", vec![frame(PONG, "unasked")], vec![]),
        ("pong, then ping", vec![frame(PONG, "unasked"), frame(PING, "a")], vec![pong("a")]),
    ];
    // The client's close must not overtake the answer: a text behind the ping draws it out.
    check(cases.map(|(name, mut frames, mut expected)| {
        if expected != [Got::Close(1002)] {
            frames.push(frame(TEXT, "then"));
            expected.push(text("then"));
        }
        (name, frames, expected)
    }))
    .await;
}

#[tokio::test]
async fn every_ping_that_is_waited_for_is_answered() {
    let mut peer = Peer::new().await;
    for n in 0..10 {
        let payload = format!("payload-{n}");
        peer.send(&frame(PING, &payload)).await;
        assert_eq!(peer.next().await, Some(pong(payload)));
    }
    peer.send(&close(1000, "")).await;
    assert_eq!((peer.next().await, peer.next().await), (Some(Got::Close(1000)), None));
}

#[tokio::test]
async fn of_pings_that_come_together_the_newest_is_answered() {
    let mut frames: Vec<u8> = (0..10).flat_map(|n| frame(PING, format!("payload-{n}"))).collect();
    frames.extend(frame(TEXT, "then"));
    frames.extend(close(1000, ""));
    let got = Peer::new().await.exchange(&frames, usize::MAX).await;
    assert_eq!(got, [pong("payload-9"), text("then"), Got::Close(1000)]);
}

#[tokio::test]
async fn signs_without_end_are_abuse() {
    let empty = [frame(TEXT | MORE, ""), frame(MORE, "").repeat(30)].concat();
    for flood in [frame(PING, "").repeat(30), frame(PONG, "x").repeat(30), empty] {
        let sent = [flood, close(1000, "")].concat();
        let got = Peer::new().await.exchange(&sent, usize::MAX).await;
        assert_eq!(got, [Got::Close(1008)]);
    }
}
