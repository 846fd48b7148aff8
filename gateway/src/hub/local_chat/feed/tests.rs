use super::*;
use proptest::prelude::*;
use protocol::{
    chat::{Change, Message, UserRef},
    id::UserId,
    time::Timestamp,
};

const CONFIG: FeedConfig = FeedConfig {
    replay_events: 8,
    replay_bytes: 1 << 20,
    replay_bytes_each: 0,
    max_ahead: 4,
    max_ahead_bytes: 1 << 20,
};

fn event(seq: i64) -> Event {
    let message = Message {
        id: Seq(seq),
        sender: UserRef::registered(UserId(1), "ann"),
        text: format!("message {seq}"),
        timestamp: Timestamp(0),
        client_message_id: None,
        reply_to: None,
        edited_at: None,
    };
    Event { seq: Seq(seq), change: Change::Message(message) }
}

fn shared(numbers: impl IntoIterator<Item = i64>) -> Vec<Arc<SharedEvent>> {
    let share = |event| Arc::new(SharedEvent::new(&ChatEvent { chat_id: ChatId(1), event }));
    numbers.into_iter().map(event).map(share).collect()
}

fn feed(last: i64) -> Feed {
    Feed::new(ChatId(1), Seq(last))
}

fn seqs<'a>(events: impl IntoIterator<Item = &'a Arc<SharedEvent>>) -> Vec<i64> {
    events.into_iter().map(|event| event.seq.0).collect()
}

fn live(feed: &mut Feed, numbers: &[i64]) -> (Vec<i64>, bool) {
    let update = feed.on_live(shared(numbers.iter().copied()), &CONFIG, 0);
    (seqs(&update.deliver), update.behind)
}

fn range(feed: &mut Feed, after: Seq, found: RangeFound) -> Update {
    feed.on_range(after, found, &CONFIG, 0)
}

fn found(numbers: impl IntoIterator<Item = i64>, upto: i64, head: i64) -> RangeFound {
    let events = numbers.into_iter().map(event).collect();
    RangeFound { events, upto: Seq(upto), head: Seq(head) }
}

#[test]
fn in_order_is_delivered_and_repeats_are_dropped() {
    let mut feed = feed(4);
    assert_eq!(live(&mut feed, &[5, 6]), (vec![5, 6], false));
    assert_eq!(live(&mut feed, &[5, 6, 7]), (vec![7], false));
    assert_eq!(feed.request(), None);
}

#[test]
fn a_gap_is_asked_for_once_and_then_everything_follows() {
    let mut feed = feed(4);
    assert_eq!(live(&mut feed, &[7, 8]), (vec![], true));
    assert_eq!(feed.request(), Some(Seq(4)));
    assert_eq!(feed.request(), None, "the question is out");
    let update = range(&mut feed, Seq(4), found([5, 6], 6, 8));
    assert_eq!(seqs(&update.deliver), [5, 6, 7, 8]);
    assert!(!update.behind);
}

#[test]
fn a_gap_that_fills_by_itself_needs_no_answer() {
    let mut feed = feed(0);
    assert_eq!(live(&mut feed, &[2]), (vec![], true));
    assert_eq!(feed.request(), Some(Seq(0)));
    assert_eq!(live(&mut feed, &[1]), (vec![1, 2], false));
    let update = range(&mut feed, Seq(0), found([1, 2], 2, 2));
    assert!(update.deliver.is_empty());
}

#[test]
fn an_answer_that_live_events_overtook_is_asked_for_again() {
    // Message 1 was edited as event 3: for a reader at 0 the range has it once, as message 1.
    // A reader that got 1 live still needs 3.
    let mut feed = feed(0);
    let _ = live(&mut feed, &[4]);
    assert_eq!(feed.request(), Some(Seq(0)));
    assert_eq!(live(&mut feed, &[1]).0, [1]);
    let update = range(&mut feed, Seq(0), found([1, 2], 3, 4));
    assert!(update.deliver.is_empty() && update.behind);
    assert_eq!(feed.request(), Some(Seq(1)));
    let update = range(&mut feed, Seq(1), found([2, 3], 3, 4));
    assert_eq!(seqs(&update.deliver), [2, 3, 4]);
}

#[test]
fn a_long_gap_is_filled_page_by_page() {
    let mut feed = feed(0);
    feed.on_head(Seq(5));
    assert_eq!(feed.request(), Some(Seq(0)));
    let update = range(&mut feed, Seq(0), found([1, 2], 2, 5));
    assert!(update.behind);
    assert_eq!(feed.request(), Some(Seq(2)));
    assert_eq!(seqs(&range(&mut feed, Seq(2), found([3, 4, 5], 5, 5)).deliver), [3, 4, 5]);
}

#[test]
fn too_many_ahead_are_fetched_instead() {
    let mut feed = feed(0);
    let _ = live(&mut feed, &[2, 3, 4, 5, 6, 7, 8]);
    let _ = feed.request();
    let update = range(&mut feed, Seq(0), found([1], 1, 8));
    assert_eq!(seqs(&update.deliver), [1, 2, 3, 4, 5]);
    assert!(update.behind);
    assert_eq!(feed.request(), Some(Seq(5)));
}

#[test]
fn what_is_held_is_bounded_in_bytes_and_the_replay_grows_with_the_watchers() {
    let size = shared(1..2)[0].bytes();
    let config = FeedConfig {
        replay_events: 100,
        replay_bytes: 2 * size + 10,
        replay_bytes_each: size,
        max_ahead: 100,
        max_ahead_bytes: 3 * size + 10,
    };
    let mut feed = feed(0);
    let _ = feed.on_live(shared(2..9), &config, 0);
    let update = feed.on_live(shared(1..2), &config, 0);
    assert_eq!(seqs(&update.deliver), [1, 2, 3, 4], "no more were kept ahead");
    assert!(feed.since(Seq(2)).is_some() && feed.since(Seq(1)).is_none());
    let _ = feed.on_live(shared(5..9), &config, 2);
    assert!(feed.since(Seq(4)).is_some() && feed.since(Seq(3)).is_none());
}

#[test]
fn no_answer_means_asking_again() {
    let mut feed = feed(0);
    feed.on_head(Seq(1));
    assert!(feed.request().is_some());
    feed.on_no_range();
    assert!(feed.request().is_some());
}

#[test]
fn what_cannot_be_had_is_passed_over() {
    let mut feed = feed(0);
    let _ = live(&mut feed, &[2, 4]);
    assert_eq!(feed.request(), Some(Seq(0)));
    feed.on_refused();
    assert_eq!(feed.request(), None);
    assert!(feed.since(Seq(3)).is_none());
    assert_eq!(live(&mut feed, &[4, 5]), (vec![5], false));
}

#[test]
fn the_replay_serves_cursors_it_reaches() {
    let mut feed = feed(10);
    let _ = live(&mut feed, &(11..=20).collect::<Vec<_>>());
    assert_eq!(feed.since(Seq(18)).map(seqs), Some(vec![19, 20]));
    assert_eq!(feed.since(Seq(20)).map(seqs), Some(vec![]));
    assert_eq!(feed.since(Seq(12)).map(seqs), Some((13..=20).collect()));
    assert!(feed.since(Seq(11)).is_none(), "evicted");
    assert!(feed.since(Seq(21)).is_none(), "not there yet");
    feed.forget_replay();
    assert!(feed.since(Seq(19)).is_none());
    assert_eq!(feed.since(Seq(20)).map(seqs), Some(vec![]));
}

#[test]
fn a_folded_range_serves_only_cursors_at_its_edges() {
    let mut feed = feed(0);
    feed.on_head(Seq(5));
    let _ = feed.request();
    let _ = range(&mut feed, Seq(0), found([1, 2, 4], 5, 5));
    assert_eq!(feed.since(Seq(0)).map(seqs), Some(vec![1, 2, 4]));
    assert!(feed.since(Seq(2)).is_none());
    assert_eq!(feed.since(Seq(5)).map(seqs), Some(vec![]));
}

proptest! {
    /// Whatever the bus does (loss, repeats, disorder), delivery is 1, 2, 3 … once each, and
    /// with the api's help nothing is missing in the end.
    #[test]
    fn delivers_each_event_once_and_in_order(
        arrivals in prop::collection::vec(1i64..40, 0..80),
        answers in prop::collection::vec(any::<bool>(), 0..20),
    ) {
        let mut feed = feed(0);
        let mut delivered = Vec::new();
        let mut answers = answers.into_iter();
        for number in arrivals {
            delivered.extend(live(&mut feed, &[number]).0);
            if let Some(after) = feed.request() {
                if answers.next().unwrap_or(true) {
                    let upto = (after.0 + 3).min(feed.head().0);
                    let found = found(after.0 + 1..=upto, upto, feed.head().0);
                    delivered.extend(seqs(&range(&mut feed, after, found).deliver));
                } else {
                    feed.on_no_range();
                }
            }
        }
        while let Some(after) = feed.request() {
            let head = feed.head().0;
            let found = found(after.0 + 1..=head, head, head);
            delivered.extend(seqs(&range(&mut feed, after, found).deliver));
        }
        prop_assert_eq!(delivered, (1..=feed.head().0).collect::<Vec<_>>());
    }
}
