//! Sending again: the same id never makes a second message, whoever lost the answer.

use crate::harness::{Dial, Socket, System, User, want::*};
use protocol::{
    frames::{ClientFrame, ServerFrame},
    id::{ChatId, Seq},
};
use serde_json::json;

in_both_modes!(
    the_same_id_twice_is_one_message,
    the_same_id_on_two_gateways_is_one_message,
    another_text_under_the_same_id_is_refused,
    ids_are_apart_for_senders_and_chats,
    rest_and_socket_share_the_ids,
    an_unacknowledged_send_is_repeated_safely,
);

/// Sends with this id and gives the answer to it.
async fn send(socket: &mut Socket, chat: ChatId, id: &str, text: &str) -> ServerFrame {
    let (id, text) = (Some(id.to_owned()), text.to_owned());
    let frame = ClientFrame::Send { id: id.clone(), chat_id: chat, text, reply_to: None };
    socket.say(&frame).await;
    let want = answer(&id.unwrap_or_default());
    loop {
        if let Some(answer) = want.of(&socket.frame().await) {
            return answer;
        }
    }
}

fn message_id(answer: &ServerFrame) -> Seq {
    match answer {
        ServerFrame::Ack { message_id, .. } => *message_id,
        other => panic!("no ack: {other:?}"),
    }
}

fn code(answer: &ServerFrame) -> &str {
    match answer {
        ServerFrame::Error { code, .. } => code,
        other => panic!("no error: {other:?}"),
    }
}

async fn socket_at(user: &User, t: &System, node: usize) -> Socket {
    let mut socket = Dial::new(t.node(node)).open().await.unwrap();
    socket.hello(Some(&user.token), None).await;
    socket
}

async fn the_same_id_twice_is_one_message(t: System) {
    let ann = t.user("ann").await;
    let chat = ann.group("notes", &[]).await;
    let mut socket = ann.socket().await;
    let first = send(&mut socket, chat, "one", "hello").await;
    let second = send(&mut socket, chat, "one", "hello").await;
    assert_eq!(first, second, "the same ack");
    assert_eq!(ann.texts(chat).await, ["hello"]);
}

async fn the_same_id_on_two_gateways_is_one_message(t: System) {
    let (ann, bob) = (t.user("ann").await, t.user("bob").await);
    let chat = ann.group("team", &[&bob]).await;
    let mut other = bob.connect_to(1).await;
    let mut here = socket_at(&ann, &t, 0).await;
    let mut there = socket_at(&ann, &t, 1).await;
    for round in 0..10 {
        let (id, text) = (format!("round {round}"), format!("text {round}"));
        let (one, two) =
            tokio::join!(send(&mut here, chat, &id, &text), send(&mut there, chat, &id, &text));
        assert_eq!(one, two, "the same ack at once on both");
    }
    let texts: Vec<_> = (0..10).map(|round| format!("text {round}")).collect();
    assert_eq!(ann.texts(chat).await, texts);
    other.expect(message("text 9")).await;
    let heard = other.track.messages();
    assert_eq!(heard.into_iter().map(|said| said.text).collect::<Vec<_>>(), texts);
}

async fn another_text_under_the_same_id_is_refused(t: System) {
    let ann = t.user("ann").await;
    let chat = ann.group("notes", &[]).await;
    let mut socket = ann.socket().await;
    message_id(&send(&mut socket, chat, "one", "hello").await);
    let refused = send(&mut socket, chat, "one", "good bye").await;
    assert_eq!(code(&refused), "client_message_id_reused");
    assert_eq!(ann.texts(chat).await, ["hello"]);
}

async fn ids_are_apart_for_senders_and_chats(t: System) {
    let (ann, bob) = (t.user("ann").await, t.user("bob").await);
    let (one, two) = (ann.group("one", &[&bob]).await, ann.group("two", &[&bob]).await);
    let mut anns = ann.socket().await;
    let mut bobs = bob.socket().await;
    message_id(&send(&mut anns, one, "id", "Ann's in one").await);
    message_id(&send(&mut anns, two, "id", "Ann's in two").await);
    message_id(&send(&mut bobs, one, "id", "Bob's in one").await);
    assert_eq!(ann.texts(one).await, ["Ann's in one", "Bob's in one"]);
    assert_eq!(ann.texts(two).await, ["Ann's in two"]);
}

async fn rest_and_socket_share_the_ids(t: System) {
    let ann = t.user("ann").await;
    let chat = ann.group("notes", &[]).await;
    let mut socket = ann.socket().await;
    let id = message_id(&send(&mut socket, chat, "shared", "hello").await);
    let path = format!("/chats/{chat}/messages");
    let again = json!({ "text": "hello", "client_message_id": "shared" });
    assert_eq!(ann.rest.post(&path, again).await.ok()["id"], id.0);
    let other = json!({ "text": "other", "client_message_id": "shared" });
    let refused = ann.rest.post(&path, other).await;
    assert_eq!(refused.body["code"], "client_message_id_reused", "{refused:?}");
    assert_eq!(ann.texts(chat).await, ["hello"]);
}

async fn an_unacknowledged_send_is_repeated_safely(t: System) {
    let (ann, bob) = (t.user("ann").await, t.user("bob").await);
    let chat = ann.group("team", &[&bob]).await;
    let mut other = bob.connect_to(1).await;
    let mut phone = ann.connect_to(0).await;
    for round in 0..10 {
        phone.submit(chat, &format!("text {round}")).await;
        phone.go_offline();
        phone.come_back_at(round).await;
        while phone.track.in_flight() > 0 {
            phone.pump().await;
        }
    }
    let texts: Vec<_> = (0..10).map(|round| format!("text {round}")).collect();
    assert_eq!(ann.texts(chat).await, texts);
    other.expect(message("text 9")).await;
    let heard = other.track.messages();
    assert_eq!(heard.into_iter().map(|said| said.text).collect::<Vec<_>>(), texts);
}
