//! Rooms that a client watches because it asks for them.

use crate::harness::{ANN, BOB, GROUP, Mode, Node, Phone, ROOM};
use protocol::chat::ChatType;
use std::time::Duration;

/// A room with three events, and a client that is no member of it.
async fn outside(change: impl FnOnce(&mut gateway::config::Config)) -> (Node, Phone) {
    let t = Node::with(change).await;
    t.api.makes(ROOM, ChatType::Room, &[BOB]);
    t.api.opens(GROUP, &[BOB]);
    t.api.commits_many(ROOM, 3);
    let ann = t.connect(ANN).await;
    (t, ann)
}

const SUBSCRIBE: &str = r#"{"type":"subscribe","id":"a","chat_id":3}"#;

#[tokio::test(start_paused = true)]
async fn a_room_is_watched_from_its_end_or_from_where_the_client_says() {
    let (t, mut ann) = outside(|_| {}).await;
    ann.say(SUBSCRIBE).await;
    ann.expect(["subscribed a 3@3"]).await;
    t.settles().await;
    t.posts(ROOM, "hi");
    ann.expect(["3#4 hi"]).await;
    let mut laptop = t.connect(ANN).await;
    laptop.say(r#"{"type":"subscribe","id":"b","chat_id":3,"after":2}"#).await;
    laptop.expect(["subscribed b 3@4", "3#3 3", "3#4 hi", "caught up 3@4"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_cursor_that_cannot_be_served_is_a_resync() {
    let (t, mut ann) = outside(|_| {}).await;
    ann.say(r#"{"type":"subscribe","id":"a","chat_id":3,"after":9}"#).await;
    ann.expect(["subscribed a 3@3", "resync 3@3"]).await;
    t.settles().await;
    ann.expect_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn a_room_is_left_when_the_client_says_so() {
    let (t, mut ann) = outside(|_| {}).await;
    ann.say(SUBSCRIBE).await;
    ann.expect(["subscribed a 3@3"]).await;
    ann.say(r#"{"type":"unsubscribe","id":"b","chat_id":3}"#).await;
    ann.expect(["unsubscribed b 3"]).await;
    t.posts(ROOM, "hi");
    t.settles().await;
    ann.expect_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn whoever_may_not_watch_is_told_why() {
    let (t, mut ann) = outside(|config| config.max_chats = 1).await;
    ann.say(r#"{"type":"subscribe","id":"a","chat_id":1}"#).await;
    ann.expect(["error a not_a_member"]).await;
    ann.say(r#"{"type":"subscribe","id":"b","chat_id":77}"#).await;
    ann.expect(["error b chat_not_found"]).await;
    ann.say(SUBSCRIBE).await;
    ann.expect(["subscribed a 3@3"]).await;
    t.settles().await;
    ann.say(r#"{"type":"subscribe","id":"c","chat_id":77}"#).await;
    ann.expect(["error c too_many_chats"]).await;
}

#[tokio::test(start_paused = true)]
async fn an_api_that_does_not_answer_is_not_waited_for_without_end() {
    let (t, mut ann) = outside(|_| {}).await;
    t.api.set("view", Mode::Silent);
    ann.say(SUBSCRIBE).await;
    t.settles().await;
    ann.expect_nothing().await;
    t.passes(Duration::from_secs(11)).await;
    ann.expect(["error a unavailable"]).await;
}
