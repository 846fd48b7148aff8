//! From the first frame to `ready`, and why a socket does not get there.

use crate::harness::{ANN, BOB, GROUP, Mode, Node, ROOM, TEAM, hello};
use protocol::{calls::SessionRefusal, chat::ChatType};
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn ready_lists_the_users_chats_and_how_far_they_are() {
    let t = Node::start().await;
    t.api.opens(GROUP, &[ANN, BOB]);
    t.api.opens(TEAM, &[ANN]);
    t.api.makes(ROOM, ChatType::Room, &[BOB]);
    t.api.commits_many(GROUP, 3);
    let mut ann = t.dial().await;
    ann.say(&hello(ANN, None)).await;
    ann.expect(["ready 1@3 2@0"]).await;
    ann.expect_nothing().await;
    let mut bob = t.dial().await;
    bob.say(&hello(BOB, None)).await;
    bob.expect(["ready 1@3 3@0"]).await;
}

#[tokio::test(start_paused = true)]
async fn sessions_that_open_together_are_asked_about_together() {
    let t = Node::start().await;
    t.api.set("open", Mode::Holds);
    let mut phones = Vec::new();
    for _ in 0..5 {
        let mut phone = t.dial().await;
        phone.say(&hello(ANN, None)).await;
        t.settles().await;
        phones.push(phone);
    }
    t.api.set("open", Mode::Answers);
    for phone in &mut phones {
        phone.expect(["ready"]).await;
    }
    assert_eq!(t.api.take_calls("open"), ["1", "1, 1, 1, 1"]);
}

#[tokio::test(start_paused = true)]
async fn before_hello_frames_are_refused_and_silence_closes() {
    let t = Node::start().await;
    let mut ann = t.dial().await;
    ann.say(r#"{"type":"ping","id":"a"}"#).await;
    ann.expect(["error a hello_required"]).await;
    t.passes(Duration::from_secs(9)).await;
    ann.say(r#"{"type":"ping","id":"b"}"#).await;
    ann.expect(["error b hello_required"]).await;
    t.passes(Duration::from_secs(2)).await;
    ann.expect(["close 1008 hello_timeout"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_bad_token_and_a_session_that_is_over_do_not_open() {
    let t = Node::start().await;
    let mut stranger = t.dial().await;
    stranger.say(r#"{"type":"hello","token":"x"}"#).await;
    stranger.expect(["close 1008 unauthenticated"]).await;
    for (refusal, close) in [
        (SessionRefusal::Ended, "close 1008 session_ended"),
        (SessionRefusal::Blocked, "close 1008 blocked"),
    ] {
        t.api.ends(ANN, refusal);
        let mut ann = t.dial().await;
        ann.say(&hello(ANN, None)).await;
        ann.expect([close]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_api_that_does_not_answer_is_asked_for_long_and_then_the_client_comes_back_later() {
    let t = Node::start().await;
    t.api.set("open", Mode::Silent);
    let mut ann = t.dial().await;
    ann.say(&hello(ANN, None)).await;
    t.passes(Duration::from_secs(9)).await;
    assert!(t.api.take_calls("open").len() > 5);
    t.passes(Duration::from_secs(2)).await;
    ann.expect(["close 1013 overloaded"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_socket_that_opens_while_its_session_ends_is_closed() {
    let t = Node::start().await;
    t.api.set("open", Mode::Holds);
    let mut ann = t.dial().await;
    ann.say(&hello(ANN, None)).await;
    t.settles().await;
    t.ends_session(ANN, protocol::relay::EndReason::SignedOut);
    ann.expect(["close 1008 session_ended"]).await;
}

#[tokio::test(start_paused = true)]
async fn an_account_that_has_as_many_sockets_as_it_may_loses_its_oldest() {
    let t = Node::with(|config| config.account.connections = 2).await;
    let (mut first, mut second) = (t.connect(ANN).await, t.connect(ANN).await);
    let mut other = t.connect(BOB).await;
    let mut third = t.connect(ANN).await;
    first.expect(["close 1008 too_many_connections"]).await;
    second.expect_nothing().await;
    third.expect_nothing().await;
    other.expect_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_falls_silent_is_pinged_and_then_given_up() {
    let t = Node::with(|config| config.heartbeat = Duration::from_secs(25)).await;
    let mut ann = t.connect(ANN).await;
    t.passes(Duration::from_secs(49)).await;
    ann.expect_nothing().await;
    // It has heard the ping and answered it only now.
    t.passes(Duration::from_secs(40)).await;
    ann.expect_nothing().await;
    t.passes(Duration::from_secs(51)).await;
    ann.expect(["close 1001 silent"]).await;
}
