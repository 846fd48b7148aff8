//! The list of chats: what a client is told of each of them stays true by the frames it gets, whoever does what on which
//! node. Names, read marks of those who write, and what people set for themselves.

use crate::harness::{System, User, until, want::*};
use protocol::{
    chat::{Change, ChatSettings, ChatView, LastMessage, MemberChange, PresenceStatus},
    frames::ChatEvent,
    id::{ChatId, Seq},
};
use serde_json::{Value, json};

in_both_modes!(
    events_keep_the_list_true,
    a_dormant_chat_tells_of_itself_when_it_wakes,
    people_have_the_names_that_they_chose,
    who_writes_has_read_the_chat_on_every_device,
    what_one_sets_is_told_to_the_own_devices,
    every_chat_is_in_some_page,
);

/// What a client does with an event of a chat that it lists, as docs/protocol.md says.
fn keep(view: &mut ChatView, event: &ChatEvent) {
    let is_last = |id: Seq| view.last_message.as_ref().is_some_and(|last| last.id == id);
    match &event.event.change {
        Change::Message(message) => {
            view.last_message = Some(Box::new(LastMessage {
                id: message.id,
                sender: message.sender.clone(),
                text: message.text.clone(),
                timestamp: message.timestamp,
                deleted: false,
            }));
            view.settings.archived &= view.settings.muted;
        }
        Change::Edited(message) if is_last(message.id) => {
            view.last_message.as_mut().unwrap().text.clone_from(&message.text);
        }
        Change::Deleted { id, .. } if is_last(*id) => {
            let last = view.last_message.as_mut().unwrap();
            (last.text, last.deleted) = (String::new(), true);
        }
        Change::Member { change, .. } if event.event.seq > view.seq => {
            view.member_count += if *change == MemberChange::Joined { 1 } else { -1 };
        }
        _ => {}
    }
}

/// The chat as a new connection of the user is told of it.
async fn now(user: &User, chat: ChatId) -> ChatView {
    let device = user.connect().await;
    device.chats.into_iter().find(|view| view.id == chat).expect("the chat is listed")
}

async fn events_keep_the_list_true(t: System) {
    let (ann, bob, cid) = (t.user("ann").await, t.user("bob").await, t.user("cid").await);
    let chat = ann.group("team", &[&bob]).await;
    ann.post(chat, "before").await;
    let mut far = bob.connect_to(1).await;
    let mut phone = ann.connect_to(0).await;
    let mut listed = far.chats.iter().find(|view| view.id == chat).expect("listed").clone();
    let first = phone.send(chat, "first").await;
    phone.send(chat, "second").await;
    phone.edit(chat, first.message_id, "first, edited").await.unwrap();
    let third = phone.send(chat, "third").await;
    phone.edit(chat, third.message_id, "third, edited").await.unwrap();
    phone.delete(chat, third.message_id).await.unwrap();
    ann.add_member(chat, &cid).await;
    let fourth = phone.send(chat, "fourth").await;
    cid.leave(chat).await;
    let last = phone.edit(chat, fourth.message_id, "fourth, edited").await.unwrap();
    far.reach(chat, last.seq).await;
    let mut seen = 0;
    for event in far.track.events.iter().filter(|event| event.chat_id == chat) {
        keep(&mut listed, event);
        seen += 1;
    }
    assert_eq!(seen, 10);
    let fresh = now(&bob, chat).await;
    let kept = |view: &ChatView| (view.last_message.clone(), view.member_count, view.settings);
    assert_eq!(kept(&listed), kept(&fresh));
    assert_eq!(fresh.last_message.unwrap().text, "fourth, edited");
    // As REST says, too.
    let rest = bob.chat(chat).await;
    assert_eq!(
        (&rest["last_message"]["text"], &rest["member_count"]),
        (&json!("fourth, edited"), &json!(2))
    );
}

async fn a_dormant_chat_tells_of_itself_when_it_wakes(t: System) {
    let (ann, bob) = (t.user("ann").await, t.user("bob").await);
    let private = ann.private(&bob).await;
    let mut phone = ann.connect_to(0).await;
    // Made while the other one is connected: told as one that woke is.
    let mut far = bob.connect_to(1).await;
    let group = ann.group("team", &[&bob]).await;
    let view = far.expect(chat(group)).await;
    assert_eq!((view.member_count, view.last_message, view.peer), (2, None, None));
    phone.expect(chat(group)).await;
    phone.send(private, "hello").await;
    let view = now(&bob, private).await;
    let peer = view.peer.unwrap();
    assert_eq!((peer.id, peer.username.as_str()), (ann.id, ann.username.as_str()));
    until("Ann to be online", async || {
        let status = now(&bob, private).await.peer.unwrap().status;
        (status == Some(PresenceStatus::Online)).then_some(())
    })
    .await;
    assert_eq!(bob.chat(private).await["peer"]["status"], "online");
}

async fn call_oneself(user: &User, name: &str) {
    user.rest.patch("/me", json!({ "name": name })).await.ok();
}

async fn people_have_the_names_that_they_chose(t: System) {
    let (ann, bob) = (t.user("ann").await, t.user("bob").await);
    let chat = ann.group("team", &[&bob]).await;
    call_oneself(&ann, "Ann A.").await;
    let mut phone = ann.connect_to(0).await;
    let mut far = bob.connect_to(1).await;
    let typist = phone.type_until_seen_by(&mut far, chat).await;
    assert_eq!(typist.name.as_deref(), Some("Ann A."));
    phone.send(chat, "first").await;
    assert_eq!(far.expect(message("first")).await.sender.name.as_deref(), Some("Ann A."));
    far.send(chat, "hi").await;
    let reply = phone.expect(message("hi")).await;
    assert_eq!((reply.sender.username, reply.sender.name), (bob.username.clone(), None));
    // A live event has the name of its moment, what is read back the present one.
    call_oneself(&ann, "Anna").await;
    phone.send(chat, "second").await;
    assert_eq!(far.expect(message("second")).await.sender.name.as_deref(), Some("Anna"));
    let history = bob.rest.get(&format!("/chats/{chat}/messages")).await.ok();
    let names: Vec<&Value> = history.as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert_eq!(names, [&json!("Anna"), &json!(bob.username), &json!("Anna")]);
    let last = now(&bob, chat).await.last_message.unwrap();
    assert_eq!((last.text.as_str(), last.sender.name.as_deref()), ("second", Some("Anna")));
    // The older families know usernames only.
    let mut window = bob.window(1, &format!("/ws/{chat}")).await;
    phone.send(chat, "third").await;
    let said = window.expect_until(json!({"text": "third"})).await;
    assert_eq!((said["username"].as_str(), said.get("name")), (Some(ann.username.as_str()), None));
}

async fn who_writes_has_read_the_chat_on_every_device(t: System) {
    let (ann, bob) = (t.user("ann").await, t.user("bob").await);
    let chat = ann.private(&bob).await;
    ann.post(chat, "are you there?").await;
    ann.post(chat, "hello?").await;
    let mut desk = bob.connect_to(1).await;
    assert_eq!(desk.chats[0].unread, 2);
    // By REST, as families without read marks do.
    let answer = bob.post(chat, "yes").await;
    let told = desk.expect(message("yes")).await;
    assert_eq!((told.sender.id, told.id), (bob.id, answer), "which is the mark");
    let view = now(&bob, chat).await;
    assert_eq!((view.unread, view.last_read), (0, answer));
    let listed = bob.rest.get("/chats").await.ok();
    assert_eq!((&listed[0]["unread"], &listed[0]["last_read"]), (&json!(0), &json!(answer)));
    // The other one sees how far he has read.
    let members = ann.rest.get(&format!("/chats/{chat}/members")).await.ok();
    let member = members["items"].as_array().unwrap().iter().find(|one| one["id"] == json!(bob.id));
    assert_eq!(member.unwrap()["last_read"], json!(answer));
    assert_eq!(now(&ann, chat).await.unread, 1);
}

async fn what_one_sets_is_told_to_the_own_devices(t: System) {
    let (ann, bob) = (t.user("ann").await, t.user("bob").await);
    let chat = ann.group("team", &[&bob]).await;
    let (mut phone, mut desk) = (ann.connect_to(0).await, ann.connect_to(1).await);
    let mut other = bob.connect_to(1).await;
    let end = ann.post(chat, "hello").await;
    let path = format!("/chats/{chat}/me");
    let set = async |change: Value| ann.rest.patch(&path, change).await.ok();
    let muted = ChatSettings { muted: true, pinned: true, ..ChatSettings::default() };
    let told = set(json!({"muted": true, "pinned": true})).await;
    assert_eq!(told["settings"], json!({"muted": true, "pinned": true}));
    for device in [&mut phone, &mut desk] {
        device.expect(chat_settings(chat, muted)).await;
    }
    set(json!({"muted": false, "archived": true, "marked_unread": true})).await;
    let aside = ChatSettings { pinned: true, archived: true, marked_unread: true, muted: false };
    desk.expect(chat_settings(chat, aside)).await;
    assert_eq!(now(&ann, chat).await.settings, aside);
    assert_eq!(now(&bob, chat).await.settings, ChatSettings::default());
    // Reading ends one of them, wherever the mark is, and a message the other.
    phone.read(chat, end).await;
    desk.expect(read(chat, ann.id, end)).await;
    phone.expect(read(chat, ann.id, end)).await;
    other.send(chat, "come back").await;
    let pinned = ChatSettings { pinned: true, ..ChatSettings::default() };
    assert_eq!(now(&ann, chat).await.settings, pinned);
    other.expect_none(chat_settings(chat, aside)).await;
    let stranger = t.user("eve").await;
    stranger.rest.patch(&path, json!({"muted": true})).await.refused(403, "not_a_member");
    ann.rest.patch(&path, json!({"muted": "yes"})).await.refused(422, "validation_failed");
}

async fn every_chat_is_in_some_page(t: System) {
    let ann = t.user("ann").await;
    let mut chats = Vec::new();
    for number in 0..7 {
        chats.push(ann.group(&format!("team {number}"), &[]).await);
    }
    ann.post(chats[2], "hello").await;
    let mut found: Vec<Value> = Vec::new();
    loop {
        let before = found.last().map(|chat| format!("&before={}", chat["id"])).unwrap_or_default();
        let page = ann.rest.get(&format!("/chats?limit=3{before}")).await.ok();
        let page = page.as_array().expect("an array");
        if page.is_empty() {
            break;
        }
        found.extend(page.iter().cloned());
    }
    let ids: Vec<ChatId> = found.iter().map(|chat| ChatId(chat["id"].as_i64().unwrap())).collect();
    let expected = [2, 6, 5, 4, 3, 1, 0].map(|number| chats[number]);
    assert_eq!(ids, expected);
    ann.rest.get("/chats?before=987654321").await.refused(404, "chat_not_found");
}
