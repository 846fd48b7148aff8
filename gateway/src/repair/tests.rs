//! What a lost server of the bus costs: the chats of its partitions, and no others.

use super::*;
use crate::{
    backend::scripted::Scripted,
    config::Config,
    dialect::{Window, samples::message_event},
    state::Gateway,
    testing::{chat, connect, gateway, watch},
};
use parking_lot::Mutex;
use platform::bus::BusEvent;
use protocol::{
    calls::{EventsFound, RangeFound},
    chat::{ChatType, Event},
    id::{ChatId, Seq, UserId},
    relay::{Channel, ChatEvents},
    time::Timestamp,
};
use std::time::Duration;

const ONE: ChatId = ChatId(1);
const TWO: ChatId = ChatId(2);

fn only(chat: ChatId) -> Partitions {
    Partitions::from_iter([Channel::Chat(chat).partition()])
}

/// A gateway one of whose clients watches two chats in which nothing is missing, and the requests for their events.
async fn watching() -> (Arc<Gateway>, Arc<Scripted>, Arc<Mutex<Vec<ChatId>>>, impl Sized) {
    let backend = Arc::new(Scripted::default());
    let gateway = gateway(&backend, Config::default());
    let ann = connect(&gateway, UserId(1), Window::Native);
    let asked = Arc::<Mutex<Vec<ChatId>>>::default();
    let log = Arc::clone(&asked);
    backend.events.says(move |call| {
        log.lock().extend(call.ranges.iter().map(|range| range.chat_id));
        let quiet = RangeFound { events: vec![], upto: Seq(0), head: Seq(0) };
        Ok(EventsFound { ranges: vec![Some(quiet); call.ranges.len()] })
    });
    for id in [ONE, TWO] {
        watch(&gateway, &ann.conn, &chat(id, ChatType::Group, Seq::ZERO));
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    asked.lock().clear();
    (gateway, backend, asked, ann)
}

fn cut() -> ChangedFound {
    let cut = Cut { chats: true, ..Cut::default() };
    ChangedFound { truncated: true, cut, ..ChangedFound::default() }
}

#[tokio::test(start_paused = true)]
async fn a_cut_answer_suspects_the_chats_that_the_question_was_for() {
    let (gateway, _backend, asked, _ann) = watching().await;
    for (reach, expected) in [(Reach::Missed, vec![ONE]), (Reach::All, vec![ONE, TWO])] {
        let poll = Poll { missed: only(ONE), reach };
        apply(&gateway.hub, cut(), &Doubts::default(), &poll);
        tokio::time::sleep(Duration::from_secs(3)).await;
        let mut chats = std::mem::take(&mut *asked.lock());
        chats.sort_unstable();
        assert_eq!(chats, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn each_database_server_is_asked_from_its_own_time_on() {
    let (_gateway, backend, _asked, _ann) = watching().await;
    let calls = Arc::<Mutex<Vec<Changed>>>::default();
    let log = Arc::clone(&calls);
    backend.changed.says(move |call: Changed| {
        let mut calls = log.lock();
        calls.push(call);
        let marks = vec![Some(Timestamp(7)), Some(Timestamp(100 + calls.len() as i64))];
        Ok(ChangedFound { now: Timestamp(7), marks, ..ChangedFound::default() })
    });
    while calls.lock().len() < 3 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let calls = calls.lock();
    assert_eq!(calls[1].marks, [Some(Timestamp(7)), Some(Timestamp(101))]);
    assert_eq!(calls[2].marks, [Some(Timestamp(7)), Some(Timestamp(102))]);
}

#[tokio::test(start_paused = true)]
async fn while_a_partition_is_down_the_api_is_asked_each_second_and_for_the_others_as_before() {
    let (gateway, backend, asked, _ann) = watching().await;
    let calls = Arc::<Mutex<Vec<Option<Timestamp>>>>::default();
    let log = Arc::clone(&calls);
    let started = Instant::now();
    backend.changed.says(move |call: Changed| {
        log.lock().push(call.since);
        let now = Timestamp(started.elapsed().as_millis() as i64);
        Ok(ChangedFound { now, ..cut() })
    });
    // Past the first regular question, from which on there is a `since`, and not near the next one.
    tokio::time::sleep(Duration::from_millis(3_100)).await;
    calls.lock().clear();
    asked.lock().clear();
    gateway.hub.on_bus(BusEvent::Down(only(TWO)));
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    let since = std::mem::take(&mut *calls.lock());
    assert_eq!(since.len(), 3, "at once, and each second: {since:?}");
    assert!(since.iter().all(|one| *one == since[0]), "cut: the regular one asks from there, too");
    assert!(asked.lock().iter().all(|chat| *chat == TWO), "{:?}", asked.lock());
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert!(asked.lock().contains(&ONE), "the regular one suspects all");
    assert!(calls.lock().last() >= since.first());
    gateway.hub.on_bus(BusEvent::Up(only(TWO)));
    // At once, and until what others publish arrives again.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(2_100) {
        calls.lock().clear();
        asked.lock().clear();
        tokio::time::sleep(Duration::from_millis(1_050)).await;
        assert!(!calls.lock().is_empty() && asked.lock().contains(&TWO));
    }
    // To the next regular one.
    calls.lock().clear();
    while calls.lock().is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    calls.lock().clear();
    tokio::time::sleep(Duration::from_millis(3_900)).await;
    assert!(calls.lock().is_empty(), "nothing is down");
}

#[tokio::test(start_paused = true)]
async fn a_channel_is_doubted_if_only_the_api_says_what_it_should_have_brought() {
    let (gateway, backend, _asked, _ann) = watching().await;
    backend.events.does(|_| std::future::pending());
    let hub = &gateway.hub;
    let is_unheard = |chat| {
        hub.with_chat(chat, |chat| chat.if_busy().is_some_and(|busy| busy.is_unheard)).unwrap()
    };
    hub.on_head(ONE, Seq(1), &only(ONE));
    assert!(!is_unheard(ONE), "it was down, so nothing else was to be expected");
    hub.on_head(TWO, Seq(1), &only(ONE));
    assert!(is_unheard(TWO));
    let events = vec![Event { seq: Seq(1), ..message_event().event }];
    hub.on_events(&ChatEvents { chat_id: TWO, events, published_ms: 0, traceparent: None });
    assert!(!is_unheard(TWO), "it came in the end");
    hub.on_head(TWO, Seq(2), &Partitions::default());
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(!is_unheard(TWO), "the sweep has doubted it");
}
