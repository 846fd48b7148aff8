//! A device against a small server in the test, which says and does what a deployment would.

mod server;

use super::*;
use crate::{
    cast::CastMember,
    client::{ChatAction, Clock, DeviceHandle, Fleet, FleetOptions, Order, SocketTarget, Stamp},
    history::{Ledger, LedgerLimits},
    measure::{Op, Slice},
    recorder::Recorder,
};
use protocol::id::{ChatId, UserId};
use serde_json::{Value, json};
use server::{Server, ServerSocket};

const CHAT: ChatId = ChatId(12);

/// Everything that a test needs.
struct Stage {
    server: Server,
    fleet: Fleet,
    recorder: Recorder,
    recorded: Slice,
}

impl Stage {
    async fn set() -> Self {
        let server = Server::start().await;
        let recorder = Recorder::default();
        let fleet = Fleet::start(FleetOptions {
            target: SocketTarget::resolve(&server.url(), &Default::default()).await.unwrap(),
            run: "r".to_owned(),
            seed: 7,
            clock: Clock::read(),
            threads: 1,
            sources: vec!["127.0.0.1".parse().unwrap()],
            ledger: Ledger::new(LedgerLimits::default()),
            recorder: recorder.clone(),
        });
        let fleet = fleet.unwrap();
        Self { server, fleet, recorder, recorded: Slice::default() }
    }

    /// `life`: seconds that the first token is good for.
    fn account(&self, life: i64) -> Arc<TestAccount> {
        let person = CastMember {
            id: UserId(7),
            username: "ann".to_owned(),
            token: server::token("first", 1_000_000 + life),
            refresh: "refresh 0".to_owned(),
            chats: Vec::new(),
        };
        Arc::new(TestAccount::new(&person, Instant::now(), 1_000_000))
    }

    fn spawn(&self, number: u32, account: &Arc<TestAccount>, slow: Option<u64>) -> DeviceHandle {
        let (account, window) = (Arc::clone(account), ConnectionView::Native);
        let spec = DeviceSpec {
            number,
            account,
            window,
            read_bytes_per_second: slow,
            due: Instant::now(),
        };
        self.fleet.spawn(spec).unwrap()
    }

    /// A device that is ready, at place 40 of the chat.
    async fn ready(&mut self) -> (DeviceHandle, ServerSocket) {
        let handle = self.spawn(3, &self.account(900), None);
        let mut line = self.server.next().await;
        assert_eq!(line.hear().await["type"], "hello");
        line.say(ready(25_000, 40)).await;
        self.until(|slice| slice.connections == 1).await;
        (handle, line)
    }

    /// Waits until what was recorded, from the beginning, is so.
    async fn until(&mut self, so: impl Fn(&Slice) -> bool) {
        for _ in 0..5_000 {
            let new = self.recorder.drain();
            self.recorded.connections = new.connections;
            for (count, number) in new.counts {
                *self.recorded.counts.entry(count).or_default() += number;
            }
            for (op, latency) in new.latencies {
                self.recorded.latencies.entry(op).or_default().add(&latency);
            }
            for (kind, number) in new.errors {
                *self.recorded.errors.entry(kind).or_default() += number;
            }
            for (kind, number) in new.closes {
                *self.recorded.closes.entry(kind).or_default() += number;
            }
            if so(&self.recorded) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("{:?} {:?}", self.recorded.counts, self.recorded.errors);
    }

    fn count(&self, count: Count) -> u64 {
        self.recorded.counts.get(&count).copied().unwrap_or(0)
    }

    fn timed(&self, op: Op) -> u64 {
        self.recorded.latencies.get(&op).map_or(0, |latency| latency.0.len())
    }
}

fn ready(heartbeat_ms: u64, seq: i64) -> Value {
    let user = json!({ "id": 7, "username": "ann", "name": "Ann", "role": "user" });
    let chat = json!({ "id": CHAT, "name": "team", "chat_type": "group", "seq": seq,
                       "last_read": 0, "unread": 0 });
    json!({ "type": "ready", "connection_id": "c", "user": user, "epoch": "e",
            "heartbeat_ms": heartbeat_ms, "chats": [chat] })
}

/// The event that a `send` becomes.
fn message(seq: i64, sent: &Value) -> Value {
    json!({ "type": "message", "chat_id": CHAT, "seq": seq, "id": seq,
            "sender": { "id": 7, "username": "ann" }, "text": sent["text"],
            "timestamp": "2026-11-21T10:00:00.000Z", "client_message_id": sent["id"] })
}

fn ack(seq: i64, sent: &Value) -> Value {
    json!({ "type": "ack", "id": sent["id"], "chat_id": CHAT, "message_id": seq, "seq": seq,
            "timestamp": "2026-11-21T10:00:00.000Z" })
}

fn act(action: ChatAction, due: Instant) -> Order {
    Order::Act { action, chat: CHAT, due, bytes: 100 }
}

fn a_message() -> Order {
    act(ChatAction::Message, Instant::now())
}

#[tokio::test]
async fn what_has_no_answer_is_sent_again_where_it_resumes() {
    let mut stage = Stage::set().await;
    let (handle, mut line) = stage.ready().await;
    handle.order(a_message()).unwrap();
    let sent = line.hear().await;
    assert_eq!((&sent["type"], &sent["id"]), (&json!("send"), &json!("r/3/1")));
    assert_eq!(sent["text"].as_str().unwrap().len(), 100);
    line.say(message(41, &sent)).await;
    stage.until(|slice| slice.counts.contains_key(&Count::Delivered)).await;
    drop(line);
    let mut line = stage.server.next().await;
    let hello = line.hear().await;
    assert_eq!(hello["resume"], json!({ "epoch": "e", "cursors": { "12": 41 } }));
    line.say(ready(25_000, 41)).await;
    line.say(json!({ "type": "caught_up", "chat_id": CHAT, "seq": 41 })).await;
    assert_eq!(line.hear().await, sent);
    assert_eq!(handle.unsettled(), 1);
    line.say(ack(41, &sent)).await;
    stage.until(|slice| slice.counts.contains_key(&Count::Acked)).await;
    assert_eq!(handle.unsettled(), 0);
    assert_eq!((stage.count(Count::Sent), stage.count(Count::Dropped)), (1, 1));
    let timed = [Op::Connect, Op::Resume, Op::Ack, Op::Delivery].map(|op| stage.timed(op));
    assert_eq!(timed, [1; 4]);
    // An edit of it, a read mark, and a delete; then there is nothing left to edit.
    let due = Instant::now();
    handle.order(act(ChatAction::Edit, due)).unwrap();
    let edit = line.hear().await;
    assert_eq!((&edit["type"], &edit["message_id"]), (&json!("edit"), &json!(41)));
    handle.order(act(ChatAction::Read, due)).unwrap();
    let read = json!({ "type": "read", "chat_id": CHAT, "message_id": 41 });
    assert_eq!(line.hear().await, read);
    handle.order(act(ChatAction::Delete, due)).unwrap();
    let delete = json!({ "type": "delete", "id": "r/3/3", "chat_id": CHAT, "message_id": 41 });
    assert_eq!(line.hear().await, delete);
    handle.order(act(ChatAction::Edit, due)).unwrap();
    stage.until(|slice| slice.counts.contains_key(&Count::Skipped)).await;
    handle.order(Order::Leave).unwrap();
    assert_eq!(line.close().await, Some(1000));
    stage.fleet.stop().await;
    assert_eq!(handle.state(), DeviceState::Gone);
}

#[tokio::test]
async fn a_refusal_for_now_is_heeded() {
    let mut stage = Stage::set().await;
    let (handle, mut line) = stage.ready().await;
    handle.order(a_message()).unwrap();
    let sent = line.hear().await;
    let refused = json!({ "type": "error", "id": sent["id"], "code": "rate_limited",
                          "message": "", "retry_after_ms": 120 });
    let at = Instant::now();
    line.say(refused).await;
    // Only what is ordered after the refusal was heard has to wait for it.
    stage.until(|slice| slice.errors.contains_key("rate_limited")).await;
    handle.order(a_message()).unwrap();
    assert_eq!(line.hear().await, sent);
    assert!(at.elapsed() >= Duration::from_millis(115), "{:?}", at.elapsed());
    let second = line.hear().await;
    assert_eq!(second["id"], "r/3/2");
    let forbidden =
        json!({ "type": "error", "id": "r/3/2", "code": "not_a_member", "message": "" });
    line.say(forbidden).await;
    line.say(ack(41, &sent)).await;
    stage.until(|slice| slice.counts.contains_key(&Count::Acked)).await;
    assert_eq!((handle.unsettled(), stage.count(Count::Sent)), (0, 2));
    assert_eq!(stage.recorded.errors["rate_limited"], 1);
    assert_eq!(stage.recorded.errors["not_a_member"], 1);
}

#[tokio::test]
async fn closes_are_heeded_each_in_its_way() {
    let mut stage = Stage::set().await;
    let (handle, mut line) = stage.ready().await;
    let at = Instant::now();
    line.say(json!({ "type": "reconnect", "after_ms": 150 })).await;
    line.end(1012, "restart").await;
    let mut line = stage.server.next().await;
    assert!(at.elapsed() >= Duration::from_millis(145), "{:?}", at.elapsed());
    assert_eq!(line.hear().await["resume"]["cursors"]["12"], 40);
    // Overloaded before it was ready: again, after a pause.
    let at = Instant::now();
    line.end(1013, "overloaded").await;
    let mut line = stage.server.next().await;
    assert!(at.elapsed() >= Duration::from_millis(120), "{:?}", at.elapsed());
    line.hear().await;
    line.end(1008, "blocked").await;
    stage.until(|slice| slice.closes.contains_key("1008 blocked")).await;
    while handle.state() != DeviceState::Gone {
        tokio::task::yield_now().await;
    }
    assert!(handle.order(a_message()).is_err());
    assert_eq!(stage.recorded.closes["1013 overloaded"], 1);
}

#[tokio::test]
async fn a_cut_device_comes_back_when_told_and_its_absence_is_not_timed() {
    let mut stage = Stage::set().await;
    let (handle, line) = stage.ready().await;
    let due = Instant::now();
    let back = due + Duration::from_millis(200);
    handle.order(Order::Cut { due, back }).unwrap();
    let mut line_2 = stage.server.next().await;
    assert!(Instant::now() >= back);
    drop(line);
    line_2.hear().await;
    line_2.say(ready(25_000, 41)).await;
    let stamp = |due| Stamp { device: 9, n: 1, due_micros: due };
    let old = json!({ "text": crate::client::stamp::text("r", stamp(1), 60), "id": "r/9/1" });
    line_2.say(message(41, &old)).await;
    line_2.say(json!({ "type": "caught_up", "chat_id": CHAT, "seq": 41 })).await;
    stage.until(|slice| slice.latencies.contains_key(&Op::Resume)).await;
    assert_eq!((stage.count(Count::Delivered), stage.timed(Op::Delivery)), (1, 0));
    assert_eq!(stage.count(Count::Dropped), 0);
    let new =
        json!({ "text": crate::client::stamp::text("r", stamp(i64::MAX), 60), "id": "r/9/2" });
    line_2.say(message(42, &new)).await;
    stage.until(|slice| slice.latencies.contains_key(&Op::Delivery)).await;
}

#[tokio::test]
async fn the_closed_loop_goes_on_with_what_comes_round() {
    let mut stage = Stage::set().await;
    let (handle, mut line) = stage.ready().await;
    handle.order(Order::Loop { chat: CHAT, window: 2, bytes: 60 }).unwrap();
    let (first, second) = (line.hear().await, line.hear().await);
    // Acknowledged is not come round.
    line.say(ack(41, &first)).await;
    line.say(ack(42, &second)).await;
    stage.until(|slice| slice.counts.get(&Count::Acked) == Some(&2)).await;
    line.say(message(41, &first)).await;
    assert_eq!(line.hear().await["id"], "r/3/3");
    handle.order(Order::Loop { chat: CHAT, window: 0, bytes: 0 }).unwrap();
    handle.order(act(ChatAction::Typing, Instant::now())).unwrap();
    assert_eq!(line.hear().await["type"], "typing");
    line.say(message(42, &second)).await;
    stage.until(|slice| slice.counts.get(&Count::Delivered) == Some(&2)).await;
    handle.order(act(ChatAction::Typing, Instant::now())).unwrap();
    assert_eq!(line.hear().await["type"], "typing");
}

#[tokio::test]
async fn pings_are_answered_and_silence_ends_a_connection() {
    let mut stage = Stage::set().await;
    stage.spawn(3, &stage.account(900), None);
    let mut line = stage.server.next().await;
    line.hear().await;
    let at = Instant::now();
    line.say(ready(400, 40)).await;
    for _ in 0..4 {
        line.ping().await;
        // Not to wait for something: it is silence that is tried, far below what ends a connection.
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    let mut line_2 = stage.server.next().await;
    assert!(at.elapsed() > Duration::from_millis(1_500), "{:?}", at.elapsed());
    assert!(!line_2.hear().await["resume"].is_null());
    stage.until(|slice| slice.errors.contains_key("socket: timed out")).await;
}

#[tokio::test]
async fn the_devices_of_a_person_renew_its_token_once_for_all() {
    let mut stage = Stage::set().await;
    // At its end.
    let account = stage.account(0);
    stage.spawn(3, &account, None);
    stage.spawn(4, &account, None);
    let mut lines = [stage.server.next().await, stage.server.next().await];
    for line in &mut lines {
        assert_eq!(line.hear().await["token"], "token 1");
        line.say(ready(25_000, 40)).await;
    }
    assert_eq!(stage.server.refreshed(), ["refresh 0"]);
    // What the test's server gives out is good for three seconds, and is renewed in their middle.
    for line in &mut lines {
        assert_eq!(line.hear().await, json!({ "type": "token", "token": "token 2" }));
    }
    assert_eq!(stage.server.refreshed(), ["refresh 0", "refresh 1"]);
    // A token that the server calls expired is not shown twice.
    let [mut line, _other] = lines;
    line.end(1008, "token_expired").await;
    let hello = stage.server.next().await.hear().await;
    assert_eq!(hello["token"], "token 3");
}

#[tokio::test]
async fn a_slow_reader_reads_slowly() {
    let mut stage = Stage::set().await;
    stage.spawn(3, &stage.account(900), Some(100_000));
    let mut line = stage.server.next().await;
    line.hear().await;
    line.say(ready(25_000, 0)).await;
    let at = Instant::now();
    for seq in 1..=100 {
        let text = json!({ "text": "x".repeat(400), "id": "other" });
        line.say(message(seq, &text)).await;
    }
    stage.until(|slice| slice.counts.get(&Count::Delivered) == Some(&100)).await;
    // 60 KB and more, of which the first tenth of a second's are free.
    assert!(at.elapsed() > Duration::from_millis(400), "{:?}", at.elapsed());
}

#[tokio::test]
async fn what_a_device_did_not_come_to_is_skipped() {
    let mut stage = Stage::set().await;
    let handle = stage.spawn(3, &stage.account(900), None);
    // The server takes the connection and never says that it is ready.
    let _line = stage.server.next().await;
    let due = Instant::now();
    for order in [act(ChatAction::Message, due), act(ChatAction::Read, due), Order::Recheck] {
        handle.order(order).unwrap();
    }
    assert_eq!((handle.unsent(), handle.was_ready()), (2, false));
    handle.order(Order::Leave).unwrap();
    stage.until(|slice| slice.counts.get(&Count::Skipped) == Some(&2)).await;
}
