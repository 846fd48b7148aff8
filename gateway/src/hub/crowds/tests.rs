use super::*;
use crate::{
    backend::scripted::Scripted,
    config::Config,
    connection::opening::ConnGuard,
    dialect::Window,
    hub::conn::Conn,
    state::Gateway,
    testing::{chat, connect, gateway, taken, watch},
};
use platform::bus::BusEvent;
use protocol::{
    calls::{Events, EventsFound, RangeFound},
    chat::{Change, ChatType, Event, Message, UserRef},
    encoded_run::EncodedRun,
    id::{Seq, UserId},
    relay::{Channel, ChatEvents},
    time::Timestamp,
};
use std::{sync::mpsc, thread, time::Duration};

const CROWDED: ChatId = ChatId(1);
const QUIET: ChatId = ChatId(2);
/// Long for what happens at once.
const SOON: Duration = Duration::from_secs(20);

/// A user's connection that watches a chat.
fn watcher(gateway: &Arc<Gateway>, user: i64, id: ChatId) -> ConnGuard {
    let guard = connect(gateway, UserId(user), Window::Native);
    watch(gateway, &guard.conn, &chat(id, ChatType::Group, Seq::ZERO));
    guard
}

fn crowd(gateway: &Arc<Gateway>) -> Vec<ConnGuard> {
    (0..=CROWD as i64).map(|user| watcher(gateway, user, CROWDED)).collect()
}

fn event(seq: i64, length: usize) -> Event {
    let message = Message {
        id: Seq(seq),
        sender: UserRef::registered(UserId(1), "ann"),
        text: "x".repeat(length),
        timestamp: Timestamp(0),
        client_message_id: None,
        reply_to: None,
        edited_at: None,
    };
    Event { seq: Seq(seq), change: Change::Message(message) }
}

/// The api's answer after this place in a chat that has so many messages.
fn found(after: Seq, messages: i64) -> RangeFound {
    let head = Seq(messages);
    RangeFound {
        events: (after.0 + 1..=head.0).map(|seq| event(seq, 10)).collect(),
        upto: head,
        head,
    }
}

fn run(chat_id: ChatId, seq: i64, length: usize) -> EncodedRun {
    let events = vec![event(seq, length)];
    let run = ChatEvents { chat_id, events, published_ms: 0, traceparent: None };
    EncodedRun::of(&run).unwrap()
}

/// What the bus says of a message with this number.
fn message(chat_id: ChatId, seq: i64, length: usize) -> BusEvent {
    let payload = run(chat_id, seq, length).payload().clone();
    BusEvent::Message { channel: Channel::Chat(chat_id), payload }
}

/// Runs something while a chat is being handed out, which never ends until then.
fn while_busy(gateway: &Arc<Gateway>, chat: ChatId, work: impl FnOnce() + Send + 'static) {
    let (hub, runtime) = (Arc::clone(&gateway.hub), tokio::runtime::Handle::current());
    let (go_on, waits) = mpsc::channel::<()>();
    let (is_busy, busy) = mpsc::channel();
    let chat = thread::spawn(move || {
        hub.with_chat(chat, |_| {
            is_busy.send(()).unwrap();
            let _ = waits.recv();
        })
    });
    busy.recv_timeout(SOON).unwrap();
    let (is_done, done) = mpsc::channel();
    thread::spawn(move || {
        let _guard = runtime.enter();
        work();
        is_done.send(()).unwrap();
    });
    let done = done.recv_timeout(SOON);
    drop(go_on);
    chat.join().unwrap();
    done.expect("nobody waits for that chat");
}

async fn until_heard(conn: &Conn, count: usize) {
    let heard = async {
        let mut frames = 0;
        while frames < count {
            frames += taken(conn).frames.iter().map(|frame| frame.texts().len()).sum::<usize>();
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, heard).await.expect("everything to be heard");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_hears_other_chats_while_a_crowded_one_is_handed_out() {
    let gateway = gateway(&Arc::default(), Config::default());
    let (many, few) = (crowd(&gateway), watcher(&gateway, -1, QUIET));
    let (hub, other) = (Arc::clone(&gateway.hub), Arc::clone(&few.conn));
    while_busy(&gateway, CROWDED, move || {
        for seq in 1..=3 {
            hub.on_bus(message(CROWDED, seq, 10));
        }
        hub.on_bus(message(QUIET, 1, 10));
        assert_eq!(taken(&other).frames.len(), 1);
    });
    for one in [&many[0], &many[CROWD]] {
        until_heard(&one.conn, 3).await;
    }

    // Most go: the chat is one like any other again, and what it is told of is heard at once.
    let mut many = many;
    many.truncate(CROWD / 2 - 1);
    gateway.hub.sweep();
    gateway.hub.on_bus(message(CROWDED, 4, 10));
    assert_eq!(taken(&many[0].conn).frames.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_finds_no_room_is_asked_for() {
    let backend = Arc::new(Scripted::default());
    let (is_asked, mut asked) = tokio::sync::mpsc::channel(1_000);
    backend.events.says(move |Events { ranges }| {
        let _ = is_asked.try_send(());
        Ok(EventsFound { ranges: ranges.iter().map(|range| Some(found(range.after, 0))).collect() })
    });
    // Nobody lags: who does is caught up by its connection's task, and there is none here.
    let config = Config { max_outbox_bytes: 4 * MAX_BYTES, ..Config::default() };
    let gateway = gateway(&backend, config);
    let many = crowd(&gateway);
    // A new room asks once what came before it heard the bus; nothing is in doubt then.
    tokio::time::timeout(SOON, asked.recv()).await.expect("a first question");
    backend.events.says(|Events { ranges }| {
        Ok(EventsFound { ranges: ranges.iter().map(|range| Some(found(range.after, 9))).collect() })
    });

    let hub = Arc::clone(&gateway.hub);
    while_busy(&gateway, CROWDED, move || {
        for seq in 1..=9 {
            hub.on_bus(message(CROWDED, seq, MAX_BYTES / 8));
        }
    });
    until_heard(&many[0].conn, 9).await;
}

#[tokio::test(start_paused = true)]
async fn what_comes_while_a_crowd_rests_is_delivered_together() {
    let gateway = gateway(&Arc::default(), Config::default());
    let (many, hub) = (crowd(&gateway), &gateway.hub);
    let rest = REST_PER_WATCHER * (CROWD as u32 + 1);
    // The events in each frame that a watcher got within this time.
    let heard = async |time| {
        tokio::time::sleep(time).await;
        let frames = taken(&many[0].conn).frames;
        frames.iter().map(|frame| frame.texts().len()).collect::<Vec<usize>>()
    };
    let moment = Duration::from_millis(1);
    assert_eq!(heard(moment).await, [0; 0]);

    hub.on_bus(message(CROWDED, 1, 10));
    assert_eq!(heard(moment).await, [1], "the first is delivered at once");
    hub.on_bus(message(CROWDED, 2, 10));
    // One of this node's own, and its echo.
    hub.on_answered(&run(CROWDED, 3, 10));
    hub.on_bus(message(CROWDED, 3, 10));
    hub.on_bus(message(CROWDED, 4, 10));
    assert_eq!(heard(rest - 2 * moment).await, [0; 0]);
    assert_eq!(heard(2 * moment).await, [3]);

    assert_eq!(heard(rest).await, [0; 0]);
    hub.on_answered(&run(CROWDED, 5, 10));
    assert_eq!(heard(moment).await, [1], "and so is the first after a rest");
    tokio::time::sleep(rest).await;
    hub.on_bus(message(CROWDED, 5, 10));
    assert_eq!(heard(moment).await, [0; 0]);
    hub.on_bus(message(CROWDED, 6, 10));
    assert_eq!(heard(moment).await, [1], "nobody rests after what was there already");
}

#[tokio::test(start_paused = true)]
async fn only_so_much_is_delivered_together() {
    let gateway = gateway(&Arc::default(), Config::default());
    let (many, hub) = (crowd(&gateway), &gateway.hub);
    for seq in 1..=4 {
        hub.on_bus(message(CROWDED, seq, TOGETHER_BYTES / 2));
    }
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(taken(&many[0].conn).frames.len(), 1);
    tokio::time::sleep(LONGEST_REST).await;
    assert_eq!(taken(&many[0].conn).frames.len(), 3);
}
