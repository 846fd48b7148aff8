//! What the bus loses, swaps or brings late between two events.

use crate::harness::{ANN, BOB, GROUP, Mode, Node, Phone};
use protocol::calls::{EventsFound, RangeFound};
use std::time::Duration;

const MOMENT: Duration = Duration::from_millis(50);

/// A client that watches a chat; what was asked until then is forgotten.
async fn watching(t: &Node) -> Phone {
    t.api.opens(GROUP, &[ANN, BOB]);
    let ann = t.connect(ANN).await;
    assert_eq!(t.api.take_calls("events"), ["1 after 0"], "once, when the chat's channel is heard");
    ann
}

#[tokio::test(start_paused = true)]
async fn events_that_swap_places_wait_for_each_other_and_nobody_is_asked() {
    let t = Node::start().await;
    let mut ann = watching(&t).await;
    let events = ["a", "b", "c"].map(|text| t.api.commits(GROUP, text));
    for place in [2, 0] {
        t.brings(GROUP, &events[place]);
    }
    ann.expect(["1#1 a"]).await;
    ann.expect_nothing().await;
    t.brings(GROUP, &events[1]);
    ann.expect(["1#2 b", "1#3 c"]).await;
    t.passes(Duration::from_secs(3)).await;
    assert!(t.api.take_calls("events").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_gap_is_asked_about_after_a_moment() {
    let t = Node::start().await;
    let mut ann = watching(&t).await;
    t.api.commits(GROUP, "lost");
    t.posts(GROUP, "late");
    t.passes(Duration::from_millis(25)).await;
    assert!(t.api.take_calls("events").is_empty());
    ann.expect_nothing().await;
    t.passes(MOMENT).await;
    ann.expect(["1#1 lost", "1#2 late"]).await;
    assert_eq!(t.api.take_calls("events"), ["1 after 0"]);
    t.posts(GROUP, "then");
    ann.expect(["1#3 then"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_long_gap_is_filled_page_after_page() {
    let t = Node::start().await;
    let mut ann = watching(&t).await;
    t.api.commits_many(GROUP, 25);
    t.posts(GROUP, "26");
    t.passes(MOMENT).await;
    for number in 1..=26 {
        assert_eq!(ann.hear().await, format!("1#{number} {number}"));
    }
    ann.expect_nothing().await;
    assert_eq!(t.api.take_calls("events"), ["1 after 0", "1 after 10", "1 after 20"]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_live_events_overtook_changes_nothing() {
    let t = Node::start().await;
    let mut ann = watching(&t).await;
    t.api.set("events", Mode::Holds);
    let lost = t.api.commits(GROUP, "a");
    t.posts(GROUP, "b");
    t.passes(MOMENT).await;
    t.brings(GROUP, &lost);
    t.posts(GROUP, "c");
    ann.expect(["1#1 a", "1#2 b", "1#3 c"]).await;
    t.api.set("events", Mode::Answers);
    t.passes(Duration::from_secs(3)).await;
    ann.expect_nothing().await;
    assert_eq!(t.api.take_calls("events"), ["1 after 0"]);
    t.posts(GROUP, "d");
    ann.expect(["1#4 d"]).await;
}

#[tokio::test(start_paused = true)]
async fn an_api_that_does_not_answer_is_asked_until_it_does() {
    let t = Node::start().await;
    let mut ann = watching(&t).await;
    t.api.set("events", Mode::Silent);
    t.api.commits(GROUP, "lost");
    t.posts(GROUP, "late");
    t.passes(Duration::from_secs(30)).await;
    ann.expect_nothing().await;
    t.api.set("events", Mode::Answers);
    t.passes(Duration::from_secs(2)).await;
    ann.expect(["1#1 lost", "1#2 late"]).await;
    t.api.take_calls("events");
    t.passes(Duration::from_secs(10)).await;
    assert!(t.api.take_calls("events").is_empty(), "it is not asked any more");
}

#[tokio::test(start_paused = true)]
async fn a_gap_that_nobody_can_tell_of_is_a_resync() {
    let t = Node::start().await;
    let mut ann = watching(&t).await;
    t.api.set("events", Mode::Refuses);
    t.api.commits(GROUP, "lost");
    t.posts(GROUP, "late");
    t.passes(MOMENT).await;
    ann.expect(["resync 1@2"]).await;
    t.posts(GROUP, "then");
    ann.expect(["1#3 then"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_gap_in_a_chat_that_is_gone_ends_the_chat() {
    let t = Node::start().await;
    let mut ann = watching(&t).await;
    t.api.commits(GROUP, "lost");
    let late = t.api.commits(GROUP, "late");
    t.api.deletes(GROUP);
    t.brings(GROUP, &late);
    t.passes(MOMENT).await;
    ann.expect(["removed 1"]).await;
    ann.expect_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_leaves_changes_out_serves_nobody_inside_it() {
    let t = Node::start().await;
    let mut ann = watching(&t).await;
    let events: Vec<_> = (1..=5).map(|n| t.api.commits(GROUP, &n.to_string())).collect();
    let ends = [events[0].clone(), events[4].clone()];
    t.api.script.events.says(move |call| {
        let (head, upto) = (ends[1].seq, ends[1].seq);
        let found = |after| ends.iter().filter(|event| event.seq > after).cloned().collect();
        let ranges = call.ranges.iter();
        let ranges =
            ranges.map(|range| Some(RangeFound { events: found(range.after), upto, head }));
        Ok(EventsFound { ranges: ranges.collect() })
    });
    t.brings(GROUP, &events[4]);
    t.passes(MOMENT).await;
    ann.expect(["1#1 1", "1#5 5"]).await;
    let mut first = t.resume(BOB, &[(GROUP, 0)]).await;
    first.expect(["1#1 1", "1#5 5", "caught up 1@5"]).await;
    let asked = t.api.take_calls("events");
    assert!(asked.is_empty(), "served from the replay: {asked:?}");
    let mut inside = t.resume(BOB, &[(GROUP, 3)]).await;
    inside.expect(["1#5 5", "caught up 1@5"]).await;
    inside.expect_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn a_chat_that_everybody_left_stays_warm_for_a_while() {
    let t = Node::start().await;
    drop(watching(&t).await);
    t.settles().await;
    t.posts(GROUP, "meanwhile");
    t.passes(Duration::from_secs(5)).await;
    let mut ann = t.resume(ANN, &[(GROUP, 0)]).await;
    ann.expect(["1#1 meanwhile", "caught up 1@1"]).await;
    assert!(t.api.take_calls("events").is_empty(), "its feed was kept");
    drop(ann);
    t.passes(Duration::from_secs(12)).await;
    t.posts(GROUP, "later");
    let mut ann = t.resume(ANN, &[(GROUP, 0)]).await;
    ann.expect(["1#1 meanwhile", "1#2 later", "caught up 1@2"]).await;
    assert_eq!(t.api.take_calls("events"), ["1 after 0"], "it was let go");
}
