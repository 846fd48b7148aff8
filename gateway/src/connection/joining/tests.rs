//! Clients that read, each at its own pace, against a hub whose bus loses what it likes and an api in
//! memory: whatever is posted, however long and however fast, nobody is closed, and everything
//! arrives once and in order from wherever a client stopped.

mod steps;

use crate::{
    backend::{Backend, hub_lanes::HubLanes, scripted::Scripted},
    config::Config,
    connection::join_queue::JoinQueue,
    dialect::Window,
    hub::{
        Hub,
        conn::{
            Conn, ConnId, Owner,
            join::{Cause, Join},
            outbox::OutboxBatch,
        },
        sweep,
    },
    testing,
    wire::frame::Frame,
};
use futures_util::FutureExt;
use parking_lot::Mutex;
use platform::{
    bus::{Bus, Partitions},
    lifecycle::Lifecycle,
    presence::Presence,
};
use proptest::prelude::*;
use protocol::{
    calls::*,
    chat::{Change, ChatType, ChatView, Event, Message, UserRef},
    close::Close,
    frames::{ChatEvent, ServerFrame},
    id::{ChatId, NodeId, Seq, SessionId, UserId},
    limits::MAX_RANGE_EVENTS,
    relay::ChatEvents,
    time::Timestamp,
};
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::time::sleep;

/// What an api answers at most of one range, as the real one does.
const RANGE_BYTES: usize = 64 * 1024;

/// The chats as they were committed.
#[derive(Default)]
struct Store(Mutex<HashMap<ChatId, Vec<Event>>>);

impl Store {
    fn commit(&self, chat: ChatId, length: usize) -> Event {
        let mut chats = self.0.lock();
        let events = chats.entry(chat).or_default();
        let seq = Seq(events.len() as i64 + 1);
        let message = Message {
            id: seq,
            sender: UserRef::registered(UserId(1), "ann"),
            text: "x".repeat(length),
            timestamp: Timestamp(0),
            client_message_id: None,
            reply_to: None,
            edited_at: None,
        };
        events.push(Event { seq, change: Change::Message(message) });
        events[events.len() - 1].clone()
    }

    fn head(&self, chat: ChatId) -> Seq {
        Seq(self.0.lock().get(&chat).map_or(0, Vec::len) as i64)
    }

    fn range(&self, Range { chat_id, after }: Range) -> Option<RangeFound> {
        let chats = self.0.lock();
        let events = chats.get(&chat_id)?;
        let mut bytes = 0;
        let fits = |event: &&Event| {
            let Change::Message(message) = &event.change else { return true };
            bytes += message.text.len();
            bytes <= RANGE_BYTES
        };
        let missed = &events[(after.0 as usize).min(events.len())..];
        let count = missed.iter().take(MAX_RANGE_EVENTS).take_while(fits).count();
        let page = missed[..count.max(1).min(missed.len())].to_vec();
        let upto = page.last().map_or(after, |event| event.seq);
        Some(RangeFound { events: page, upto, head: Seq(events.len() as i64) })
    }
}

/// The store as a gateway sees it, a few milliseconds away.
fn api(store: &Arc<Store>) -> Scripted {
    const AWAY: Duration = Duration::from_millis(3);
    let api = Scripted::default();
    let of = Arc::clone(store);
    api.events.does(move |call| {
        let ranges = call.ranges.iter().map(|range| of.range(*range)).collect();
        sleep(AWAY).map(|()| Ok(EventsFound { ranges }))
    });
    let of = Arc::clone(store);
    api.view.does(move |call| {
        let view = |chat: &UserChat| Ok(group(chat.chat_id, of.head(chat.chat_id)));
        let chats = call.chats.iter().map(view).collect();
        sleep(AWAY).map(|()| Ok(Viewed { chats }))
    });
    api.dormant.does(|call| {
        let members = vec![true; call.chats.len()];
        sleep(AWAY).map(|()| Ok(DormantMarked { members }))
    });
    api
}

fn group(id: ChatId, seq: Seq) -> ChatView {
    testing::chat(id, ChatType::Group, seq)
}

/// A gateway's hub over a store.
fn hub(store: &Arc<Store>, config: Config) -> Arc<Hub> {
    let lifecycle = Lifecycle::new();
    let backend: Arc<dyn Backend> = Arc::new(api(store));
    let lanes = HubLanes::start(&backend, config.lanes.query, &lifecycle);
    let hub = Arc::new(Hub::new(
        NodeId::random(),
        config,
        Bus::local(),
        Presence::local(),
        lanes,
        lifecycle,
    ));
    hub.lifecycle.spawn_background(sweep::run(Arc::clone(&hub)));
    let pacing = Arc::clone(&hub);
    hub.lifecycle.spawn_background(async move { pacing.pace.keep().await });
    hub
}

/// A client's end: what it was sent, and why it was closed.
#[derive(Default)]
struct Seen {
    frames: Vec<ServerFrame>,
    closed: Option<Close>,
}

impl Seen {
    fn count(&self, chat: ChatId) -> usize {
        let of_chat =
            |frame: &&ServerFrame| matches!(frame, ServerFrame::Event(e) if e.chat_id == chat);
        self.frames.iter().filter(of_chat).count()
    }

    fn seqs(&self, chat: ChatId) -> Vec<i64> {
        let seq = |frame: &ServerFrame| match frame {
            ServerFrame::Event(ChatEvent { chat_id, event }) if *chat_id == chat => {
                Some(event.seq.0)
            }
            _ => None,
        };
        self.frames.iter().filter_map(seq).collect()
    }
}

struct Client {
    conn: Arc<Conn>,
    seen: Arc<Mutex<Seen>>,
}

/// A connection whose client takes `per_frame` to read a frame.
fn connect(hub: &Arc<Hub>, id: u64, joins: Vec<Join>, per_frame: Duration) -> Client {
    let user = UserRef::registered(UserId(id as i64 + 10), "reader");
    let owner = Owner::User { user, session: SessionId(uuid::Uuid::from_u128(id.into())) };
    let max_bytes = hub.config.max_outbox_bytes;
    let conn = Arc::new(Conn::new(ConnId(id), owner, Window::Native, max_bytes));
    let seen = Arc::new(Mutex::new(Seen::default()));
    let (hub, handle, log) = (Arc::clone(hub), Arc::clone(&conn), Arc::clone(&seen));
    let lifecycle = hub.lifecycle.clone();
    lifecycle.spawn_background(async move {
        let mut queue = JoinQueue::default();
        for join in joins {
            queue.add(join);
        }
        loop {
            queue.start(&hub, &handle);
            tokio::select! {
                biased;
                taken = handle.outbox.take() => {
                    let OutboxBatch { frames, joins, closing, .. } = taken;
                    for join in joins {
                        queue.add(join);
                    }
                    for text in frames.iter().flat_map(Frame::texts) {
                        sleep(per_frame).await;
                        let frame = serde_json::from_str(&text).unwrap();
                        log.lock().frames.push(frame);
                    }
                    if closing.is_some() {
                        log.lock().closed = closing;
                        return;
                    }
                }
                () = queue.next(&hub, &handle) => {}
            }
        }
    });
    Client { conn, seen }
}

/// Runs a test's future with a clock that jumps.
fn run(test: impl Future<Output = ()>) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().start_paused(true).build().unwrap().block_on(test);
}

/// Waits, by the jumping clock, until this holds.
async fn until(what: impl Fn() -> bool) -> bool {
    for _ in 0..10_000 {
        if what() {
            return true;
        }
        sleep(Duration::from_millis(100)).await;
    }
    false
}

/// Something that happens in one of two chats.
#[derive(Clone, Debug)]
enum Act {
    /// A batch of messages of this length is committed; the bus brings it, or does not.
    Batch { chat: i64, count: usize, length: usize, lost: bool },
    /// Nothing, for some milliseconds.
    Pause(u64),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let length = prop_oneof![4 => 1usize..300, 2 => 300usize..5_000, 1 => Just(16_000)];
    let batch = (0i64..2, 1usize..100, length, prop::bool::weighted(0.2))
        .prop_map(|(chat, count, length, lost)| Act::Batch { chat, count, length, lost });
    prop::collection::vec(prop_oneof![3 => batch, 1 => (0u64..300).prop_map(Act::Pause)], 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// Whatever is posted at whatever pace, whoever reads gets everything once and in order from where
    /// it stopped, and nobody is closed.
    #[test]
    fn a_client_that_reads_is_never_closed_and_any_cursor_is_served(
        before in prop::collection::vec((0i64..2, 1usize..4_000), 0..100),
        readers in prop::collection::vec((0u64..3, 0usize..120, 0usize..120), 1..5),
        acts in acts(),
    ) {
        run(async move {
            let store = Arc::new(Store::default());
            let chats = [ChatId(1), ChatId(2)];
            for (chat, length) in before {
                store.commit(chats[chat as usize], length);
            }
            let hub = hub(&store, Config::default());
            let clients: Vec<_> = (0u64..).zip(&readers).map(|(id, (pace, one, two))| {
                let cursors = [one, two].map(|cursor| *cursor as i64);
                let joins = chats.iter().zip(cursors).map(|(chat, cursor)| {
                    let head = store.head(*chat);
                    let access = Conn::new(ConnId(99), owner(), Window::Native, 1).access_version();
                    Join::at_end(&group(*chat, head), access, Cause::Opened)
                        .resume_at(Seq(cursor).min(head))
                });
                let (joins, starts): (Vec<_>, Vec<_>) = joins.map(|join| {
                    let from = join.from.0;
                    (join, from)
                }).unzip();
                (connect(&hub, id, joins, Duration::from_millis(*pace)), starts)
            }).collect();
            for act in acts {
                match act {
                    Act::Pause(ms) => sleep(Duration::from_millis(ms)).await,
                    Act::Batch { chat, count, length, lost } => {
                        let chat_id = chats[chat as usize];
                        let events: Vec<_> =
                            (0..count).map(|_| store.commit(chat_id, length)).collect();
                        if !lost {
                            hub.on_events(&ChatEvents {
                                chat_id, events, published_ms: 0, traceparent: None,
                            });
                        }
                    }
                }
            }
            for (client, starts) in &clients {
                for (chat, start) in chats.iter().zip(starts) {
                    let wanted: Vec<i64> = (start + 1..=store.head(*chat).0).collect();
                    let done = || {
                        // What repair finds, again and again.
                        hub.on_head(*chat, store.head(*chat), &Partitions::default());
                        client.seen.lock().count(*chat) >= wanted.len()
                    };
                    until(done).await;
                    let seen = client.seen.lock();
                    assert_eq!(seen.closed, None);
                    assert_eq!(seen.seqs(*chat), wanted, "of {chat}");
                }
                // Who was sent a page hears so a moment later, when the feed has got there, too.
                let caught_up = |frame: &&ServerFrame| matches!(frame, ServerFrame::CaughtUp { .. });
                let told = || client.seen.lock().frames.iter().filter(caught_up).count();
                until(|| told() >= chats.len()).await;
                assert_eq!(told(), chats.len());
            }
        });
    }
}

fn owner() -> Owner {
    let user = UserRef::registered(UserId(1), "nobody");
    Owner::User { user, session: SessionId(uuid::Uuid::nil()) }
}

#[test]
fn a_client_that_reads_nothing_lags_alone_and_is_not_closed_for_it() {
    run(async {
        let store = Arc::new(Store::default());
        let hub = hub(&store, Config::default());
        let chat = ChatId(1);
        let join = || {
            let access = Conn::new(ConnId(99), owner(), Window::Native, 1).access_version();
            vec![Join::at_end(&group(chat, Seq::ZERO), access, Cause::Opened)]
        };
        let reader = connect(&hub, 1, join(), Duration::ZERO);
        let stuck = connect(&hub, 2, join(), Duration::from_secs(3_600));
        assert!(until(|| reader.conn.watches(chat) && stuck.conn.watches(chat)).await);
        for _ in 0..100 {
            let events = (0..20).map(|_| store.commit(chat, 4_000)).collect();
            hub.on_events(&ChatEvents {
                chat_id: chat,
                events,
                published_ms: 0,
                traceparent: None,
            });
            sleep(Duration::from_millis(50)).await;
        }
        assert!(until(|| reader.seen.lock().seqs(chat).len() == 2_000).await);
        assert!(!stuck.conn.watches(chat) && !stuck.conn.outbox.is_closing());
    });
}
