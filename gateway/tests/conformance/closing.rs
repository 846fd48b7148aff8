//! Section 7: closing, by either side, and what may not be said with it.

use crate::peer::{CLOSE, CONT, Case, Got, MORE, PING, Peer, TEXT, check, close, frame, text};

#[tokio::test]
async fn a_close_is_answered_and_nothing_after_it() {
    let closed = || vec![Got::Close(1000)];
    let long = "x".repeat(256 * 1024);
    let cases: [Case<'_>; 8] = [
        ("at once", vec![close(1000, "")], closed()),
        ("twice", vec![close(1000, ""), close(1001, "")], closed()),
        ("a ping after it", vec![close(1000, ""), frame(PING, "")], closed()),
        ("a text after it", vec![close(1000, ""), frame(TEXT, "late")], closed()),
        ("garbage after it", vec![close(1000, ""), vec![0xff; 50]], closed()),
        (
            "within a text",
            vec![frame(TEXT | MORE, "a"), close(1000, ""), frame(CONT, "b")],
            closed(),
        ),
        ("no code", vec![frame(CLOSE, "")], closed()),
        (
            "after a long text",
            vec![frame(TEXT, &long), close(1000, ""), frame(PING, "")],
            vec![text(&long), Got::Close(1000)],
        ),
    ];
    check(cases).await;
}

#[tokio::test]
async fn what_a_close_says_is_checked() {
    let reason = "*".repeat(123);
    let cases: [Case<'_>; 7] = [
        ("half a code", vec![frame(CLOSE, "a")], vec![Got::Close(1002)]),
        ("a reason", vec![close(1000, "Hello World!")], vec![Got::Close(1000)]),
        ("the longest reason", vec![close(1000, &reason)], vec![Got::Close(1000)]),
        ("too long a reason", vec![close(1000, reason.clone() + "*")], vec![Got::Close(1002)]),
        (
            "a reason that is no text",
            vec![close(1000, b"\xce\xba\xed\xa0")],
            vec![Got::Close(1007)],
        ),
        ("half a character", vec![close(1000, b"\xe2\x82")], vec![Got::Close(1007)]),
        ("in fragments", vec![frame(CLOSE | MORE, ""), frame(CONT, "")], vec![Got::Close(1002)]),
    ];
    check(cases).await;
}

#[tokio::test]
async fn a_good_code_comes_back_and_a_bad_one_does_not() {
    let good = [
        1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000,
        4999,
    ];
    let bad = [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535];
    let good = good.map(|code| ("good", vec![close(code, "bye")], vec![Got::Close(code)]));
    check(good).await;
    check(bad.map(|code| ("bad", vec![close(code, "")], vec![Got::Close(1002)]))).await;
}

/// The server has sent its close frame and the client's was on its way.
#[tokio::test]
async fn both_may_close_at_once() {
    let mut peer = Peer::new().await;
    // Refused by its header; what the client says next is in the middle of it.
    peer.send(b"\x81\xff\0\0\0\0\x7f\0\0\0\0\0\0\0").await;
    peer.send(&close(1000, "")).await;
    assert_eq!((peer.next().await, peer.next().await), (Some(Got::Close(1009)), None));

    let mut peer = Peer::new().await;
    peer.send(&frame(PING, "").repeat(30)).await;
    peer.send(&[frame(TEXT, "ignored"), close(1000, "")].concat()).await;
    assert_eq!((peer.next().await, peer.next().await), (Some(Got::Close(1008)), None));
}
