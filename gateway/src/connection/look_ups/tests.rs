//! Connections over real sockets, in front of an api that answers when the test lets it.

use crate::{
    backend::scripted::Scripted,
    config::Config,
    connection::{
        Connection, join_queue::JoinQueue, look_up_queue::MAX_WAITING, opening::ConnectionParts,
        session::Session,
    },
    dialect::Window,
    hub::conn::{Conn, unanswered::MAX_UNANSWERED},
    testing::{self, gateway},
    wire::socket::Socket,
};
use futures_util::{SinkExt, StreamExt};
use parking_lot::Mutex;
use platform::limit::Rate;
use protocol::{
    calls::{Peer, PeersFound, Posted},
    close::Close,
    code::Code,
    command::{Action, Command, Receipt},
    id::{ChatId, Seq, UserId},
    refusal::Refusal,
    time::Timestamp,
};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinHandle,
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Bytes, Message, protocol::Role},
};

/// For what happens at once, on a busy machine.
const SOON: Duration = Duration::from_secs(10);

/// Nobody is told to wait.
const FAST: Rate = Rate { per: Duration::from_nanos(1), burst: 10_000 };

/// The texts of the messages stored, in order.
type Stored = Arc<Mutex<Vec<String>>>;

async fn pass(gate: Arc<Semaphore>, count: usize) {
    let permits = u32::try_from(count).unwrap();
    gate.acquire_many(permits).await.unwrap().forget();
}

/// An api that is asked for permission to answer. It knows everybody whose name is not "nobody".
fn gated(look_ups: &Arc<Semaphore>, posts: &Arc<Semaphore>, stored: &Stored) -> Arc<Scripted> {
    let api = Scripted::default();
    let (gate, stored) = (Arc::clone(posts), Arc::clone(stored));
    api.post.does(move |call| {
        let (passed, stored) = (pass(Arc::clone(&gate), call.commands.len()), Arc::clone(&stored));
        async move {
            passed.await;
            let store = |command: Command| {
                let Action::Send { text, .. } = command.action else { panic!("no message") };
                let mut stored = stored.lock();
                stored.push(text);
                let seq = Seq(stored.len() as i64);
                Ok(Receipt { message_id: seq, seq, timestamp: Timestamp(0), repeated: false })
            };
            let results = call.commands.into_iter().map(store).collect();
            Ok(Posted { results, events: Vec::new() })
        }
    });
    let gate = Arc::clone(look_ups);
    api.peers.does(move |call| {
        let passed = pass(Arc::clone(&gate), call.pairs.len());
        async move {
            passed.await;
            let found = |peer: &Peer| match peer {
                Peer::Username(name) if name == "nobody" => {
                    let (code, message) = (Code::RecipientNotFound, "Nobody.".to_owned());
                    Err(Refusal { code, message })
                }
                // In two lanes.
                Peer::Username(name) => Ok(ChatId(name.len() as i64)),
                Peer::Id(id) => Ok(ChatId(id.0)),
            };
            Ok(PeersFound { chats: call.pairs.iter().map(|pair| found(&pair.peer)).collect() })
        }
    });
    Arc::new(api)
}

/// A connection that is open, from both of its ends.
struct Pair {
    look_ups: Arc<Semaphore>,
    posts: Arc<Semaphore>,
    stored: Stored,
    conn: Arc<Conn>,
    client: WebSocketStream<TcpStream>,
    ended: JoinHandle<Close>,
}

/// The session of its user lasts for so long.
async fn connect(window: Window, lasts: Duration) -> Pair {
    let [look_ups, posts] = [(); 2].map(|()| Arc::new(Semaphore::new(0)));
    let stored = Stored::default();
    // The account's own bound is below this one.
    let mut config = Config::default();
    config.account.frames = FAST;
    config.account.in_flight = 1_000;
    let gateway = gateway(&gated(&look_ups, &posts, &stored), config.clone());
    let guard = testing::connect(&gateway, UserId(4), window);
    let conn = Arc::clone(&guard.conn);

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (server, address) = listener.accept().await.unwrap();
    let loan = gateway.credit.loan(address.ip());
    let socket = Socket::new(server, &Bytes::new(), &config, loan);
    let expires_at = Timestamp(Timestamp::now().0 + lasts.as_millis() as i64);
    let opened = ConnectionParts {
        guard,
        session: Session::new(expires_at, &config),
        joins: JoinQueue::default(),
        shares: Vec::new(),
        stranger: None,
    };
    let running = async move {
        let (socket, close) = Box::new(Connection::new(opened, socket)).run().await;
        socket.unwrap().close(close).await;
        close
    };
    #[expect(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
    let ended = tokio::spawn(running);
    let client = WebSocketStream::from_raw_socket(client, Role::Client, None).await;
    Pair { look_ups, posts, stored, conn, client, ended }
}

impl Pair {
    async fn say(&mut self, to: &str, text: &str) {
        let frame = json!({ "username_to": to, "message": text });
        self.client.send(Message::text(frame.to_string())).await.unwrap();
    }

    /// The next frame, or the reason of the close.
    async fn hear(&mut self) -> Result<Value, String> {
        loop {
            match timeout(SOON, self.client.next()).await.unwrap().unwrap().unwrap() {
                Message::Text(text) => return Ok(serde_json::from_str(&text).unwrap()),
                Message::Close(close) => return Err(close.unwrap().reason.to_string()),
                _ => {}
            }
        }
    }

    async fn expect_end(mut self, close: Close) {
        assert_eq!(self.hear().await, Err(close.reason().to_owned()));
        let Self { mut client, ended, .. } = self;
        // The client's answer, and its end.
        while client.next().await.is_some() {}
        drop(client);
        assert_eq!(timeout(SOON, ended).await.unwrap().unwrap(), close);
    }
}

const LONG: Duration = Duration::from_secs(3600);

/// Waits until it is so.
async fn until(so: impl Fn() -> bool) {
    let look = async {
        while !so() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(SOON, look).await.unwrap();
}

#[tokio::test]
async fn what_waits_for_look_ups_is_bounded_answered_in_order_and_holds_up_nothing() {
    let mut pair = connect(Window::Names, LONG).await;
    let many = 5 * MAX_WAITING;
    for number in 0..many {
        pair.say(if number % 3 == 0 { "nobody" } else { "bob" }, &number.to_string()).await;
    }
    // The one under way, and those behind it: the rest is not read.
    until(|| pair.conn.unanswered.count() as usize == MAX_WAITING + 1).await;
    pair.conn.outbox.push("served".into(), crate::hub::conn::outbox::DropPolicy::Durable);
    let raw = timeout(SOON, pair.client.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(raw, Message::text("served"), "though nothing is looked up");
    assert_eq!(pair.conn.unanswered.count() as usize, MAX_WAITING + 1);

    pair.look_ups.add_permits(many);
    pair.posts.add_permits(many);
    for number in 0..many {
        let expected = if number % 3 == 0 { "error" } else { "success" };
        assert_eq!(pair.hear().await.unwrap()["status"], expected, "{number}");
    }
    assert_eq!(pair.conn.unanswered.count(), 0);
    let expected = (0..many).filter(|number| number % 3 != 0).map(|number| number.to_string());
    assert_eq!(*pair.stored.lock(), expected.collect::<Vec<_>>());
}

#[tokio::test]
async fn frames_behind_too_many_unanswered_ones_are_left_unread_until_some_are_answered() {
    let mut pair = connect(Window::Names, LONG).await;
    pair.look_ups.add_permits(2 * MAX_UNANSWERED as usize);
    let sent = MAX_UNANSWERED as usize + 3 * MAX_WAITING;
    for _ in 0..sent {
        pair.say("bob", "hi").await;
    }
    pair.say("nobody", "hi").await;
    until(|| pair.conn.unanswered.count() == MAX_UNANSWERED).await;
    // What is to be written goes out, and nothing more is read.
    pair.conn.outbox.push("{}".into(), crate::hub::conn::outbox::DropPolicy::Durable);
    assert_eq!(pair.hear().await, Ok(json!({})));
    assert_eq!(pair.conn.unanswered.count(), MAX_UNANSWERED);

    pair.posts.add_permits(2 * MAX_UNANSWERED as usize);
    for _ in 0..sent {
        assert_eq!(pair.hear().await.unwrap()["status"], "success");
    }
    assert_eq!(pair.hear().await.unwrap()["status"], "error");
}

#[tokio::test]
async fn an_order_to_close_is_heard_behind_a_look_up_that_does_not_end() {
    let mut pair = connect(Window::Names, LONG).await;
    for _ in 0..5 * MAX_WAITING {
        pair.say("bob", "hi").await;
    }
    until(|| pair.conn.unanswered.count() as usize > MAX_WAITING).await;
    pair.conn.outbox.close(Close::SessionEnded);
    pair.expect_end(Close::SessionEnded).await;
}

#[tokio::test]
async fn who_is_let_go_hears_first_what_became_of_what_was_read() {
    let mut pair = connect(Window::Names, LONG).await;
    pair.look_ups.add_permits(100);
    for to in ["bob", "nobody", "anna"] {
        pair.say(to, to).await;
    }
    // All three are looked up, and two are on their way to be stored.
    until(|| pair.look_ups.available_permits() == 97).await;
    until(|| pair.conn.unanswered.count() == 2).await;
    pair.conn.unanswered.drain();
    // Read too late: it is not stored, and may be sent to another node.
    pair.say("bob", "hi").await;
    pair.conn.outbox.push("{}".into(), crate::hub::conn::outbox::DropPolicy::Durable);
    assert_eq!(pair.hear().await, Ok(json!({})), "others are heard meanwhile");

    pair.posts.add_permits(100);
    for status in ["success", "error", "success"] {
        assert_eq!(pair.hear().await.unwrap()["status"], status);
    }
    let stored = Arc::clone(&pair.stored);
    pair.expect_end(Close::Restart).await;
    let mut stored = stored.lock().clone();
    stored.sort_unstable();
    assert_eq!(stored, ["anna", "bob"], "and nothing that came later");
}

#[tokio::test]
async fn who_owes_no_answer_goes_at_once() {
    for window in [Window::Names, Window::Native] {
        let mut pair = connect(window, LONG).await;
        pair.conn.unanswered.drain();
        if window == Window::Native {
            assert_eq!(pair.hear().await.unwrap()["type"], "reconnect");
        }
        pair.expect_end(Close::Restart).await;
    }
}

#[tokio::test]
async fn a_connection_that_has_lived_its_time_is_told_to_come_back() {
    for (window, close) in [
        (Window::Names, Close::Renew),
        (Window::Lobby, Close::Renew),
        (Window::Native, Close::TokenExpired),
    ] {
        let pair = connect(window, Duration::from_millis(50)).await;
        pair.expect_end(close).await;
    }
}
