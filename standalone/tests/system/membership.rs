//! Who is in a chat: making chats, joining, leaving, being added and removed, and that everybody
//! concerned is told at once, wherever they are connected.

use crate::harness::{System, until, want::*, within};
use protocol::{
    chat::{ChatType, MemberChange},
    id::ChatId,
};
use serde_json::json;
use std::time::Duration;

in_both_modes!(
    a_new_chat_appears_at_its_members,
    a_pair_has_one_private_chat,
    an_added_member_is_in_within_a_second,
    a_removed_member_is_out_within_a_second,
    members_may_leave,
    only_owners_manage_members,
    rooms_are_joined_and_left,
    a_rename_is_seen_by_all,
    a_deleted_chat_is_gone_for_all,
    strangers_get_nothing,
);

/// What the design promises for a member who comes or goes.
const SECOND: Duration = Duration::from_secs(1);

async fn a_new_chat_appears_at_its_members(t: System) {
    let (ann, bob) = (t.user("ann").await, t.user("bob").await);
    let mut phone = ann.connect_to(0).await;
    let mut other = bob.connect_to(1).await;

    let group = ann.group("team", &[&bob]).await;
    for device in [&mut phone, &mut other] {
        let view = device.expect(chat(group)).await;
        assert_eq!((view.chat_type, view.name.as_str()), (ChatType::Group, "team"));
    }
    other.send(group, "hello").await;
    phone.expect(message("hello")).await;
}

async fn a_pair_has_one_private_chat(t: System) {
    let (ann, bob) = (t.user("ann").await, t.user("bob").await);
    let private = ann.private(&bob).await;
    let body = json!({ "chat_type": "private", "member_ids": [ann.id] });
    let again = bob.rest.post("/chats", body).await;
    assert_eq!(again.status, 400);
    assert!(again.body.to_string().contains(&private.to_string()), "names it: {again:?}");

    let nobody = json!({ "chat_type": "private", "member_ids": [] });
    assert_eq!(ann.rest.post("/chats", nobody).await.status, 422);
    let unknown = json!({ "name": "x", "chat_type": "group", "member_ids": [987_654_321] });
    assert_eq!(ann.rest.post("/chats", unknown).await.status, 422);
}

async fn an_added_member_is_in_within_a_second(t: System) {
    let (ann, bob) = (t.user("ann").await, t.user("bob").await);
    let group = ann.group("team", &[]).await;
    let mut phone = ann.connect_to(0).await;
    let mut other = bob.connect_to(1).await;
    phone.send(group, "before").await;

    ann.add_member(group, &bob).await;
    within(SECOND, "the new chat", other.expect(chat(group))).await;
    assert_eq!(phone.expect(member(bob.id, MemberChange::Joined)).await, ann.id);
    phone.send(group, "welcome").await;
    other.expect(message("welcome")).await;
    other.expect_none(message("before")).await;
}

async fn a_removed_member_is_out_within_a_second(t: System) {
    let (ann, bob) = (t.user("ann").await, t.user("bob").await);
    let group = ann.group("team", &[&bob]).await;
    let mut phone = ann.connect_to(0).await;
    let mut near = bob.connect_to(0).await;
    let mut far = bob.connect_to(1).await;

    ann.remove_member(group, &bob).await;
    for device in [&mut near, &mut far] {
        within(SECOND, "the end of the chat", device.expect(chat_removed(group))).await;
    }
    assert_eq!(phone.expect(member(bob.id, MemberChange::Removed)).await, ann.id);
    phone.send(group, "now we can talk").await;
    for device in [&mut near, &mut far] {
        device.expect_none(message("now we can talk")).await;
        let refused = device.try_send(group, "me too").await.unwrap_err();
        assert_eq!(refused.code, "not_a_member");
    }
    bob.rest.get(&format!("/chats/{group}/messages")).await.refused(403, "not_a_member");
}

async fn members_may_leave(t: System) {
    let (ann, bob) = (t.user("ann").await, t.user("bob").await);
    let group = ann.group("team", &[&bob]).await;
    let mut phone = ann.connect_to(0).await;
    let mut other = bob.connect_to(1).await;

    bob.leave(group).await;
    other.expect(chat_removed(group)).await;
    assert_eq!(phone.expect(member(bob.id, MemberChange::Left)).await, bob.id);
    let listed = bob.rest.get("/chats").await.ok();
    assert!(listed.as_array().unwrap().iter().all(|chat| chat["id"] != group.0));
}

async fn only_owners_manage_members(t: System) {
    let (ann, bob, eve) = (t.user("ann").await, t.user("bob").await, t.user("eve").await);
    let group = ann.group("team", &[&bob]).await;
    assert_eq!(bob.try_add_member(group, &eve).await.status, 403);
    let path = format!("/chats/{group}/members/{}", ann.id);
    assert_eq!(bob.rest.delete(&path).await.status, 403);
    let rename = bob.rest.patch(&format!("/chats/{group}"), json!({ "name": "mine" })).await;
    assert_eq!(rename.status, 403);
    assert_eq!(bob.rest.delete(&format!("/chats/{group}")).await.status, 403);

    let members = bob.rest.get(&format!("/chats/{group}/members")).await.ok();
    let text = members.to_string();
    assert!(text.contains(&ann.username) && text.contains("owner"), "{text}");
    assert!(!text.contains(&eve.username));
}

async fn rooms_are_joined_and_left(t: System) {
    let (ann, bob) = (t.user("ann").await, t.user("bob").await);
    let name = format!("square of {}", ann.username);
    let room = ann.room(&name).await;
    let mut other = bob.connect_to(1).await;
    until("the room in the public list", async || {
        let rooms = bob.rest.get("/rooms?limit=100").await.ok().to_string();
        rooms.contains(&name).then_some(())
    })
    .await;

    bob.join(room).await;
    other.expect(chat(room)).await;
    let mut phone = ann.connect_to(0).await;
    phone.send(room, "welcome").await;
    other.expect(message("welcome")).await;
    bob.leave(room).await;
    other.expect(chat_removed(room)).await;
}

async fn a_rename_is_seen_by_all(t: System) {
    let (ann, bob) = (t.user("ann").await, t.user("bob").await);
    let group = ann.group("old name", &[&bob]).await;
    let mut phone = ann.connect_to(0).await;
    let mut other = bob.connect_to(1).await;

    ann.rename(group, "new name").await;
    phone.expect(renamed(group, "new name")).await;
    other.expect(renamed(group, "new name")).await;
    assert_eq!(bob.chat(group).await["name"], "new name");
}

async fn a_deleted_chat_is_gone_for_all(t: System) {
    let (ann, bob) = (t.user("ann").await, t.user("bob").await);
    let group = ann.group("doomed", &[&bob]).await;
    let mut phone = ann.connect_to(0).await;
    let mut other = bob.connect_to(1).await;

    ann.delete_chat(group).await;
    phone.expect(chat_removed(group)).await;
    other.expect(chat_removed(group)).await;
    let refused = other.try_send(group, "anyone here?").await.unwrap_err();
    assert_eq!(refused.code, "chat_not_found");
    bob.rest.get(&format!("/chats/{group}")).await.refused(404, "chat_not_found");
}

async fn strangers_get_nothing(t: System) {
    let (ann, eve) = (t.user("ann").await, t.user("eve").await);
    let group = ann.group("secrets", &[]).await;
    let mut phone = ann.connect_to(0).await;
    let mut spy = eve.connect_to(1).await;
    let sent = phone.send(group, "a secret").await.message_id;

    let refused = spy.try_send(group, "let me in").await.unwrap_err();
    assert_eq!(refused.code, "not_a_member");
    assert_eq!(spy.edit(group, sent, "x").await.unwrap_err().code, "not_a_member");
    assert_eq!(spy.delete(group, sent).await.unwrap_err().code, "not_a_member");
    spy.typing(group).await;
    spy.read(group, sent).await;
    spy.expect_none(message("a secret")).await;
    phone.expect_none(typing(group)).await;
    phone.expect_none(read(group, eve.id, sent)).await;
    let paths = ["", "/messages", "/members"];
    for path in paths {
        eve.rest.get(&format!("/chats/{group}{path}")).await.refused(403, "not_a_member");
    }
    let unknown = ChatId(987_654_321);
    eve.rest.get(&format!("/chats/{unknown}")).await.refused(404, "chat_not_found");
    assert_eq!(ann.texts(group).await, ["a secret"]);
}
