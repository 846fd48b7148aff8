//! Chatting: what one device does, every other device of the chat sees at once, on every node.

use crate::harness::{Dial, System, until, until_eq, want::*};
use protocol::{
    chat::{ChatType, PresenceStatus},
    frames::{ChatEvent, ClientFrame, ServerFrame},
    id::{ChatId, Seq},
};
use serde_json::json;

in_both_modes!(
    a_message_reaches_every_device,
    numbers_have_no_holes,
    edits_and_deletes_reach_everyone,
    only_the_author_edits,
    a_reply_names_its_message,
    read_marks_reach_others_and_the_own_devices,
    unread_counts_follow_messages_and_marks,
    typing_is_seen_by_others_only,
    presence_is_one_across_devices_and_nodes,
    rooms_can_be_watched_without_joining,
    watching_can_end_while_it_catches_up,
    messages_posted_over_rest_are_live,
    lists_page_both_ways,
    ready_describes_the_chats,
);
behind_haproxy!(
    a_message_reaches_every_device,
    rooms_can_be_watched_without_joining,
    messages_posted_over_rest_are_live,
    lists_page_both_ways,
);

async fn a_message_reaches_every_device(t: System) {
    let (ann, bob) = (t.user("ann").await, t.user("bob").await);
    let chat = ann.group("team", &[&bob]).await;
    let mut phone = ann.connect_to(0).await;
    let mut desk = ann.connect_to(1).await;
    let mut near = bob.connect_to(0).await;
    let mut far = bob.connect_to(1).await;

    let ack = phone.send(chat, "hi, all").await;
    assert_eq!(ack.message_id, ack.seq);
    for device in [&mut phone, &mut desk, &mut near, &mut far] {
        let got = device.expect(message("hi, all")).await;
        assert_eq!(got.id, ack.message_id);
        assert_eq!((got.sender.id, &got.sender.username), (ann.id, &ann.username));
        assert!(got.client_message_id.is_some());
    }
    let answer = far.send(chat, "hi, Ann").await;
    assert_eq!(answer.seq, ack.seq.next());
    phone.expect(message("hi, Ann")).await;
    desk.expect(message("hi, Ann")).await;
    assert_eq!(ann.texts(chat).await, ["hi, all", "hi, Ann"]);
}

async fn numbers_have_no_holes(t: System) {
    let (ann, bob) = (t.user("ann").await, t.user("bob").await);
    let chat = ann.group("team", &[&bob]).await;
    let mut phone = ann.connect_to(0).await;
    let mut other = bob.connect_to(1).await;
    let start = other.track.cursors[&chat].0;

    for number in 0..20 {
        phone.submit(chat, &format!("ann {number}")).await;
        other.submit(chat, &format!("bob {number}")).await;
    }
    let last = Seq(start + 40);
    phone.reach(chat, last).await;
    other.reach(chat, last).await;
    let all: Vec<i64> = (start + 1..=start + 40).collect();
    assert_eq!(phone.track.seqs(chat), all);
    assert_eq!(other.track.seqs(chat), all);
    assert_eq!(phone.track.events, other.track.events);
    let texts = ann.texts(chat).await;
    let anns: Vec<_> = texts.iter().filter(|text| text.starts_with("ann")).collect();
    let sent: Vec<_> = (0..20).map(|number| format!("ann {number}")).collect();
    assert_eq!(anns, sent.iter().collect::<Vec<_>>(), "one sender's messages keep their order");
}

async fn edits_and_deletes_reach_everyone(t: System) {
    let (ann, bob) = (t.user("ann").await, t.user("bob").await);
    let chat = ann.private(&bob).await;
    let mut phone = ann.connect_to(0).await;
    let mut other = bob.connect_to(1).await;

    let first = phone.send(chat, "frist").await;
    let second = phone.send(chat, "second").await;
    let edit = phone.edit(chat, first.message_id, "first").await.unwrap();
    assert_eq!((edit.message_id, edit.seq), (first.message_id, second.seq.next()));
    let (seq, now) = other.expect(edited("first")).await;
    assert_eq!((seq, now.id), (edit.seq, first.message_id));
    assert!(now.edited_at.is_some());
    phone.expect(edited("first")).await;

    let same = phone.edit(chat, first.message_id, "first").await.unwrap();
    assert_eq!(same.message_id, first.message_id);
    let gone = phone.delete(chat, second.message_id).await.unwrap();
    assert_eq!(gone.seq, edit.seq.next(), "an edit to the same text makes no event");
    assert_eq!(other.expect(deleted(chat, second.message_id)).await, gone.seq);
    phone.expect(deleted(chat, second.message_id)).await;
    assert!(phone.delete(chat, second.message_id).await.is_ok(), "deleted already");
    assert_eq!(bob.texts(chat).await, ["first"]);
}

async fn only_the_author_edits(t: System) {
    let (ann, bob) = (t.user("ann").await, t.user("bob").await);
    let chat = ann.group("team", &[&bob]).await;
    let mut phone = ann.connect_to(0).await;
    let mut other = bob.connect_to(1).await;
    let anns = phone.send(chat, "Ann's").await.message_id;
    let bobs = other.send(chat, "Bob's").await.message_id;

    assert_eq!(other.edit(chat, anns, "changed").await.unwrap_err().code, "not_yours");
    assert_eq!(other.delete(chat, anns).await.unwrap_err().code, "not_yours");
    assert_eq!(phone.edit(chat, bobs, "changed").await.unwrap_err().code, "not_yours");
    let unknown = phone.edit(chat, Seq(bobs.0 + 1000), "changed").await.unwrap_err();
    assert_eq!(unknown.code, "message_not_found");
    assert!(phone.delete(chat, bobs).await.is_ok(), "the chat's owner may remove any");
    assert_eq!(ann.texts(chat).await, ["Ann's"]);
}

async fn a_reply_names_its_message(t: System) {
    let (ann, bob) = (t.user("ann").await, t.user("bob").await);
    let chat = ann.private(&bob).await;
    let mut phone = ann.connect_to(0).await;
    let mut other = bob.connect_to(1).await;

    let question = phone.send(chat, "lunch?").await.message_id;
    other.reply(chat, question, "yes").await.unwrap();
    assert_eq!(phone.expect(message("yes")).await.reply_to, Some(question));
    let refused = other.reply(chat, Seq(99_999), "what?").await.unwrap_err();
    assert_eq!(refused.code, "invalid_reply_to");
}

async fn read_marks_reach_others_and_the_own_devices(t: System) {
    let (ann, bob) = (t.user("ann").await, t.user("bob").await);
    let chat = ann.private(&bob).await;
    let mut phone = ann.connect_to(0).await;
    let mut here = bob.connect_to(1).await;
    let mut there = bob.connect_to(0).await;

    let sent = phone.send(chat, "read me").await.message_id;
    here.expect(message("read me")).await;
    here.type_until_seen_by(&mut phone, chat).await;
    here.read(chat, sent).await;
    phone.expect(read(chat, bob.id, sent)).await;
    there.expect(read(chat, bob.id, sent)).await;
    until_eq("the mark to be stored", json!([sent, 0]), async || {
        let chat = bob.chat(chat).await;
        json!([chat["last_read"], chat["unread"]])
    })
    .await;
}

async fn unread_counts_follow_messages_and_marks(t: System) {
    let (ann, bob) = (t.user("ann").await, t.user("bob").await);
    let chat = ann.private(&bob).await;
    let mut phone = ann.connect().await;
    let first = phone.send(chat, "one").await.message_id;
    for text in ["two", "three"] {
        phone.send(chat, text).await;
    }
    let unread = |device: &crate::harness::Device| {
        device.chats.iter().find(|view| view.id == chat).map(|view| view.unread)
    };
    let mut other = bob.connect().await;
    assert_eq!(unread(&other), Some(3));
    assert_eq!(unread(&ann.connect().await), Some(0), "own messages are not unread");

    other.read(chat, first).await;
    phone.expect(read(chat, bob.id, first)).await;
    assert_eq!(unread(&bob.connect().await), Some(2));
    let path = format!("/chats/{chat}/read");
    bob.rest.post(&path, json!({ "message_id": first.0 + 2 })).await.ok();
    other.expect(read(chat, bob.id, Seq(first.0 + 2))).await;
    assert_eq!(unread(&bob.connect().await), Some(0));
    bob.rest.post(&path, json!({ "message_id": first })).await.ok();
    assert_eq!(bob.chat(chat).await["last_read"], first.0 + 2, "a mark never moves back");
}

async fn typing_is_seen_by_others_only(t: System) {
    let (ann, bob) = (t.user("ann").await, t.user("bob").await);
    let chat = ann.private(&bob).await;
    let mut phone = ann.connect_to(0).await;
    let mut near = bob.connect_to(0).await;
    let mut far = bob.connect_to(1).await;

    for device in [&mut near, &mut far] {
        let who = phone.type_until_seen_by(device, chat).await;
        assert_eq!((who.id, &who.username), (ann.id, &ann.username));
    }
    far.send(chat, "I see").await;
    phone.expect(message("I see")).await;
    phone.expect_none(typing(chat)).await;
}

async fn presence_is_one_across_devices_and_nodes(t: System) {
    let (ann, bob, cat) = (t.user("ann").await, t.user("bob").await, t.user("cat").await);
    let chat = ann.group("team", &[&bob, &cat]).await;
    let mut phone = ann.connect_to(0).await;
    cat.connect_to(1).await.type_until_seen_by(&mut phone, chat).await;
    let here = bob.connect_to(1).await;
    phone.expect(presence(bob.id, PresenceStatus::Online)).await;
    let status = async || ann.rest.get(&format!("/users/{}", bob.id)).await.ok()["status"].clone();
    until_eq("Bob to be online", json!("online"), status).await;

    let mut there = bob.connect_to(0).await;
    drop(here);
    there.send(chat, "still here").await;
    phone.expect(message("still here")).await;
    phone.expect_none(presence(bob.id, PresenceStatus::Offline)).await;
    drop(there);
    phone.expect(presence(bob.id, PresenceStatus::Offline)).await;
    until_eq("Bob to be offline", json!("offline"), status).await;
}

async fn rooms_can_be_watched_without_joining(t: System) {
    let (ann, bob) = (t.user("ann").await, t.user("bob").await);
    let room = ann.room("square").await;
    let mut phone = ann.connect_to(0).await;
    let first = phone.send(room, "before").await;
    let mut other = bob.connect_to(1).await;
    assert!(other.chats.iter().all(|chat| chat.id != room), "Bob is no member");

    let view = other.subscribe(room, None).await.unwrap();
    assert_eq!((view.id, view.chat_type, view.seq), (room, ChatType::Room, first.seq));
    phone.send(room, "live").await;
    other.expect(message("live")).await;
    other.expect_none(message("before")).await;
    other.send(room, "anyone may write").await;
    phone.expect(message("anyone may write")).await;

    other.unsubscribe(room).await;
    let unseen = phone.send(room, "unseen").await;
    other.expect_none(message("unseen")).await;
    other.subscribe(room, Some(Seq(unseen.seq.0 - 1))).await.unwrap();
    other.expect(message("unseen")).await;
    other.expect(caught_up(room)).await;

    let group = ann.group("closed", &[]).await;
    assert_eq!(other.subscribe(group, None).await.unwrap_err().code, "not_a_member");
    let unknown = other.subscribe(ChatId(987_654_321), None).await.unwrap_err();
    assert_eq!(unknown.code, "chat_not_found");
}

async fn watching_can_end_while_it_catches_up(t: System) {
    let (ann, bob) = (t.user("ann").await, t.user("bob").await);
    let room = ann.room("square").await;
    let mut phone = ann.connect_to(0).await;
    // More than the gateway holds, so that catching up takes a question to the api. By REST: a socket
    // would be told to slow down.
    for number in 1..=300 {
        ann.post(room, &format!("message {number}")).await;
    }

    let mut socket = Dial::new(t.node(0)).open().await.unwrap();
    socket.hello(Some(&bob.token), None).await;
    let (id, chat_id) = (None, room);
    socket.say(&ClientFrame::Subscribe { id, chat_id, after: Some(Seq::ZERO) }).await;
    socket.say(&ClientFrame::Unsubscribe { id: None, chat_id }).await;
    until("Bob to watch no more", async || {
        // The ack comes after the gateway has handed the message to whoever watches there.
        let sent = phone.send(room, "more").await;
        let is_sent = |frame: &ServerFrame| {
            matches!(frame,
            ServerFrame::Event(ChatEvent { event, .. }) if event.seq == sent.seq)
        };
        (!socket.expect_alive().await.iter().any(is_sent)).then_some(())
    })
    .await;
}

async fn messages_posted_over_rest_are_live(t: System) {
    let (ann, bob) = (t.user("ann").await, t.user("bob").await);
    let chat = ann.private(&bob).await;
    let mut near = ann.connect_to(0).await;
    let mut far = bob.connect_to(1).await;

    let id = ann.post(chat, "by REST").await;
    for device in [&mut near, &mut far] {
        assert_eq!(device.expect(message("by REST")).await.id, id);
    }
    let path = format!("/chats/{chat}/messages/{id}");
    ann.rest.patch(&path, json!({ "text": "edited by REST" })).await.ok();
    far.expect(edited("edited by REST")).await;
    ann.rest.delete(&path).await.ok();
    far.expect(deleted(chat, id)).await;
    near.expect(deleted(chat, id)).await;
}

async fn lists_page_both_ways(t: System) {
    let ann = t.user("ann").await;
    let chat = ann.group("notes", &[]).await;
    let mut ids = Vec::new();
    for number in 0..5 {
        ids.push(ann.post(chat, &format!("note {number}")).await);
    }
    let page = async |query: &str| {
        let page = ann.rest.get(&format!("/chats/{chat}/messages?{query}")).await.ok();
        let all = page.as_array().expect("an array").clone();
        all.iter().map(|one| Seq(one["id"].as_i64().expect("an id"))).collect::<Vec<_>>()
    };
    assert_eq!(page(&format!("after={}&limit=2", ids[0])).await, ids[1..3]);
    assert_eq!(page(&format!("before={}&limit=2", ids[3])).await, ids[1..3], "oldest first");
    assert_eq!(page("limit=2").await, ids[3..], "the newest without a cursor");
    assert_eq!(page("after=0").await, ids);
    assert!(page(&format!("after={}", ids[4])).await.is_empty());

    let history = ann.rest.get(&format!("/history/{chat}?limit=2&offset=1")).await.ok();
    assert_eq!(history["items"].as_array().map(Vec::len), Some(2));
    assert_eq!((&history["total"], &history["limit"]), (&json!(5), &json!(2)));
}

async fn ready_describes_the_chats(t: System) {
    let (ann, bob) = (t.user("ann").await, t.user("bob").await);
    let group = ann.group("team", &[&bob]).await;
    let private = ann.private(&bob).await;
    let phone = ann.connect().await;

    let kind = |id| {
        let view = phone.chats.iter().find(|view| view.id == id).expect("the chat is listed");
        (view.chat_type, view.name.clone())
    };
    assert_eq!(kind(group), (ChatType::Group, "team".to_owned()));
    assert_eq!(kind(private), (ChatType::Private, bob.username.clone()));
    let listed = ann.rest.get("/chats").await.ok();
    let listed: Vec<_> = listed.as_array().expect("an array").iter().map(|c| &c["id"]).collect();
    assert!(listed.contains(&&json!(group)) && listed.contains(&&json!(private)), "{listed:?}");
}
