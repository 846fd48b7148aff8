//! What became of a message is told in the order of the messages, because these clients' answers
//! name none of them; and a gateway that stops tells it before it lets a client go.

use super::{
    bearer_dial, guest_window,
    names::{names, success, to},
};
use crate::harness::{DialectSocket, System, User, until, within};
use protocol::{close::Close, id::ChatId};
use serde_json::{Value, json};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::task::JoinSet;

in_both_modes!(
    statuses_come_in_the_order_of_the_messages,
    errors_come_after_the_messages_before_them,
);

fn failed(code: &str) -> Value {
    json!({ "status": "error", "code": code })
}

/// Some are refused at once, some by a look-up, some are committed, in two lanes.
async fn statuses_come_in_the_order_of_the_messages(t: System) {
    let (ann, bob, cat) = (t.user("ann").await, t.user("bob").await, t.user("cat").await);
    let mut anns = names(&ann, 0).await;
    for round in 0..20 {
        anns.say(to(&bob, &format!("to bob {round}"))).await;
        anns.say(json!({ "username_to": "nobody at all", "message": "hi" })).await;
        anns.say(to(&cat, &format!("to cat {round}"))).await;
        anns.socket().say_text("nonsense").await;
        anns.say(to(&cat, "")).await;
        anns.say(to(&bob, &format!("again {round}"))).await;
        anns.expect(success()).await;
        anns.expect(failed("recipient_not_found")).await;
        anns.expect(success()).await;
        anns.expect(failed("malformed")).await;
        anns.expect(failed("invalid_text")).await;
        anns.expect(success()).await;
    }
}

/// Where a sender sees its own message, an error behind it is about a later frame.
async fn errors_come_after_the_messages_before_them(t: System) {
    let ann = t.user("ann").await;
    let mut anns = ann.window(0, "/ws").await.among(&[&ann.username]);
    let mut guest = guest_window(&t, 0, &["Zoe"]).await;
    for round in 0..10 {
        let text = format!("round {round}");
        anns.say(json!({ "type": "chat_message", "message": text })).await;
        anns.socket().say_text("nonsense").await;
        anns.expect(json!({ "type": "chat_message", "message": text })).await;
        anns.expect(json!({ "type": "error", "code": "malformed" })).await;

        guest.say(json!({ "type": "chat_message", "username": "Zoe", "message": text })).await;
        guest.socket().say_text("nonsense").await;
        guest.expect(json!({ "type": "chat_message", "username": "Zoe", "message": text })).await;
        guest.expect(json!({ "type": "error", "code": "malformed" })).await;
    }
}

/// Clients that write while their gateway stops.
const WRITERS: usize = 30;

/// Messages that each has on their way all the time.
const ON_THEIR_WAY: usize = 4;

/// Writes until it is sent away. Gives the chat and how many of its messages it was told to be stored.
async fn write(
    mut window: DialectSocket,
    to_whom: User,
    heard: Arc<AtomicUsize>,
) -> (ChatId, usize) {
    let mut chat = None;
    let (mut said, mut stored) = (0, 0);
    loop {
        while said < stored + ON_THEIR_WAY {
            window.say(to(&to_whom, &format!("message {said}"))).await;
            said += 1;
        }
        match window.next_or_close().await {
            Ok(status) => {
                assert_eq!(status["status"], "success", "{status}");
                chat = status["chat_id"].as_i64();
                stored += 1;
                heard.fetch_add(1, Ordering::Relaxed);
            }
            Err(end) => {
                assert_eq!(end, (Close::Restart.code(), Close::Restart.reason().to_owned()));
                return (ChatId(chat.expect("something was stored")), stored);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_stops_tells_first_what_became_of_the_messages() {
    let many = [("FRAMES_PER_SECOND", "10000"), ("REGISTRATIONS_PER_MINUTE", "6000")];
    let t = System::cluster_with(&many).await;
    let bob = t.user("bob").await;
    let heard = Arc::new(AtomicUsize::new(0));
    let mut writing = JoinSet::new();
    for _ in 0..WRITERS {
        let ann = t.user("ann").await;
        let dial = bearer_dial(&t, 0, "/ws/chat", &ann.token);
        let window = DialectSocket::open("a writer", &dial).await;
        let written = write(window, bob.clone(), Arc::clone(&heard));
        writing.spawn(async move { (ann, written.await) });
    }
    let enough = async || (heard.load(Ordering::Relaxed) > 10 * WRITERS).then_some(());
    until("all to write", enough).await;
    t.gateway(0).process().terminate();
    while let Some(writer) = writing.join_next().await {
        let (ann, (chat, told)) = writer.unwrap();
        let texts = ann.texts(chat).await;
        assert_eq!(texts.len(), told, "of {} messages stored the sender heard", ann.username);
        let expected: Vec<String> = (0..told).map(|number| format!("message {number}")).collect();
        assert_eq!(texts, expected);
    }
    let stopped = t.gateway(0).process().wait(Duration::from_secs(10));
    assert_eq!(within(Duration::from_secs(10), "the gateway to end", stopped).await.unwrap(), 0);
}
