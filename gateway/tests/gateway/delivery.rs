//! Events on their way to the chat's watchers: each once, in order, to members alone; and signals beside them.

use crate::harness::{ANN, BOB, GROUP, Node, TEAM};
use protocol::{
    chat::UserRef,
    id::{NodeId, Seq},
    relay::{Channel, ChatEvents, ChatPayload, UserPayload},
    relay_head::RunHead,
};

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

#[tokio::test(start_paused = true)]
async fn a_run_is_known_by_its_first_bytes() {
    let t = Node::start().await;
    t.api.opens(GROUP, &[ANN]);
    let mut ann = t.connect(ANN).await;
    t.posts(GROUP, "a");
    let event = t.api.commits(GROUP, "b");
    let run =
        ChatEvents { chat_id: GROUP, events: vec![event], published_ms: 0, traceparent: None };
    // Says that it ends where the chat is. Whoever reads on would find the next event.
    let known = String::from_utf8(RunHead::encode(&run).unwrap()).unwrap();
    let known = known.replace(r#""upto":2"#, r#""upto":1"#);
    t.publishes_bytes(Channel::Chat(GROUP), known.into_bytes());
    ann.expect(["1#1 a"]).await;
    t.settles().await;
    ann.expect_nothing().await;
    // As an older api publishes it.
    t.publishes(Channel::Chat(GROUP), &ChatPayload::Events(run));
    ann.expect(["1#2 b"]).await;
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
