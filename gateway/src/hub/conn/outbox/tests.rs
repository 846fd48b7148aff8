mod at_once;

use super::*;
use crate::{hub::conn::join::AccessVersion, testing::chat};
use protocol::chat::ChatType;
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Wake},
    time::Duration,
};

fn take(outbox: &Outbox) -> Option<OutboxBatch> {
    futures_util::FutureExt::now_or_never(outbox.take())
}

fn events(outbox: &Outbox, texts: &[&str]) -> Pushed {
    outbox.push_events(texts.iter().map(|text| (Some((*text).into()), None)), Writer::Task)
}

#[test]
fn everything_queued_is_taken_at_once_and_in_order() {
    let outbox = Outbox::new(100, false);
    assert!(take(&outbox).is_none());
    for text in ["a", "b", "c"] {
        outbox.push(text.into(), DropPolicy::Durable);
    }
    let taken = take(&outbox).unwrap();
    assert_eq!(taken.frames, ["a", "b", "c"].map(Frame::from));
    assert_eq!(taken.closing, None);
    assert!(take(&outbox).is_none());
}

#[test]
fn of_too_many_invitations_the_rest_is_put_off_and_who_lags_never_is() {
    let outbox = Outbox::new(100, false);
    let view = |id| chat(ChatId(id), ChatType::Group, Seq::ZERO);
    let join = |id, cause| Join::at_end(&view(id), AccessVersion::default(), cause);
    (0..3_000).for_each(|id| outbox.join(join(id, Cause::Found)));
    (0..400).for_each(|id| outbox.join(join(id, Cause::Lagged)));
    let taken = take(&outbox).unwrap();
    assert_eq!((taken.joins.len(), taken.closing), (MAX_JOINS + 400, None));
    outbox.join(join(3_000, Cause::Found));
    assert_eq!(take(&outbox).unwrap().joins.len(), 1, "the next poll finds space");
}

#[test]
fn events_stop_at_the_bound_and_what_is_being_written_counts() {
    let outbox = Outbox::new(14, false);
    let pushed = events(&outbox, &["12345", "67890", "late"]);
    assert_eq!(pushed, Pushed { taken: 2, shown: 2, full: true });
    assert_eq!(take(&outbox).unwrap().frames, ["12345", "67890"].map(Frame::from));
    assert!(events(&outbox, &["x"]).full, "those two are not written yet");
    assert!(take(&outbox).is_none(), "now they are");
    let long = "longer than the bound";
    assert_eq!(events(&outbox, &[long]), Pushed { taken: 1, shown: 1, full: false });
    assert!(events(&outbox, &["x"]).full);
    assert_eq!(take(&outbox).unwrap().closing, None, "nobody is closed for a burst");
}

#[test]
fn ephemeral_frames_go_first_and_answers_last() {
    let outbox = Outbox::new(14, false);
    outbox.push("12345".into(), DropPolicy::Durable);
    outbox.push("x".into(), DropPolicy::Ephemeral);
    outbox.push("67890".into(), DropPolicy::Durable);
    outbox.push("answer".into(), DropPolicy::Durable);
    let sent = ["12345", "67890", "answer"].map(Frame::from);
    assert_eq!(take(&outbox).unwrap().frames, sent);
    assert!(take(&outbox).is_none());

    outbox.push("an answer".into(), DropPolicy::Durable);
    outbox.push("far more than anybody asked".into(), DropPolicy::Durable);
    outbox.push("late".into(), DropPolicy::Durable);
    let taken = take(&outbox).unwrap();
    assert!(taken.frames.is_empty(), "nothing with a hole behind it");
    assert_eq!(taken.closing, Some(Close::SlowConsumer));
}

#[test]
fn what_is_read_when_written_goes_with_its_frames() {
    let outbox = Outbox::new(10, false);
    let read = |text: &str, chat, message| {
        let event = (Some(text.into()), Some((ChatId(chat), Seq(message))));
        outbox.push_events([event].into_iter(), Writer::Task)
    };
    for (text, chat, message) in [("a", 1, 4), ("b", 2, 9), ("c", 1, 5)] {
        assert!(!read(text, chat, message).full);
    }
    assert!(read("full", 1, 6).full);
    let taken = take(&outbox).unwrap();
    assert_eq!(taken.frames.len(), 3);
    assert_eq!(taken.reads, [(ChatId(1), Seq(5)), (ChatId(2), Seq(9))], "not what found no space");
}

#[test]
fn an_ephemeral_frame_may_fill_half_of_the_outbox_and_no_more() {
    for (text, queued) in [("12345", true), ("123456", false)] {
        let outbox = Outbox::new(14, false);
        outbox.push(text.into(), DropPolicy::Ephemeral);
        assert_eq!(take(&outbox).is_some(), queued, "{text}");
    }
}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn only_a_write_wakes_those_who_wait_for_space() {
    let outbox = Outbox::new(8, false);
    outbox.push("1234".into(), DropPolicy::Durable);
    let wakes = Arc::new(Wakes::default());
    let waker = Waker::from(Arc::clone(&wakes));
    let mut space = Box::pin(outbox.wait_for_space());
    assert!(space.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    for (what, woken) in [("taken", 0), ("written", 1)] {
        let _ = take(&outbox);
        assert_eq!(wakes.0.load(Ordering::Relaxed), woken, "{what}");
    }
}

#[tokio::test]
async fn catching_up_waits_until_what_was_taken_is_written() {
    let outbox = Outbox::new(8, false);
    outbox.push("1234".into(), DropPolicy::Durable);
    let space = outbox.wait_for_space();
    tokio::pin!(space);
    assert!(futures_util::poll!(&mut space).is_pending());
    let _ = outbox.take().await;
    assert!(futures_util::poll!(&mut space).is_pending(), "it is being written");
    assert!(take(&outbox).is_none());
    space.await;
}

#[tokio::test(start_paused = true)]
async fn catching_up_goes_on_when_what_was_taken_is_written() {
    let outbox = Outbox::new(8, false);
    outbox.push("1234".into(), DropPolicy::Durable);
    let _ = outbox.take().await;
    let writing = async { assert!(take(&outbox).is_none()) };
    let both = async { tokio::join!(outbox.wait_for_space(), writing) };
    let (second, started) = (Duration::from_secs(1), Instant::now());
    tokio::time::timeout(second, both).await.expect("there is space");
    assert!(started.elapsed() < second, "it was woken, and did not find it by the way");
}
