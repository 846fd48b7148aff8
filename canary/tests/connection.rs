//! One connection of the canary against a gateway that the test plays: what a good client does when
//! its token is renewed, the gateway restarts, the session ends.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use canary::{
    account::{AccessPass, CanaryAccount},
    connection::{CanaryConnection, ConnectionEvent, ConnectionReport},
    keeper::{Complaint, Credentials},
    resume::{CanaryEvent, ResumeState},
};
use futures_util::{SinkExt, StreamExt};
use platform::{lifecycle::Lifecycle, settings::Secret};
use protocol::{
    close::Close,
    frames::ClientFrame,
    id::{ChatId, UserId},
};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream, accept_async,
    tungstenite::{Message, protocol::CloseFrame},
};

/// Only ever waited out by a test that fails.
const DEADLINE: Duration = Duration::from_secs(20);

/// A connection of the account that listens, and all that it is connected to.
struct Played {
    listener: TcpListener,
    reports: mpsc::Receiver<ConnectionReport>,
    orders: Option<mpsc::Sender<ClientFrame>>,
    credentials: watch::Sender<Credentials>,
    complaints: mpsc::Receiver<Complaint>,
    lifecycle: Lifecycle,
}

fn credentials(token: &str, session: u64) -> Credentials {
    let pass = AccessPass { token: Secret::new(token), session };
    let other = AccessPass { token: Secret::new("the sender's"), session: 1 };
    Credentials { sender: other, listener: pass, sender_id: UserId(6), chat: ChatId(5) }
}

impl Played {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (reports, incoming) = mpsc::channel(64);
        let (orders, to_send) = mpsc::channel(16);
        let (tell, credentials) = watch::channel(credentials("one", 1));
        let (complaints, complained) = mpsc::channel(16);
        let connection = CanaryConnection {
            number: 1,
            address: listener.local_addr().unwrap(),
            authority: "gateway.example:8100".to_owned(),
            account: CanaryAccount::Listener,
            orders: to_send,
            reports,
            credentials,
            complaints,
            resume: ResumeState::default(),
        };
        let lifecycle = Lifecycle::new();
        lifecycle.spawn(connection.run());
        let (reports, orders) = (incoming, Some(orders));
        Self { listener, reports, orders, credentials: tell, complaints: complained, lifecycle }
    }

    /// The next connection, with its hello answered; and the hello.
    async fn accept(&mut self) -> (Gateway, Value) {
        let (tcp, _) = timeout(DEADLINE, self.listener.accept()).await.unwrap().unwrap();
        let mut gateway = Gateway(accept_async(tcp).await.unwrap());
        let hello = gateway.next().await.unwrap();
        gateway
            .say(json!({
                "type": "ready", "connection_id": "c", "epoch": "e", "heartbeat_ms": 25_000,
                "user": {"id": 7, "username": "canary_b", "name": "x", "role": "user"},
                "chats": [{"id": 5, "name": "canary", "chat_type": "group", "seq": 10,
                           "last_read": 0, "unread": 0}],
            }))
            .await;
        let event = self.event().await;
        assert!(matches!(event, ConnectionEvent::Received(CanaryEvent::Ready { .. })), "{event:?}");
        (gateway, hello)
    }

    async fn event(&mut self) -> ConnectionEvent {
        timeout(DEADLINE, self.reports.recv()).await.unwrap().unwrap().what
    }
}

/// The gateway's end of a socket.
struct Gateway(WebSocketStream<TcpStream>);

impl Gateway {
    async fn say(&mut self, frame: Value) {
        self.0.send(Message::text(frame.to_string())).await.unwrap();
    }

    /// The next frame; nothing when the client closes.
    async fn next(&mut self) -> Option<Value> {
        match timeout(DEADLINE, self.0.next()).await.unwrap()?.unwrap() {
            Message::Text(text) => Some(serde_json::from_str(&text).unwrap()),
            Message::Close(_) => None,
            other => panic!("{other:?}"),
        }
    }

    async fn close(&mut self, close: Close) {
        let frame = CloseFrame { code: close.code().into(), reason: close.reason().into() };
        self.0.close(Some(frame)).await.unwrap();
    }

    async fn message(&mut self, seq: i64) {
        self.say(json!({
            "type": "message", "chat_id": 5, "seq": seq, "id": seq, "text": "x",
            "sender": {"id": 6, "username": "canary_a"}, "client_message_id": format!("m{seq}"),
            "timestamp": "2026-11-21T10:00:00.000Z",
        }))
        .await;
    }
}

#[tokio::test]
async fn a_restart_is_obeyed_and_resumed_from() {
    let mut played = Played::start().await;
    let (mut gateway, hello) = played.accept().await;
    assert_eq!(hello, json!({"type": "hello", "token": "one", "version": 1}));
    gateway.message(11).await;
    let event = played.event().await;
    assert!(matches!(event, ConnectionEvent::Received(CanaryEvent::Message { .. })), "{event:?}");

    let told = Instant::now();
    gateway.say(json!({"type": "reconnect", "after_ms": 700})).await;
    gateway.close(Close::Restart).await;
    assert!(matches!(played.event().await, ConnectionEvent::Ended(_)));
    // Meant for a connection that is not there: it is not sent on the next one.
    played.orders.as_ref().unwrap().send(ClientFrame::Typing { chat_id: ChatId(5) }).await.unwrap();
    let (mut gateway, hello) = played.accept().await;
    assert!(told.elapsed() >= Duration::from_millis(700), "{:?}", told.elapsed());
    assert_eq!(hello["resume"], json!({"epoch": "e", "cursors": {"5": 11}}));
    played.orders.as_ref().unwrap().send(ClientFrame::Ping { id: None }).await.unwrap();
    assert_eq!(gateway.next().await, Some(json!({"type": "ping"})));

    played.orders = None;
    assert_eq!(gateway.next().await, None, "it says goodbye");
    played.lifecycle.stop();
    assert_eq!(played.lifecycle.finish(DEADLINE).await, 0);
}

#[tokio::test]
async fn tokens_are_renewed_and_sessions_replaced() {
    let mut played = Played::start().await;
    let (mut gateway, _) = played.accept().await;
    played.credentials.send_replace(credentials("two", 1));
    assert_eq!(gateway.next().await, Some(json!({"type": "token", "token": "two"})));

    // Nothing of this account's has changed.
    played.credentials.send_modify(|all| all.sender.token = Secret::new("fresh"));
    played.credentials.send_modify(|all| all.chat = ChatId(9));
    played.orders.as_ref().unwrap().send(ClientFrame::Ping { id: None }).await.unwrap();
    assert_eq!(gateway.next().await, Some(json!({"type": "ping"})));

    gateway.close(Close::SessionEnded).await;
    assert!(matches!(played.event().await, ConnectionEvent::Ended(_)));
    let complaint = timeout(DEADLINE, played.complaints.recv()).await.unwrap();
    assert_eq!(complaint, Some(Complaint::Session(CanaryAccount::Listener, 1)));
    let (_gateway, hello) = played.accept().await;
    assert_eq!(hello["token"], "two");

    played.credentials.send_replace(credentials("three", 2));
    assert!(matches!(played.event().await, ConnectionEvent::Ended(_)));
    let (_gateway, hello) = played.accept().await;
    assert_eq!(hello["token"], "three");
    assert_eq!(hello["resume"]["cursors"], json!({"5": 10}));
}

#[tokio::test]
async fn what_is_no_gateway_is_a_failure_and_tried_again() {
    let mut played = Played::start().await;
    let (tcp, _) = played.listener.accept().await.unwrap();
    drop(tcp);
    assert!(matches!(played.event().await, ConnectionEvent::Failed(_)));
    let (tcp, _) = timeout(DEADLINE, played.listener.accept()).await.unwrap().unwrap();
    let mut gateway = Gateway(accept_async(tcp).await.unwrap());
    gateway.next().await.unwrap();
    gateway.close(Close::Overloaded).await;
    let event = played.event().await;
    assert!(
        matches!(&event, ConnectionEvent::Failed(why) if why.contains("overloaded")),
        "{event:?}"
    );
    played.accept().await;
    assert!(played.complaints.try_recv().is_err(), "a token would not help");
}
