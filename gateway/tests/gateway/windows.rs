//! Older clients: live as soon as their upgrade is answered, on the same chats, each in its own words.

use crate::harness::{ANN, BOB, Mode, Node, Phone, ROOM, TEAM};
use protocol::{
    chat::ChatType,
    id::{ChatId, NodeId},
    relay::{Channel, ChatPayload, EndReason, UserPayload},
    time::Timestamp,
};

const LOBBY: ChatId = ChatId::LOBBY;

/// The next line has this in it.
async fn hears(phone: &mut Phone, part: &str) {
    let line = phone.hear().await;
    assert!(line.contains(part), "{line}, and no {part}");
}

/// A node with a lobby.
async fn node() -> Node {
    let t = Node::with(|config| config.guests.enabled = true).await;
    t.api.makes(LOBBY, ChatType::Room, &[]);
    t
}

#[tokio::test(start_paused = true)]
async fn the_lobby_hears_messages_and_who_comes() {
    let t = node().await;
    let mut ann = t.window(Some(ANN), "/ws").await;
    t.posts(LOBBY, "hi");
    hears(&mut ann, r#""message":"hi""#).await;
    let _bob = t.window(Some(BOB), "/ws").await;
    hears(&mut ann, r#""user_joined","username":"user2""#).await;
    let (origin, username, at) = (NodeId::random(), "eve".to_owned(), Timestamp(0));
    t.publishes(Channel::Chat(LOBBY), &ChatPayload::Arrived { origin, username, at });
    hears(&mut ann, r#""user_joined","username":"eve""#).await;
    t.settles().await;
    t.posts(LOBBY, "then");
    hears(&mut ann, r#""message":"then""#).await;
}

#[tokio::test(start_paused = true)]
async fn a_guest_writes_under_the_name_that_its_frame_says() {
    let t = node().await;
    let mut zoe = t.window(None, "/ws").await;
    zoe.say(r#"{"type":"chat_message","username":"zoe","message":"hi"}"#).await;
    hears(&mut zoe, r#""message":"hi""#).await;
    assert_eq!(t.api.take_calls("post"), ["hi"]);
}

#[tokio::test(start_paused = true)]
async fn messages_that_a_client_sent_before_it_hung_up_are_posted() {
    let t = node().await;
    t.api.set("peers", Mode::Holds);
    let mut ann = t.window(Some(ANN), &format!("/messages/{ANN}")).await;
    for text in ["hi", "bye"] {
        let to = format!(r#""senderId":{ANN},"receiverId":{BOB},"timestamp":0"#);
        ann.say(&format!(r#"{{{to},"content":"{text}"}}"#)).await;
    }
    drop(ann);
    t.settles().await;
    t.api.set("peers", Mode::Answers);
    t.settles().await;
    assert_eq!(t.api.take_calls("post"), ["hi", "bye"]);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_ends_after_its_client_hung_up_posts_nothing() {
    let t = node().await;
    t.api.set("peers", Mode::Holds);
    let mut ann = t.window(Some(ANN), &format!("/messages/{ANN}")).await;
    let to = format!(r#""senderId":{ANN},"receiverId":{BOB},"timestamp":0"#);
    ann.say(&format!(r#"{{{to},"content":"hi"}}"#)).await;
    drop(ann);
    t.settles().await;
    t.ends_session(ANN, EndReason::SignedOut);
    t.settles().await;
    t.api.set("peers", Mode::Answers);
    t.settles().await;
    assert!(t.api.take_calls("post").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_former_member_may_go_on_watching_a_room_and_a_banned_user_may_not() {
    let t = node().await;
    t.api.makes(ROOM, ChatType::Room, &[ANN]);
    let mut ann = t.window(Some(ANN), "/ws/3").await;
    t.tells_user(ANN, &UserPayload::Removed { chat_id: ROOM, banned: false });
    t.settles().await;
    t.posts(ROOM, "hi");
    hears(&mut ann, "hi").await;
    t.tells_user(ANN, &UserPayload::Removed { chat_id: ROOM, banned: true });
    ann.expect(["close 1008 not_a_member"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_window_that_may_not_open_is_closed_and_told_why() {
    let t = node().await;
    t.api.opens(TEAM, &[BOB]);
    for (user, path, close) in [
        (None, "/ws/chat", "close 1008 unauthenticated"),
        (Some(ANN), "/messages/2", "close 1008 other_user"),
        (Some(ANN), "/ws/2", "close 1008 not_a_member"),
        (Some(ANN), "/ws/77", "close 1008 chat_not_found"),
    ] {
        t.window(user, path).await.expect([close]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_window_of_names_shows_counts_as_read() {
    let t = node().await;
    let (with_bob, with_eve) = (ChatId(8), ChatId(9));
    for chat in [with_bob, with_eve] {
        t.api.makes(chat, ChatType::Private, &[ANN, BOB]);
    }
    let mut ann = t.window(Some(ANN), "/ws/chat").await;
    t.api.set("read", Mode::Holds);
    for (chat, text) in [(with_bob, "a"), (with_eve, "b"), (with_bob, "c")] {
        t.posts(chat, text);
    }
    for text in ["a", "b", "c"] {
        hears(&mut ann, &format!(r#""message":"{text}""#)).await;
    }
    t.api.set("read", Mode::Answers);
    t.settles().await;
    let marks = t.api.take_calls("read").join(", ");
    assert!(marks.contains("8#2 by 1") && marks.contains("9#1 by 1"), "{marks}");
}
