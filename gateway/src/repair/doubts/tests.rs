//! What `changed` cut, and what could not be asked, is found all the same.

use super::*;
use crate::{
    backend::scripted::Scripted,
    config::Config,
    connection::opening::ConnGuard,
    dialect::{Window, samples::message_event},
    repair::{self, Poll, Reach},
    state::Gateway,
    testing::{chat, connect, gateway, taken, watch},
};
use platform::bus::Partitions;
use protocol::{
    account::{Account, Role},
    calls::{ChangedFound, EventsFound, Opened, RangeFound, SessionView, Viewed, Woken},
    chat::{ChatType, ChatView, Event},
    close::Close,
    code::Code,
    id::{ChatId, Seq, UserId},
    refusal::Refusal,
    relay::ChatEvents,
};
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::time::Instant;

fn unavailable<T>() -> Result<T, Unavailable> {
    Err(Unavailable::NotAnswered("down".to_owned()))
}

fn not_a_member() -> Refusal {
    Refusal { code: Code::NotAMember, message: String::new() }
}

/// The api was asked what changed, and could not say all of it.
fn was_cut(gateway: &Gateway, backend: &Arc<Scripted>, cut: Cut) {
    let (doubts, backend) = (Arc::new(Doubts::default()), Arc::<Scripted>::clone(backend));
    let checking = run(Arc::clone(&gateway.hub), backend, Arc::clone(&doubts));
    gateway.lifecycle.spawn_background(checking);
    repair::apply(&gateway.hub, cut_at(cut), &doubts, &regular());
}

fn regular() -> Poll {
    Poll { missed: Partitions::default(), reach: Reach::All }
}

fn cut_at(cut: Cut) -> ChangedFound {
    ChangedFound { truncated: true, cut, ..ChangedFound::default() }
}

fn group(id: i64) -> ChatView {
    chat(ChatId(id), ChatType::Group, Seq::ZERO)
}

/// The first event of a chat.
fn first() -> Event {
    Event { seq: Seq(1), ..message_event().event }
}

const ROOMS: i64 = 30;

/// A gateway whose lane of events takes ten requests, and one of whose clients watches more chats.
/// No chat's event has come by the bus, and chat 7 is deleted; for ten seconds the api does not say so.
async fn busy_gateway() -> (Arc<Gateway>, ConnGuard, Arc<AtomicUsize>) {
    let backend = Arc::new(Scripted::default());
    let mut config = Config::default();
    config.lanes.query.max_items = 10;
    config.lanes.query.give_up_after = Duration::from_secs(1);
    let gateway = gateway(&backend, config);
    let ann = connect(&gateway, UserId(1), Window::Native);
    backend.events.says(|call| {
        let quiet = RangeFound { events: vec![], upto: Seq(0), head: Seq(0) };
        Ok(EventsFound { ranges: vec![Some(quiet); call.ranges.len()] })
    });
    for id in 1..=ROOMS {
        watch(&gateway, &ann.conn, &group(id));
        // Each asks once, because events may have passed before it was subscribed.
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::sleep(Duration::from_secs(10)).await;
    let started = Instant::now();
    let calls = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&calls);
    backend.events.says(move |call| {
        count.fetch_add(1, Ordering::Relaxed);
        if started.elapsed() < Duration::from_secs(10) {
            return unavailable();
        }
        let found = || RangeFound { events: vec![first()], upto: Seq(1), head: Seq(1) };
        let ranges = call.ranges.iter().map(|range| (range.chat_id != ChatId(7)).then(found));
        Ok(EventsFound { ranges: ranges.collect() })
    });
    (gateway, ann, calls)
}

#[tokio::test(start_paused = true)]
async fn a_suspected_chat_is_asked_about_until_there_is_an_answer() {
    let (gateway, ann, calls) = busy_gateway().await;
    assert!(taken(&ann.conn).frames.is_empty());
    repair::apply(
        &gateway.hub,
        cut_at(Cut { chats: true, ..Cut::default() }),
        &Doubts::default(),
        &regular(),
    );
    tokio::time::sleep(Duration::from_secs(9)).await;
    assert!(taken(&ann.conn).frames.is_empty(), "the lane is full, and nobody answers");
    tokio::time::sleep(Duration::from_secs(15)).await;
    let told = taken(&ann.conn).frames;
    let count = |kind: &str| told.iter().filter(|frame| frame.text().contains(kind)).count();
    assert_eq!(count(r#""type":"message""#), ROOMS as usize - 1, "{told:?}");
    assert_eq!(count(r#"{"type":"chat_removed","chat_id":7}"#), 1);
    assert_eq!(told.len(), ROOMS as usize);
    let asked = calls.load(Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(calls.load(Ordering::Relaxed), asked, "they are not suspected any more");
    assert!(taken(&ann.conn).frames.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_chat_that_nobody_can_tell_of_goes_on_at_its_end() {
    let (backend, calls) = (Arc::new(Scripted::default()), Arc::new(AtomicUsize::new(0)));
    let gateway = gateway(&backend, Config::default());
    let ann = connect(&gateway, UserId(1), Window::Native);
    let count = Arc::clone(&calls);
    backend.events.says(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        Err(Unavailable::Refused("words of a newer version".to_owned()))
    });
    watch(&gateway, &ann.conn, &group(1));
    let hear = |seq: i64| {
        let events = vec![Event { seq: Seq(seq), ..first() }];
        let chat_id = ChatId(1);
        let run = ChatEvents { chat_id, events, published_ms: 0, traceparent: None };
        gateway.hub.on_events(&run);
    };
    hear(3);
    tokio::time::sleep(Duration::from_secs(10)).await;
    let told = taken(&ann.conn).frames;
    let texts: Vec<&str> = told.iter().map(|frame| frame.text()).collect();
    assert_eq!(texts, [r#"{"type":"resync","chat_id":1,"seq":3}"#]);
    let asked = calls.load(Ordering::Relaxed);
    hear(4);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(taken(&ann.conn).frames.len(), 1, "what comes from now on is heard");
    assert_eq!(calls.load(Ordering::Relaxed), asked, "nobody asks again and again");
}

fn view(user: UserId, chats: Vec<ChatView>) -> SessionView {
    let (username, name) = ("ann".to_owned(), "Ann".to_owned());
    SessionView {
        user: Account { id: user, username, name, avatar: None, role: Role::User },
        chats,
    }
}

#[tokio::test(start_paused = true)]
async fn sessions_that_ended_unheard_are_found_in_pages() {
    let backend = Arc::new(Scripted::default());
    let gateway = gateway(&backend, Config::default());
    let conns: Vec<ConnGuard> =
        (1..=450).map(|id| connect(&gateway, UserId(id), Window::Native)).collect();
    let calls = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&calls);
    backend.open.says(move |call| {
        let mut log = log.lock();
        log.push(call.sessions.len());
        if log.len() == 2 {
            return unavailable();
        }
        let answer = |session: &OpenSession| {
            assert_eq!(session.shows, Shows::Nothing, "their chats are not asked for");
            match session.user_id.0 {
                123 => Err(SessionRefusal::Ended),
                321 => Err(SessionRefusal::Blocked),
                _ => Ok(view(session.user_id, Vec::new())),
            }
        };
        let sessions = call.sessions.iter().map(answer).collect();
        Ok(Opened { epoch: "e".to_owned(), sessions })
    });
    was_cut(&gateway, &backend, Cut { ended: true, ..Cut::default() });
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(*calls.lock(), [200, 200, 200, 50]);
    for guard in &conns {
        let closing = match guard.conn.user_id() {
            Some(UserId(123)) => Some(Close::SessionEnded),
            Some(UserId(321)) => Some(Close::Blocked),
            _ => None,
        };
        assert_eq!(taken(&guard.conn).closing, closing, "{:?}", guard.conn.user());
    }
}

#[tokio::test(start_paused = true)]
async fn members_who_left_unheard_are_found() {
    let backend = Arc::new(Scripted::default());
    let gateway = gateway(&backend, Config::default());
    let [ann, bob] = [1, 2].map(|id| connect(&gateway, UserId(id), Window::Native));
    let room = chat(ChatId(300), ChatType::Room, Seq::ZERO);
    for guard in [&ann, &bob] {
        (1..=250).for_each(|id| watch(&gateway, &guard.conn, &group(id)));
        watch(&gateway, &guard.conn, &room);
    }
    backend.view.says(|call| {
        let answer = |pair: &protocol::calls::UserChat| {
            assert!(pair.chat_id != ChatId(300), "a room is everybody's");
            if (pair.user_id, pair.chat_id) == (UserId(2), ChatId(7)) {
                return Err(not_a_member());
            }
            Ok(group(pair.chat_id.0))
        };
        Ok(Viewed { chats: call.chats.iter().map(answer).collect() })
    });
    was_cut(&gateway, &backend, Cut { parted: true, ..Cut::default() });
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!((ann.conn.watch_count(), bob.conn.watch_count()), (251, 250));
    assert!(!bob.conn.watches(ChatId(7)));
    assert!(taken(&ann.conn).frames.is_empty());
    let [told] = &taken(&bob.conn).frames.into_iter().collect::<Vec<_>>()[..] else { panic!() };
    assert_eq!(told.text(), r#"{"type":"chat_removed","chat_id":7}"#);
}

#[tokio::test(start_paused = true)]
async fn chats_that_came_or_woke_unheard_are_found() {
    let backend = Arc::new(Scripted::default());
    let gateway = gateway(&backend, Config::default());
    let ann = connect(&gateway, UserId(1), Window::Native);
    watch(&gateway, &ann.conn, &group(1));
    backend.open.says(|call| {
        assert!(call.sessions.iter().all(|session| session.shows == Shows::All));
        let sessions = vec![Ok(view(UserId(1), vec![group(2), group(1)]))];
        Ok(Opened { epoch: "e".to_owned(), sessions })
    });
    backend.view.says(|call| {
        let chats = call.chats.iter().map(|pair| Ok(group(pair.chat_id.0))).collect();
        Ok(Viewed { chats })
    });
    was_cut(&gateway, &backend, Cut { joined: true, ..Cut::default() });
    tokio::time::sleep(Duration::from_secs(5)).await;
    let joins: Vec<ChatId> = taken(&ann.conn).joins.iter().map(|join| join.chat_id).collect();
    assert_eq!(joins, [ChatId(2)]);
}

/// While the bus is down, too, a window is shown the message that woke a chat.
#[tokio::test(start_paused = true)]
async fn a_woken_chat_is_watched_from_before_what_woke_it() {
    let backend = Arc::new(Scripted::default());
    let gateway = gateway(&backend, Config::default());
    let [native, names] =
        [Window::Native, Window::Names].map(|window| connect(&gateway, UserId(1), window));
    backend.view.says(|call| {
        let private = |_| Ok(chat(ChatId(5), ChatType::Private, Seq(9)));
        Ok(Viewed { chats: call.chats.iter().map(private).collect() })
    });
    let woken = vec![Woken { user_id: UserId(1), chat_id: ChatId(5), after: Seq(7) }];
    let found = ChangedFound { woken, ..ChangedFound::default() };
    repair::apply(&gateway.hub, found, &Doubts::default(), &regular());
    tokio::time::sleep(Duration::from_secs(1)).await;
    for guard in [native, names] {
        let joins = taken(&guard.conn).joins;
        let [join] = &joins[..] else { panic!("{joins:?}") };
        assert_eq!((join.chat_id, join.head, join.after), (ChatId(5), Seq(9), Seq(7)));
    }
}
