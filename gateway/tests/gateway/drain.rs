//! The node goes: whoever is connected is sent on in order, and what it has sent is answered first.

use crate::harness::{ANN, BOB, GROUP, Mode, Node, hello};
use std::time::Duration;

const MOMENT: Duration = Duration::from_millis(100);
const BYE: [&str; 2] = ["reconnect", "close 1012 restart"];

#[tokio::test(start_paused = true)]
async fn everybody_is_told_to_come_back() {
    let t = Node::start().await;
    t.api.opens(GROUP, &[ANN]);
    let mut ann = t.connect(ANN).await;
    t.posts(GROUP, "queued before");
    t.stops();
    t.passes(MOMENT).await;
    ann.expect(["1#1 queued before"]).await;
    ann.expect(BYE).await;
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_is_answered_first() {
    let t = Node::start().await;
    t.api.opens(GROUP, &[ANN]);
    let mut ann = t.connect(ANN).await;
    t.api.set("post", Mode::Holds);
    ann.send(GROUP, "a", "hi").await;
    t.settles().await;
    t.stops();
    t.passes(10 * MOMENT).await;
    t.api.set("post", Mode::Answers);
    ann.expect_in_any_order(["1#1 hi", "ack a 1#1"]).await;
    ann.expect(BYE).await;
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_an_answer_for_ever() {
    let t = Node::start().await;
    t.api.opens(GROUP, &[ANN]);
    let mut ann = t.connect(ANN).await;
    t.api.set("post", Mode::Holds);
    ann.send(GROUP, "a", "hi").await;
    t.settles().await;
    t.stops();
    t.passes(25 * MOMENT).await;
    ann.expect(BYE).await;
}

#[tokio::test(start_paused = true)]
async fn they_go_one_after_the_other_over_the_drain_time() {
    let t = Node::start().await;
    let mut phones = Vec::new();
    for _ in 0..4 {
        phones.push(t.connect(ANN).await);
    }
    t.stops();
    // One second for four: at 0, 250, 500 and 750 ms.
    let mut gone = Vec::new();
    for _ in 0..4 {
        t.passes(Duration::from_millis(200)).await;
        gone.push(phones.iter().filter(|phone| phone.has_something()).count());
    }
    assert_eq!(gone, [1, 2, 3, 4]);
}

#[tokio::test(start_paused = true)]
async fn nobody_comes_in_any_more() {
    let t = Node::start().await;
    t.api.set("open", Mode::Holds);
    let (mut early, mut late) = (t.dial().await, t.dial().await);
    early.say(&hello(ANN, None)).await;
    t.settles().await;
    t.stops();
    t.passes(MOMENT).await;
    late.say(&hello(BOB, None)).await;
    early.expect(["close 1012 restart"]).await;
    late.expect(["close 1012 restart"]).await;
}
