//! Polls: what the bus lost is found within seconds, and what a poll was too short for soon after.

use crate::harness::{ANN, BOB, GROUP, Mode, Node, TEAM};
use protocol::{
    calls::{ChangedFound, Cut, UserChat, Woken},
    id::Seq,
    time::Timestamp,
};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn cut(cut: Cut) -> ChangedFound {
    ChangedFound { truncated: true, cut, ..ChangedFound::default() }
}

#[tokio::test(start_paused = true)]
async fn each_poll_goes_on_from_the_answer_before_it() {
    let t = Node::start().await;
    assert_eq!(t.api.take_calls("changed"), ["the first time"], "at once, when the bus is up");
    t.passes(3 * SECOND).await;
    let settling = t.api.take_calls("changed");
    assert!(
        settling.len() <= 3,
        "each second while others may not be able to publish yet: {settling:?}"
    );
    t.api.changes(ChangedFound { now: Timestamp(7), ..ChangedFound::default() });
    t.passes(SECOND / 2).await;
    assert!(t.api.take_calls("changed").is_empty());
    t.passes(3 * SECOND / 2).await;
    assert_eq!(t.api.take_calls("changed"), ["since 0"]);
    t.api.set("changed", Mode::Silent);
    t.passes(4 * SECOND).await;
    t.api.set("changed", Mode::Answers);
    t.passes(4 * SECOND).await;
    assert_eq!(t.api.take_calls("changed"), ["since 7", "since 7"]);
}

#[tokio::test(start_paused = true)]
async fn a_chat_that_got_on_unheard_is_asked_about() {
    let t = Node::start().await;
    t.api.opens(GROUP, &[ANN]);
    let mut ann = t.connect(ANN).await;
    t.api.commits(GROUP, "lost");
    t.api.take_calls("events");
    t.finds(ChangedFound { chats: vec![(GROUP, Seq(1))], ..ChangedFound::default() }).await;
    t.passes(2 * SECOND).await;
    ann.expect(["1#1 lost"]).await;
    assert_eq!(t.api.take_calls("events"), ["1 after 0"]);
    t.finds(ChangedFound { chats: vec![(GROUP, Seq(1))], ..ChangedFound::default() }).await;
    t.passes(2 * SECOND).await;
    assert!(t.api.take_calls("events").is_empty(), "that is no news");
}

#[tokio::test(start_paused = true)]
async fn members_who_joined_and_chats_that_woke_are_found() {
    let t = Node::start().await;
    let mut ann = t.connect(ANN).await;
    t.api.opens(GROUP, &[ANN]);
    t.api.opens(TEAM, &[ANN]);
    t.api.commits_many(TEAM, 2);
    let joined = vec![UserChat { user_id: ANN, chat_id: GROUP }];
    t.finds(ChangedFound { joined, ..ChangedFound::default() }).await;
    ann.expect(["chat 1@0"]).await;
    let woken = vec![Woken { user_id: ANN, chat_id: TEAM, after: Seq(1) }];
    t.finds(ChangedFound { woken, ..ChangedFound::default() }).await;
    ann.expect(["chat 2@1", "2#2 2"]).await;
    t.posts(GROUP, "hi");
    ann.expect(["1#1 hi"]).await;
}

#[tokio::test(start_paused = true)]
async fn when_chats_were_left_out_all_are_asked_about() {
    let t = Node::start().await;
    t.api.opens(GROUP, &[ANN]);
    t.api.opens(TEAM, &[ANN, BOB]);
    let mut ann = t.connect(ANN).await;
    t.api.commits(GROUP, "lost");
    t.api.take_calls("events");
    t.finds(cut(Cut { chats: true, ..Cut::default() })).await;
    t.passes(2 * SECOND).await;
    ann.expect(["1#1 lost"]).await;
    let mut asked: Vec<String> = t
        .api
        .take_calls("events")
        .iter()
        .flat_map(|call| call.split(", "))
        .map(str::to_owned)
        .collect();
    asked.sort_unstable();
    assert_eq!(asked, ["1 after 0", "2 after 0"]);
    t.passes(5 * SECOND).await;
    assert!(t.api.take_calls("events").is_empty(), "once");
}

#[tokio::test(start_paused = true)]
async fn when_new_members_were_left_out_all_sessions_are_asked_for_their_chats() {
    for left_out in [Cut { joined: true, ..Cut::default() }, Cut { woken: true, ..Cut::default() }]
    {
        let t = Node::start().await;
        let mut ann = t.connect(ANN).await;
        t.api.opens(GROUP, &[ANN]);
        t.api.take_calls("open");
        t.finds(cut(left_out)).await;
        ann.expect(["chat 1@0"]).await;
        assert_eq!(t.api.take_calls("open"), ["1"]);
    }
}

#[tokio::test(start_paused = true)]
async fn when_lost_members_were_left_out_all_who_watch_are_asked_about() {
    let t = Node::start().await;
    t.api.opens(GROUP, &[ANN, BOB]);
    t.api.opens(TEAM, &[ANN]);
    let mut ann = t.connect(ANN).await;
    let _laptop = t.connect(ANN).await;
    let _bob = t.connect(BOB).await;
    t.api.take_calls("open");
    t.finds(cut(Cut { parted: true, ..Cut::default() })).await;
    assert!(t.api.take_calls("open").is_empty());
    t.passes(SECOND).await;
    assert_eq!(t.api.take_calls("view"), ["1 for 1, 1 for 2", "2 for 1"]);
    ann.expect_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn a_doubt_stays_until_the_api_answers() {
    let t = Node::start().await;
    t.api.opens(GROUP, &[ANN]);
    let mut ann = t.connect(ANN).await;
    t.api.removes(GROUP, ANN);
    t.api.set("view", Mode::Silent);
    t.finds(cut(Cut { parted: true, ..Cut::default() })).await;
    t.passes(5 * SECOND).await;
    ann.expect_nothing().await;
    t.api.set("view", Mode::Answers);
    t.passes(2 * SECOND).await;
    ann.expect(["removed 1"]).await;
}
