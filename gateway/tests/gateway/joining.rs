//! How a client comes to watch a chat from where it stopped: from the replay, by pages, or anew.

use crate::harness::{ANN, BOB, GROUP, Mode, Node, TEAM, hello};
use protocol::{
    id::{ChatId, Seq},
    relay::UserPayload,
};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_client_that_missed_little_is_served_from_the_replay() {
    let t = Node::start().await;
    t.api.opens(GROUP, &[ANN, BOB]);
    let _bob = t.connect(BOB).await;
    for text in ["a", "b", "c"] {
        t.posts(GROUP, text);
    }
    t.settles().await;
    t.api.take_calls("events");
    let mut ann = t.resume(ANN, &[(GROUP, 1)]).await;
    ann.expect(["1#2 b", "1#3 c", "caught up 1@3"]).await;
    t.posts(GROUP, "d");
    ann.expect(["1#4 d"]).await;
    assert!(t.api.take_calls("events").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_chat_that_nobody_watches_starts_where_its_first_client_stopped() {
    let t = Node::start().await;
    t.api.opens(GROUP, &[ANN, BOB]);
    t.api.commits_many(GROUP, 3);
    let mut ann = t.resume(ANN, &[(GROUP, 1)]).await;
    ann.expect(["1#2 2", "1#3 3", "caught up 1@3"]).await;
    assert_eq!(t.api.take_calls("events"), ["1 after 1"]);
    let mut bob = t.resume(BOB, &[(GROUP, 2)]).await;
    bob.expect(["1#3 3", "caught up 1@3"]).await;
    assert!(t.api.take_calls("events").is_empty(), "the first one's answer serves others");
}

#[tokio::test(start_paused = true)]
async fn clients_from_far_back_read_pages_that_are_fetched_once_for_all() {
    let t = Node::start().await;
    t.api.opens(GROUP, &[ANN, BOB]);
    t.api.commits_many(GROUP, 35);
    let mut bob = t.connect(BOB).await;
    t.api.take_calls("events");
    let mut devices = [t.resume(ANN, &[(GROUP, 5)]).await, t.resume(ANN, &[(GROUP, 5)]).await];
    for ann in &mut devices {
        for number in 6..=35 {
            assert_eq!(ann.hear().await, format!("1#{number} {number}"));
        }
        ann.expect(["caught up 1@35"]).await;
        ann.expect_nothing().await;
    }
    assert_eq!(t.api.take_calls("events"), ["1 after 5", "1 after 15", "1 after 25"]);
    t.posts(GROUP, "hi");
    for phone in devices.iter_mut().chain([&mut bob]) {
        phone.expect(["1#36 hi"]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn clients_that_wait_for_the_same_page_share_one_call() {
    let t = Node::start().await;
    t.api.opens(GROUP, &[ANN, BOB]);
    t.api.commits_many(GROUP, 15);
    let _bob = t.connect(BOB).await;
    t.api.take_calls("events");
    t.api.set("events", Mode::Holds);
    let mut devices = [t.resume(ANN, &[(GROUP, 5)]).await, t.resume(ANN, &[(GROUP, 5)]).await];
    t.settles().await;
    assert_eq!(t.api.take_calls("events"), ["1 after 5"]);
    t.api.set("events", Mode::Answers);
    for ann in &mut devices {
        assert_eq!(ann.hear_until("caught up 1@15").await.len(), 11);
    }
    assert!(t.api.take_calls("events").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_while_it_catches_up_silences_nobody_else() {
    let t = Node::start().await;
    t.api.opens(GROUP, &[ANN, BOB]);
    t.api.commits_many(GROUP, 2);
    t.api.set("events", Mode::Holds);
    let ann = t.resume(ANN, &[(GROUP, 0)]).await;
    let mut bob = t.resume(BOB, &[(GROUP, 0)]).await;
    t.settles().await;
    drop(ann);
    t.settles().await;
    t.api.set("events", Mode::Answers);
    bob.expect(["1#1 1", "1#2 2", "caught up 1@2"]).await;
}

#[tokio::test(start_paused = true)]
async fn every_cursor_is_answered() {
    let t = Node::start().await;
    t.api.opens(GROUP, &[ANN]);
    t.api.opens(TEAM, &[BOB]);
    t.api.commits_many(GROUP, 3);
    let gone = ChatId(77);
    let mut ann = t.resume(ANN, &[(GROUP, 3), (TEAM, 1), (gone, 1)]).await;
    ann.expect_in_any_order(["caught up 1@3", "removed 2", "removed 77"]).await;
    for cursor in [-1, 4] {
        let mut ann = t.resume(ANN, &[(GROUP, cursor)]).await;
        ann.expect(["resync 1@3"]).await;
        ann.expect_nothing().await;
    }
    let mut ann = t.dial().await;
    ann.say(&hello(ANN, Some(&[(GROUP, 3)])).replace(r#":"epoch""#, r#":"before""#)).await;
    ann.expect(["ready 1@3", "resync 1@3"]).await;
    t.posts(GROUP, "hi");
    ann.expect(["1#4 hi"]).await;
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_events_are_sent_and_one_more_is_too_many() {
    let t = Node::start().await;
    t.api.opens(GROUP, &[ANN]);
    t.api.commits_many(GROUP, 10_001);
    let mut ann = t.resume(ANN, &[(GROUP, 0)]).await;
    ann.expect(["resync 1@10001"]).await;
    let mut ann = t.resume(ANN, &[(GROUP, 1)]).await;
    ann.expect(["1#2 2"]).await;
}

#[tokio::test(start_paused = true)]
async fn what_happens_while_a_client_catches_up_comes_behind_what_it_missed() {
    let t = Node::start().await;
    t.api.opens(GROUP, &[ANN]);
    t.api.commits_many(GROUP, 2);
    t.api.set("events", Mode::Holds);
    let mut ann = t.resume(ANN, &[(GROUP, 0)]).await;
    t.settles().await;
    t.posts(GROUP, "live");
    t.settles().await;
    ann.expect_nothing().await;
    t.api.set("events", Mode::Answers);
    ann.expect(["1#1 1", "1#2 2", "1#3 live", "caught up 1@3"]).await;
    ann.expect_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn the_same_from_far_back_is_heard_once() {
    let t = Node::start().await;
    t.api.opens(GROUP, &[ANN, BOB]);
    t.api.commits_many(GROUP, 12);
    let _bob = t.connect(BOB).await;
    t.api.set("events", Mode::Holds);
    let mut ann = t.resume(ANN, &[(GROUP, 10)]).await;
    t.settles().await;
    t.posts(GROUP, "live");
    t.settles().await;
    t.api.set("events", Mode::Answers);
    ann.expect(["1#11 11", "1#12 12", "1#13 live", "caught up 1@13"]).await;
    ann.expect_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn a_page_that_nobody_answers_is_asked_for_again_and_delays_its_chat_alone() {
    let t = Node::start().await;
    t.api.opens(GROUP, &[ANN, BOB]);
    t.api.opens(TEAM, &[ANN]);
    t.api.commits_many(GROUP, 3);
    let _bob = t.connect(BOB).await;
    t.api.set("events", Mode::Silent);
    let mut ann = t.resume(ANN, &[(GROUP, 0)]).await;
    t.passes(12 * SECOND).await;
    t.posts(TEAM, "meanwhile");
    ann.expect(["2#1 meanwhile"]).await;
    ann.expect_nothing().await;
    t.api.set("events", Mode::Answers);
    t.passes(3 * SECOND).await;
    ann.expect(["1#1 1", "1#2 2", "1#3 3", "caught up 1@3"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_page_that_cannot_be_asked_for_is_a_resync() {
    let t = Node::start().await;
    t.api.opens(GROUP, &[ANN, BOB]);
    t.api.commits_many(GROUP, 3);
    let _bob = t.connect(BOB).await;
    t.api.set("events", Mode::Refuses);
    let mut ann = t.resume(ANN, &[(GROUP, 0)]).await;
    ann.expect(["resync 1@3"]).await;
    t.posts(GROUP, "hi");
    ann.expect(["1#4 hi"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_chat_that_is_gone_when_its_page_is_asked_for_is_removed() {
    let t = Node::start().await;
    t.api.opens(GROUP, &[ANN, BOB]);
    t.api.commits_many(GROUP, 3);
    let _bob = t.connect(BOB).await;
    t.api.set("open", Mode::Holds);
    let mut ann = t.dial().await;
    ann.say(&hello(ANN, Some(&[(GROUP, 0)]))).await;
    t.settles().await;
    t.api.deletes(GROUP);
    t.api.set("open", Mode::Answers);
    ann.expect(["ready 1@3", "removed 1"]).await;
    ann.expect_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn a_new_chat_comes_to_those_who_are_connected() {
    let t = Node::start().await;
    t.api.opens(TEAM, &[BOB]);
    t.api.commits_many(TEAM, 3);
    let mut ann = t.connect(ANN).await;
    t.api.adds(TEAM, ANN);
    t.tells_user(ANN, &UserPayload::Added { chat_id: TEAM });
    ann.expect(["chat 2@3"]).await;
    t.settles().await;
    t.posts(TEAM, "hi");
    ann.expect(["2#4 hi"]).await;
    assert_eq!(t.api.take_calls("view"), ["2 for 1"]);
    t.tells_user(ANN, &UserPayload::Added { chat_id: TEAM });
    t.settles().await;
    ann.expect_nothing().await;
    assert!(t.api.take_calls("view").is_empty(), "it watches the chat already");
}

#[tokio::test(start_paused = true)]
async fn a_chat_that_wakes_starts_where_it_fell_asleep() {
    let t = Node::start().await;
    let mut ann = t.connect(ANN).await;
    t.api.opens(TEAM, &[ANN]);
    t.api.commits_many(TEAM, 3);
    t.tells_user(ANN, &UserPayload::Wake { chat_id: TEAM, after: Seq(1) });
    ann.expect(["chat 2@1", "2#2 2", "2#3 3"]).await;
    t.settles().await;
    ann.expect_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn at_the_bound_the_chat_that_has_been_quiet_longest_is_let_go() {
    let t = Node::with(|config| config.max_chats = 2).await;
    t.api.opens(GROUP, &[ANN]);
    t.api.opens(TEAM, &[ANN]);
    let mut ann = t.connect(ANN).await;
    t.passes(SECOND).await;
    t.posts(GROUP, "hi");
    ann.expect(["1#1 hi"]).await;
    let third = ChatId(9);
    t.api.opens(third, &[ANN]);
    t.tells_user(ANN, &UserPayload::Added { chat_id: third });
    ann.expect(["chat 9@0"]).await;
    assert_eq!(t.api.take_calls("dormant"), ["2"]);
    t.settles().await;
    t.posts(TEAM, "not heard");
    t.posts(GROUP, "a");
    t.posts(third, "b");
    ann.expect_in_any_order(["1#2 a", "9#1 b"]).await;
    ann.expect_nothing().await;
}
