//! Nobody waits behind what cannot be answered: a chat that somebody has locked, an api that hangs.

use crate::harness::{Rest, System};
use protocol::{close::Close, frames::ClientFrame, id::ChatId};
use serde_json::json;
use std::{
    process::Stdio,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{Child, ChildStdin, Command},
};

/// What people take for at once.
const AT_ONCE: Duration = Duration::from_millis(500);

/// A chat's row, locked by an operator's own session.
struct Lock {
    input: ChildStdin,
    psql: Child,
}

impl Lock {
    async fn of(t: &System, chat: ChatId) -> Self {
        let mut psql = Command::new("psql")
            .args(["-X", "-q", "-A", "-t", t.database_url()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut input = psql.stdin.take().unwrap();
        let lock = format!("BEGIN; SELECT id FROM chats WHERE id = {chat} FOR UPDATE;\n");
        input.write_all(lock.as_bytes()).await.unwrap();
        let mut said = BufReader::new(psql.stdout.as_mut().unwrap()).lines();
        assert_eq!(said.next_line().await.unwrap(), Some(chat.to_string()));
        Self { input, psql }
    }

    async fn release(mut self) {
        self.input.write_all(b"COMMIT;\n").await.unwrap();
        drop(self.input);
        assert!(self.psql.wait().await.unwrap().success());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locked_chat_delays_its_own_only() {
    let t = System::own_cluster().await;
    let ann = t.user("ann").await;
    let locked = ann.group("locked", &[]).await;
    let mut others = Vec::new();
    for number in 0..4 {
        others.push(ann.group(&format!("free {number}"), &[]).await);
    }
    let mut phone = ann.connect().await;
    for chat in others.iter().chain([&locked]) {
        phone.send(*chat, "before").await;
    }
    let lock = Lock::of(&t, locked).await;
    let (started, mut waited) = (Instant::now(), Vec::new());
    let mut expected = vec!["before".to_owned()];
    // Longer than an api waits for a lock, so that its time-outs are in it.
    while started.elapsed() < Duration::from_secs(4) {
        let text = format!("number {}", expected.len());
        phone.submit(locked, &text).await;
        expected.push(text);
        for chat in &others {
            let asked = Instant::now();
            phone.send(*chat, "meanwhile").await;
            waited.push(asked.elapsed());
        }
    }
    waited.sort_unstable();
    let (median, worst) = (waited[waited.len() / 2], waited[waited.len() - 1]);
    // A test machine is busy; who waited for the lock waited for seconds.
    assert!(median < AT_ONCE / 2 && worst < 3 * AT_ONCE, "{median:?}, at worst {worst:?}");
    assert_eq!(ann.texts(locked).await, ["before"]);
    lock.release().await;
    while phone.track.in_flight() > 0 {
        phone.pump().await;
    }
    assert_eq!(ann.texts(locked).await, expected, "in order, each once");
}

/// A token that says it was signed with a key nobody has.
const MADE_UP: &str = "eyJhbGciOiJFZERTQSIsImtpZCI6Im1hZGUtdXAifQ.eyJzdWIiOiI3In0.AAAA";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_do_not_make_a_node_unready_while_the_apis_hang() {
    let t = System::own_cluster().await;
    let ann = t.user("ann").await;
    let phone = ann.connect_to(0).await;
    let ready = Rest::new(format!("http://{}", t.gateway(0).admin()));
    let mut strangers = Vec::new();
    for _ in 0..20 {
        strangers.push(crate::harness::Dial::new(t.node(0)).at("/gateway").open().await.unwrap());
    }
    for number in 0..2 {
        t.api(number).process().pause();
    }
    for stranger in &mut strangers {
        let token = Some(MADE_UP.to_owned());
        stranger.say(&ClientFrame::hello(token, None)).await;
    }
    for _ in 0..10 {
        let asked = Instant::now();
        assert_eq!(ready.get("/readyz").await.status, 200);
        assert!(asked.elapsed() < AT_ONCE, "{:?}", asked.elapsed());
    }
    // The key may be one that could not be fetched: they are told to come back.
    for stranger in &mut strangers {
        stranger.expect_close(Close::Overloaded).await;
    }
    for number in 0..2 {
        t.api(number).process().resume();
    }
    drop(phone);
    ann.connect_to(0).await;
}

in_both_modes!(what_nobody_could_store_is_refused_where_it_comes_in);

/// In the words of the api, which does not hear of it.
async fn what_nobody_could_store_is_refused_where_it_comes_in(t: System) {
    let ann = t.user("ann").await;
    let huge = "x".repeat(50_000);
    let mut names = ann.front_window("/ws/chat").await;
    let invalid = json!({"status": "error", "code": "invalid_text"});
    names.ask(json!({"username_to": "nobody", "message": huge}), invalid).await;
    let nobody = json!({"status": "error", "code": "recipient_not_found"});
    names.ask(json!({"username_to": huge, "message": "hi"}), nobody).await;
}
