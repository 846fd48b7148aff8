//! Section 5: messages in fragments, and control frames among them.

use crate::{
    BINARY,
    peer::{BIN, CONT, Case, Got, MORE, PING, PONG, Peer, TEXT, check, close, frame, pong, text},
};

#[tokio::test]
async fn fragments_are_put_together_around_control_frames() {
    let (one, two) = (frame(TEXT | MORE, "fragment1"), frame(CONT, "fragment2"));
    let middle = frame(CONT | MORE, "fragment2");
    let both = || text("fragment1fragment2");
    let cases: [Case<'_>; 7] = [
        ("two", vec![one.clone(), two.clone()], vec![both()]),
        (
            "a ping between",
            vec![one.clone(), frame(PING, "a"), two.clone()],
            vec![pong("a"), both()],
        ),
        ("a pong between", vec![one.clone(), frame(PONG, "a"), two.clone()], vec![both()]),
        ("an empty end", vec![one.clone(), middle, frame(CONT, "")], vec![both()]),
        (
            "empty fragments",
            vec![frame(TEXT | MORE, ""), frame(CONT | MORE, ""), frame(CONT, "")],
            vec![text("")],
        ),
        (
            "content between empty ones",
            vec![frame(TEXT | MORE, ""), frame(CONT | MORE, "middle"), frame(CONT, "")],
            vec![text("middle")],
        ),
        (
            "binary, then text",
            vec![frame(BIN | MORE, [0xff]), frame(CONT, [0xff]), one, two],
            vec![text(BINARY), both()],
        ),
    ];
    check(cases).await;
}

#[tokio::test]
async fn fragments_where_they_may_not_be_end_the_connection() {
    let start = || frame(TEXT | MORE, "fragment1");
    let closed = || vec![Got::Close(1002)];
    let whole = || vec![start(), frame(CONT, "fragment2")];
    let then = |more: Vec<u8>| [whole(), vec![more, frame(TEXT, "later")]].concat();
    let after = || vec![text("fragment1fragment2"), Got::Close(1002)];
    let cases: [Case<'_>; 10] = [
        ("a ping in fragments", vec![frame(PING | MORE, "a"), frame(CONT, "b")], closed()),
        ("a pong in fragments", vec![frame(PONG | MORE, "a"), frame(CONT, "b")], closed()),
        ("nothing to continue", vec![frame(CONT, "a"), frame(TEXT, "b")], closed()),
        ("nothing to continue, more", vec![frame(CONT | MORE, "a"), frame(TEXT, "b")], closed()),
        ("empty and nothing to continue", vec![frame(CONT, "")], closed()),
        ("continued after its end", then(frame(CONT, "a")), after()),
        ("continued after its end, more", then(frame(CONT | MORE, "a")), after()),
        ("a text within a text", vec![start(), frame(TEXT, "b")], closed()),
        ("a text within a text, more", vec![start(), frame(TEXT | MORE, "b")], closed()),
        ("binary within a text", vec![start(), frame(BIN, "b")], closed()),
    ];
    check(cases).await;
}

#[tokio::test]
async fn pings_at_every_place_of_a_long_text_are_answered() {
    let mut frames = vec![frame(TEXT | MORE, "fragment1")];
    for n in 2..5 {
        frames.push(frame(CONT | MORE, format!("fragment{n}")));
    }
    frames.insert(2, frame(PING, "pongme 1"));
    frames.push(frame(PING, "pongme 2"));
    frames.push(frame(CONT, "fragment5"));
    frames.push(close(1000, ""));
    let got = Peer::new().await.exchange(&frames.concat(), usize::MAX).await;
    let all = text("fragment1fragment2fragment3fragment4fragment5");
    assert_eq!(got, [pong("pongme 2"), all, Got::Close(1000)]);
}
