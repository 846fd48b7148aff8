//! Commands on their way to the api, and what their clients are told: by what is in the lanes, by what the
//! api answers, and when it does not.

use crate::harness::{ANN, BOB, GROUP, Mode, Node, Phone, TEAM};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// Two members of a group, both also in a team, on a node with one lane for commands.
async fn two(change: impl FnOnce(&mut gateway::config::Config)) -> (Node, Phone, Phone) {
    let t = Node::with(|config| {
        config.lanes.post_lanes = 1;
        change(config);
    })
    .await;
    t.api.opens(GROUP, &[ANN, BOB]);
    t.api.opens(TEAM, &[ANN]);
    let (ann, bob) = (t.connect(ANN).await, t.connect(BOB).await);
    (t, ann, bob)
}

#[tokio::test(start_paused = true)]
async fn what_is_sent_during_a_call_is_the_next_batch_in_its_order() {
    let (t, mut ann, mut bob) = two(|_| {}).await;
    t.api.set("post", Mode::Holds);
    for text in ["a", "b", "c", "d"] {
        ann.send(GROUP, text, text).await;
        t.settles().await;
    }
    t.api.set("post", Mode::Answers);
    bob.expect(["1#1 a", "1#2 b", "1#3 c", "1#4 d"]).await;
    let acks = ann.hear_until("ack d").await;
    let acks: Vec<&String> = acks.iter().filter(|line| line.starts_with("ack")).collect();
    assert_eq!(acks, ["ack a 1#1", "ack b 1#2", "ack c 1#3", "ack d 1#4"]);
    assert_eq!(t.api.take_calls("post"), ["a", "b, c, d"]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_without_an_answer_is_repeated_and_stored_once() {
    let (t, mut ann, mut bob) = two(|_| {}).await;
    t.api.set("post", Mode::Silent);
    ann.send(GROUP, "a", "hi").await;
    t.passes(3 * SECOND).await;
    ann.expect_nothing().await;
    t.api.set("post", Mode::Answers);
    t.passes(SECOND).await;
    ann.expect_in_any_order(["1#1 hi", "ack a 1#1"]).await;
    bob.expect(["1#1 hi"]).await;
    bob.expect_nothing().await;
    let calls = t.api.take_calls("post");
    assert!(calls.len() > 3 && calls.iter().all(|texts| texts == "hi"), "{calls:?}");
}

#[tokio::test(start_paused = true)]
async fn pauses_between_two_tries_grow_up_to_a_second() {
    let (t, mut ann, _bob) = two(|_| {}).await;
    t.api.set("post", Mode::Silent);
    ann.send(GROUP, "a", "hi").await;
    t.passes(SECOND).await;
    let first = t.api.take_calls("post").len();
    assert!((4..=7).contains(&first), "{first}");
    t.passes(10 * SECOND).await;
    let then = t.api.take_calls("post").len();
    assert!((10..=20).contains(&then), "{then}");
}

#[tokio::test(start_paused = true)]
async fn a_command_that_nobody_answers_for_long_fails_and_the_next_one_does_not() {
    let (t, mut ann, _bob) = two(|_| {}).await;
    t.api.set("post", Mode::Silent);
    ann.send(GROUP, "a", "hi").await;
    t.passes(13 * SECOND).await;
    ann.expect_nothing().await;
    t.passes(3 * SECOND).await;
    ann.expect(["error a unavailable"]).await;
    t.api.set("post", Mode::Answers);
    ann.send(GROUP, "a", "hi").await;
    ann.expect_in_any_order(["1#1 hi", "ack a 1#1"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_full_lane_refuses_and_takes_again_when_it_is_emptied() {
    let (t, mut ann, _bob) = two(|config| config.lanes.post.max_items = 2).await;
    t.api.set("post", Mode::Holds);
    for id in ["a", "b", "c"] {
        ann.send(GROUP, id, id).await;
    }
    ann.expect(["error c overloaded"]).await;
    t.api.set("post", Mode::Answers);
    ann.expect_in_any_order(["1#1 a", "ack a 1#1", "1#2 b", "ack b 1#2"]).await;
    ann.send(GROUP, "d", "d").await;
    ann.expect_in_any_order(["1#3 d", "ack d 1#3"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_lane_is_full_by_its_bytes_too() {
    let (t, mut ann, _bob) = two(|config| config.lanes.post.max_bytes = 1_000).await;
    t.api.set("post", Mode::Holds);
    ann.send(GROUP, "a", &"x".repeat(300)).await;
    ann.send(GROUP, "b", &"x".repeat(300)).await;
    ann.expect(["error b overloaded"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_bounded_in_items_and_in_bytes() {
    let (t, mut ann, _bob) = two(|config| {
        (config.lanes.post.max_batch, config.lanes.post.max_batch_bytes) = (3, 2_000);
    })
    .await;
    t.api.set("post", Mode::Holds);
    let long = "x".repeat(1_600);
    for text in ["a", "b", "c", "d", "e", &long, "f"] {
        ann.send(GROUP, &text[..1], text).await;
        t.settles().await;
    }
    t.api.set("post", Mode::Answers);
    ann.hear_until("ack f").await;
    assert_eq!(t.api.take_calls("post"), ["a", "b, c, d", "e", &long, "f"]);
}

#[tokio::test(start_paused = true)]
async fn one_account_has_only_so_many_commands_in_flight() {
    let (t, mut ann, mut bob) = two(|config| config.account.in_flight = 1).await;
    t.api.set("post", Mode::Holds);
    ann.send(GROUP, "a", "a").await;
    ann.send(GROUP, "b", "b").await;
    ann.expect(["error b rate_limited"]).await;
    bob.send(GROUP, "c", "c").await;
    bob.expect_nothing().await;
    t.api.set("post", Mode::Answers);
    ann.hear_until("ack a").await;
    ann.send(GROUP, "d", "d").await;
    ann.hear_until("ack d").await;
}

#[tokio::test(start_paused = true)]
async fn a_busy_chat_waits_aside_in_its_order_and_the_others_go_on() {
    let (t, mut ann, mut bob) = two(|_| {}).await;
    t.api.set_busy(&[GROUP]);
    ann.send(GROUP, "a", "a").await;
    t.passes(SECOND).await;
    ann.send(GROUP, "b", "b").await;
    ann.send(TEAM, "c", "c").await;
    ann.expect_in_any_order(["2#1 c", "ack c 2#1"]).await;
    t.passes(SECOND).await;
    ann.expect_nothing().await;
    t.api.set_busy(&[]);
    t.passes(SECOND).await;
    bob.expect(["1#1 a", "1#2 b"]).await;
    ann.hear_until("ack b").await;
    t.api.take_calls("post");
    ann.send(GROUP, "d", "d").await;
    ann.expect_in_any_order(["1#3 d", "ack d 1#3"]).await;
    assert_eq!(t.api.take_calls("post"), ["d"], "the chat is the lane's again");
}

#[tokio::test(start_paused = true)]
async fn what_waits_aside_is_asked_about_within_the_same_bounds() {
    let (t, mut ann, _bob) = two(|config| config.lanes.post.max_batch_bytes = 1_000).await;
    t.api.set_busy(&[GROUP]);
    let texts = ["a", "b", "c"].map(|text| text.repeat(400));
    for text in &texts {
        ann.send(GROUP, &text[..1], text).await;
    }
    t.passes(SECOND).await;
    t.api.take_calls("post");
    t.api.set_busy(&[]);
    t.passes(SECOND).await;
    ann.hear_until("ack c").await;
    assert_eq!(t.api.take_calls("post"), texts, "two would be too long for one call");
}

#[tokio::test(start_paused = true)]
async fn a_chat_that_stays_busy_fails_its_commands() {
    let (t, mut ann, _bob) = two(|_| {}).await;
    t.api.set_busy(&[GROUP]);
    ann.send(GROUP, "a", "a").await;
    t.passes(14 * SECOND).await;
    ann.expect_nothing().await;
    t.passes(2 * SECOND).await;
    ann.expect(["error a unavailable"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_batch_is_halved_until_what_it_hangs_on_fails_alone() {
    let (t, mut ann, mut bob) = two(|_| {}).await;
    t.api.chokes_on("poison");
    t.api.set("post", Mode::Holds);
    for text in ["a", "b", "c", "poison", "d"] {
        ann.send(GROUP, text, text).await;
        t.settles().await;
    }
    t.api.set("post", Mode::Answers);
    bob.expect(["1#1 a", "1#2 b", "1#3 c", "1#4 d"]).await;
    let heard = ann.hear_until("ack d").await;
    assert!(heard.contains(&"error poison unavailable".to_owned()), "{heard:?}");
    let calls = ["a", "b, c, poison, d", "b, c", "poison, d", "poison", "d"];
    assert_eq!(t.api.take_calls("post"), calls);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_told_with_its_reason() {
    let (t, _ann, mut bob) = two(|_| {}).await;
    bob.send(TEAM, "a", "hi").await;
    bob.expect(["error a not_a_member"]).await;
    bob.say(r#"{"type":"edit","id":"b","chat_id":1,"message_id":1,"text":"x"}"#).await;
    bob.expect(["error b message_not_found"]).await;
    t.settles().await;
    bob.expect_nothing().await;
}
