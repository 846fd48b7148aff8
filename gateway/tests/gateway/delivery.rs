//! Events on their way to the chat's watchers: each once, in order, to members alone; and signals beside them.

use crate::harness::{ANN, BOB, GROUP, Node, TEAM};
use protocol::{
    chat::UserRef,
    encoded_run::EncodedRun,
    id::{NodeId, Seq},
    relay::{Channel, ChatEvents, ChatPayload, UserPayload},
};
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn a_message_reaches_every_device_of_every_member_and_nobody_else() {
    let t = Node::start().await;
    t.api.opens(GROUP, &[ANN, BOB]);
    t.api.opens(TEAM, &[BOB]);
    let (mut phone, mut laptop, mut bob) =
        (t.connect(ANN).await, t.connect(ANN).await, t.connect(BOB).await);
    t.posts(GROUP, "hi");
    t.posts(TEAM, "for the team");
    for device in [&mut phone, &mut laptop] {
        device.expect(["1#1 hi"]).await;
        device.expect_nothing().await;
    }
    bob.expect_in_any_order(["1#1 hi", "2#1 for the team"]).await;
}

#[tokio::test(start_paused = true)]
async fn what_the_bus_repeats_is_heard_once() {
    let t = Node::start().await;
    t.api.opens(GROUP, &[ANN]);
    let mut ann = t.connect(ANN).await;
    let (first, second) = (t.posts(GROUP, "a"), t.posts(GROUP, "b"));
    for event in [&second, &first, &first] {
        t.brings(GROUP, event);
    }
    t.posts(GROUP, "c");
    ann.expect(["1#1 a", "1#2 b", "1#3 c"]).await;
    t.settles().await;
    ann.expect_nothing().await;
}

/// A run of the next event of the chat, a message of ANN's, before the bus brings it.
fn next_run(t: &Node, text: &str) -> (ChatEvents, String) {
    let events = vec![t.api.commits(GROUP, text)];
    let run = ChatEvents { chat_id: GROUP, events, published_ms: 0, traceparent: None };
    let payload = EncodedRun::of(&run).unwrap().payload().to_vec();
    (run, String::from_utf8(payload).unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_run_is_known_by_its_first_bytes() {
    let t = Node::start().await;
    t.api.opens(GROUP, &[ANN]);
    let mut ann = t.connect(ANN).await;
    t.posts(GROUP, "a");
    let (run, payload) = next_run(&t, "b");
    // Says that it ends where the chat is. Whoever reads on would find the next event.
    let known = payload.replace(r#""upto":2"#, r#""upto":1"#);
    t.publishes_bytes(Channel::Chat(GROUP), known.into_bytes());
    ann.expect(["1#1 a"]).await;
    t.settles().await;
    ann.expect_nothing().await;
    // As an older api publishes it.
    t.publishes(Channel::Chat(GROUP), &ChatPayload::Events(run));
    ann.expect(["1#2 b"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_reads_the_very_bytes_that_the_api_wrote() {
    let t = Node::start().await;
    t.api.opens(GROUP, &[ANN]);
    let mut ann = t.connect(ANN).await;
    // As no encoder of the gateway writes it; for instance a newer api.
    let (_, payload) = next_run(&t, "hi");
    let newer = payload.replace(r#""text":"hi""#, r#""size":[ 9]"#);
    t.publishes_bytes(Channel::Chat(GROUP), newer.clone().into_bytes());
    let frame = ann.hear().await;
    assert!(newer.contains(&frame) && frame.contains("[ 9]"), "{frame}");
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_head_does_not_fit_is_parsed() {
    let t = Node::start().await;
    t.api.opens(GROUP, &[ANN]);
    let mut ann = t.connect(ANN).await;
    for (text, right, wrong) in [
        ("a", r#""frames":""#, r#""frames":"9"#),
        ("b", r#""frames":""#, r#""slices":""#),
        ("c", r#""events":["#, r#""events": ["#),
    ] {
        let (_, payload) = next_run(&t, text);
        t.publishes_bytes(Channel::Chat(GROUP), payload.replace(right, wrong).into_bytes());
    }
    ann.expect(["1#1 a", "1#2 b", "1#3 c"]).await;
    // Cut, it is nothing. The next one shows that an event is missing, and the api has it.
    let (_, payload) = next_run(&t, "d");
    t.publishes_bytes(Channel::Chat(GROUP), payload.into_bytes()[..200].to_vec());
    t.posts(GROUP, "e");
    t.passes(Duration::from_secs(1)).await;
    ann.expect(["1#4 d", "1#5 e"]).await;
}

#[tokio::test(start_paused = true)]
async fn an_own_message_is_heard_once_whether_the_api_or_the_bus_is_first() {
    let t = Node::start().await;
    t.api.opens(GROUP, &[ANN, BOB]);
    let (mut ann, mut bob) = (t.connect(ANN).await, t.connect(BOB).await);
    ann.send(GROUP, "a", "hi").await;
    ann.expect_in_any_order(["1#1 hi", "ack a 1#1"]).await;
    bob.expect(["1#1 hi"]).await;
    ann.send(GROUP, "a", "hi").await;
    ann.expect(["ack a 1#1"]).await;
    t.settles().await;
    ann.expect_nothing().await;
    bob.expect_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn signals_reach_the_others_and_not_who_made_them() {
    let t = Node::start().await;
    t.api.opens(GROUP, &[ANN, BOB]);
    let (mut ann, mut bob) = (t.connect(ANN).await, t.connect(BOB).await);
    let origin = NodeId::random();
    let user = UserRef::registered(ANN, "ann");
    t.publishes(Channel::Chat(GROUP), &ChatPayload::Typing { origin, user });
    t.publishes(Channel::Chat(GROUP), &ChatPayload::Read { user_id: ANN, message_id: Seq(3) });
    bob.expect(["typing 1 by 1", "read 1#3 by 1"]).await;
    t.settles().await;
    ann.expect_nothing().await;
    t.tells_user(ANN, &UserPayload::Read { chat_id: GROUP, message_id: Seq(3) });
    ann.expect(["read 1#3 by 1"]).await;
    ann.say(r#"{"type":"typing","chat_id":1}"#).await;
    bob.expect(["typing 1 by 1"]).await;
    t.settles().await;
    bob.expect_nothing().await;
    ann.say(r#"{"type":"read","chat_id":1,"message_id":2}"#).await;
    t.settles().await;
    assert_eq!(t.api.take_calls("read"), ["1#2 by 1"]);
    ann.expect_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn what_the_bus_says_that_is_nothing_harms_nobody() {
    let t = Node::start().await;
    t.api.opens(GROUP, &[ANN]);
    let mut ann = t.connect(ANN).await;
    for channel in [Channel::Chat(GROUP), Channel::User(ANN), Channel::Control] {
        t.publishes(channel, &"nothing that anybody knows");
    }
    t.posts(GROUP, "hi");
    ann.expect(["1#1 hi"]).await;
}
