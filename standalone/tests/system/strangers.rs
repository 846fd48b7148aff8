//! What strangers cannot do to a person, seen by the person: invitations push nothing out, a blocked person is
//! not heard, and whoever is removed from a room is out, by whichever window.

use crate::harness::{
    Answer, Dial, DialectSocket, System, User, until,
    want::{chat, chat_removed, member, message},
};
use protocol::{
    chat::MemberChange,
    close::Close,
    id::{ChatId, UserId},
};
use serde_json::{Value, json};

in_both_modes!(
    invitations_push_nothing_out,
    an_invitation_is_accepted_or_declined,
    a_blocked_person_is_not_heard,
    who_is_removed_from_a_room_is_out,
);

/// Accounts that were made a minute ago.
const STRANGERS: usize = 3;

async fn invitations_push_nothing_out(t: System) {
    let (ann, bob) = (t.user("ann").await, t.user("bob").await);
    let own = [ann.group("team", &[&bob]).await, ann.private(&bob).await];
    let mut phone = ann.connect_to(1).await;
    let mut invitations = Vec::new();
    for number in 0..STRANGERS {
        let eve = t.user(&format!("eve{number}")).await;
        for _ in 0..20 {
            invitations.push((eve.group("WIN A PRIZE", &[&ann]).await, eve.clone()));
        }
        let body = json!({ "name": "x", "chat_type": "group", "member_ids": [ann.id] });
        eve.rest.post("/chats", body).await.refused(400, "too_many_invitations");
    }
    for (spam, eve) in &invitations {
        eve.post(*spam, "come in").await;
    }
    // Whoever is there stays, and whoever comes finds the own chats before all others.
    bob.post(own[0], "what is that?").await;
    phone.expect(message("what is that?")).await;
    let chats = ann.connect_to(0).await.chats;
    let first: Vec<ChatId> = chats.iter().take(2).map(|chat| chat.id).collect();
    assert_eq!(first, own);
    assert!(chats[2..].iter().all(|chat| chat.invited_by.is_some()));
    let listed = ann.rest.get("/chats").await.ok();
    let ids: Vec<i64> =
        listed.as_array().unwrap().iter().filter_map(|c| c["id"].as_i64()).collect();
    assert_eq!(ids[..2], [own[0].0, own[1].0], "by last activity");
    assert_eq!(ids.len(), 2 + invitations.len());
}

async fn an_invitation_is_accepted_or_declined(t: System) {
    let (ann, eve) = (t.user("ann").await, t.user("eve").await);
    let mut phone = ann.connect_to(1).await;
    let (good, bad) = (eve.group("chess", &[&ann]).await, eve.group("spam", &[&ann]).await);
    let invited = phone.expect(chat(good)).await.invited_by.unwrap();
    assert_eq!((invited.id, invited.username), (eve.id, eve.username.clone()));
    phone.expect(chat(bad)).await;
    ann.join(good).await;
    assert_eq!(ann.chat(good).await.get("invited_by"), None);
    let mut other = eve.connect_to(0).await;
    ann.leave(bad).await;
    phone.expect(chat_removed(bad)).await;
    other.expect(member(ann.id, MemberChange::Left)).await;
    let listed = ann.rest.get("/chats").await.ok();
    let listed: Vec<&Value> = listed.as_array().unwrap().iter().map(|chat| &chat["id"]).collect();
    assert_eq!(listed, [good.0]);
}

async fn a_blocked_person_is_not_heard(t: System) {
    let (ann, eve) = (t.user("ann").await, t.user("eve").await);
    let private = eve.private(&ann).await;
    let (mut phone, mut spammer) = (ann.connect_to(0).await, eve.connect_to(1).await);
    spammer.send(private, "hello").await;
    phone.expect(message("hello")).await;
    let path = format!("/me/blocklist/{}", eve.id);
    assert_eq!(ann.rest.put(&path, json!({})).await.status, 204);
    let refused = spammer.try_send(private, "are you there?").await.unwrap_err();
    assert_eq!(refused.code, "blocked_by_recipient");
    let posted = eve.rest.post(&format!("/chats/{private}/messages"), json!({ "text": "x" })).await;
    posted.refused(403, "blocked_by_recipient");
    // The dialects that name people.
    let names = format!("/ws/chat?token={}", eve.token);
    let mut window = DialectSocket::open(&eve.username, &Dial::new(t.node(1)).at(&names)).await;
    let frame = json!({ "username_to": ann.username, "message": "x" });
    window.ask(frame, json!({ "status": "error", "code": "blocked_by_recipient" })).await;

    let list = ann.rest.get("/me/blocklist").await.ok();
    assert_eq!(list["items"][0]["user"]["id"], json!(eve.id));
    ann.rest.delete(&path).await.ok();
    spammer.send(private, "thank you").await;
    phone.expect(message("thank you")).await;
}

async fn who_is_removed_from_a_room_is_out(t: System) {
    let (ann, eve, bob) = (t.user("ann").await, t.user("eve").await, t.user("bob").await);
    let room = ann.room("the square").await;
    eve.join(room).await;
    let (mut phone, mut page) = (eve.connect_to(0).await, room_window(&t, &eve, room).await);
    // Bob is no member: he watches.
    let (mut watcher, mut other) = (room_window(&t, &bob, room).await, bob.connect_to(1).await);
    other.subscribe(room, None).await.unwrap();
    ann.remove_member(room, &eve).await;
    ban(&ann, room, bob.id, json!({ "seconds": 3_600, "reason": "spam" })).await.ok();
    for device in [&mut phone, &mut other] {
        device.expect(chat_removed(room)).await;
        assert_eq!(device.try_send(room, "let me in").await.unwrap_err().code, "banned");
        assert_eq!(device.subscribe(room, None).await.unwrap_err().code, "banned");
    }
    for window in [&mut page, &mut watcher] {
        window.expect_close(Close::NotAMember).await;
    }
    for user in [&eve, &bob] {
        let path = format!("/chats/{room}");
        user.rest
            .post(&format!("{path}/messages"), json!({ "text": "x" }))
            .await
            .refused(403, "banned");
        user.rest.post(&format!("{path}/join"), json!({})).await.refused(403, "banned");
        for path in [path.clone(), format!("{path}/messages"), format!("{path}/members")] {
            user.rest.get(&path).await.refused(403, "banned");
        }
        let mut window = room_window(&t, user, room).await;
        window.expect_close(Close::NotAMember).await;
    }
    let bans = ann.rest.get(&format!("/chats/{room}/bans")).await.ok();
    assert_eq!(bans["items"].as_array().unwrap().len(), 2);

    ann.rest.delete(&format!("/chats/{room}/bans/{}", eve.id)).await.ok();
    eve.join(room).await;
    phone.expect(chat(room)).await;
    ban(&ann, room, bob.id, json!({ "seconds": 1 })).await.ok();
    until("the ban's end", async || {
        let joined = bob.rest.post(&format!("/chats/{room}/join"), json!({})).await;
        (joined.status == 200).then_some(())
    })
    .await;
}

async fn ban(by: &User, room: ChatId, user: UserId, body: Value) -> Answer {
    by.rest.put(&format!("/chats/{room}/bans/{user}"), body).await
}

/// A window on one room, as two kinds of clients have it.
async fn room_window(t: &System, user: &User, room: ChatId) -> DialectSocket {
    let path = format!("/ws/{room}?token={}", user.token);
    DialectSocket::open(&user.username, &Dial::new(t.node(1)).at(&path)).await
}
