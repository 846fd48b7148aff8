//! Who may be where, and who hears of it.

use crate::harness::{T, actor, admin, both, refused};
use api::{
    chats::membership::{add, join, leave, remove},
    db::Db,
};
use protocol::{
    chat::{Change, ChatType, Event, MemberChange},
    id::{ChatId, Seq, UserId},
    relay::Channel,
};
use serde_json::json;

both!(
    groups_number_their_members,
    rooms_number_only_removals,
    private_chats_keep_their_members,
    an_owner_hands_over,
    who_cannot_sign_in_is_the_last_to_be_handed_a_chat,
    a_room_changes_hands_by_an_event,
    who_may_add_and_remove,
    bounds,
);

async fn members(t: &T, chat: ChatId) -> i64 {
    let rows = t.number(format!("SELECT count(*) FROM members WHERE chat_id = {chat}")).await;
    let counted = t.number(format!("SELECT member_count FROM chats WHERE id = {chat}")).await;
    assert_eq!(rows, counted);
    counted
}

async fn role(t: &T, chat: ChatId, user: UserId) -> i64 {
    t.number(format!(
        "SELECT count(*) FROM members WHERE chat_id = {chat} AND user_id = {user} AND role = 'owner'"
    ))
    .await
}

async fn groups_number_their_members(t: T) {
    let [ann, bob, cid, dan] = t.users(["ann", "bob", "cid", "dan"]).await;
    let chat = t.group(ann, &[bob]).await;
    let mut heard = t.listen(&[Channel::Chat(chat), Channel::User(cid), Channel::User(bob)]).await;
    let new = add(&t.api, actor(ann), chat, &[dan, cid, bob, cid]).await.unwrap();
    assert_eq!(new, [cid, dan], "those who were not in it");
    let (channel, payload) = heard.next().await;
    assert_eq!((channel, &payload["events"][1]["seq"]), (Channel::Chat(chat), &json!(2)));
    heard.expect(Channel::User(cid), json!({"kind": "added", "chat_id": chat})).await;
    remove(&t.api, actor(ann), chat, cid).await.unwrap();
    leave(&t.api, actor(bob), chat).await.unwrap();
    for user in [cid, bob] {
        assert_eq!(heard.next().await.0, Channel::Chat(chat));
        heard.expect(Channel::User(user), json!({"kind": "removed", "chat_id": chat})).await;
    }
    let events = t.events_after(chat, Seq(0), 200).await;
    let changes: Vec<_> = events
        .iter()
        .map(|event| match &event.change {
            Change::Member { user, change, by, .. } => (event.seq.0, user.id, *change, *by),
            other => panic!("{other:?}"),
        })
        .collect();
    use MemberChange::{Joined, Left, Removed};
    assert_eq!(
        changes,
        [(1, cid, Joined, ann), (2, dan, Joined, ann), (3, cid, Removed, ann), (4, bob, Left, bob)]
    );
    assert_eq!(members(&t, chat).await, 2);
}

async fn rooms_number_only_removals(t: T) {
    let [ann, bob] = t.users(["ann", "bob"]).await;
    let room = t.room(ann).await;
    join(&t.api, actor(bob), room).await.unwrap();
    join(&t.api, actor(bob), room).await.unwrap();
    assert_eq!((members(&t, room).await, t.head(room).await), (2, Seq(0)));
    leave(&t.api, actor(bob), room).await.unwrap();
    leave(&t.api, actor(bob), room).await.unwrap();
    assert_eq!((members(&t, room).await, t.head(room).await), (1, Seq(0)));
    add(&t.api, actor(ann), room, &[bob]).await.unwrap();
    remove(&t.api, actor(ann), room, bob).await.unwrap();
    assert_eq!((members(&t, room).await, t.head(room).await), (1, Seq(1)));
    leave(&t.api, actor(ann), room).await.unwrap();
    assert_eq!(members(&t, room).await, 0);
    assert_eq!(refused(join(&t.api, actor(bob), room).await), (403, "banned"));
    assert_eq!(refused(join(&t.api, actor(bob), ChatId(999)).await), (404, "chat_not_found"));
}

async fn private_chats_keep_their_members(t: T) {
    let [ann, bob, cid] = t.users(["ann", "bob", "cid"]).await;
    let chat = t.try_create(ann, ChatType::Private, &[bob]).await.unwrap();
    let private = (400, "private_chat");
    assert_eq!(refused(leave(&t.api, actor(bob), chat).await), private);
    assert_eq!(refused(add(&t.api, admin(cid), chat, &[cid]).await), private);
    assert_eq!(refused(remove(&t.api, admin(cid), chat, ann).await), private);
    assert_eq!(refused(join(&t.api, actor(cid), chat).await), (403, "not_a_member"));
    assert_eq!(members(&t, chat).await, 2);
}

async fn an_owner_hands_over(t: T) {
    let [ann, bob, cid] = t.users(["ann", "bob", "cid"]).await;
    let chat = t.group(ann, &[]).await;
    add(&t.api, actor(ann), chat, &[cid]).await.unwrap();
    add(&t.api, actor(ann), chat, &[bob]).await.unwrap();
    t.sql(format!("UPDATE members SET joined_at = joined_at + 5 WHERE user_id = {bob}")).await;
    leave(&t.api, actor(ann), chat).await.unwrap();
    assert_eq!([role(&t, chat, cid).await, role(&t, chat, bob).await], [1, 0], "the oldest");
    remove(&t.api, admin(ann), chat, cid).await.unwrap();
    assert_eq!(role(&t, chat, bob).await, 1);
    let owner = |event: &Event| match &event.change {
        Change::Owner { user, by, .. } => Some((event.seq, user.username.clone(), *by)),
        _ => None,
    };
    let events = t.events_after(chat, Seq(0), 200).await;
    let owners: Vec<_> = events.iter().filter_map(owner).collect();
    assert_eq!(owners, [(Seq(4), "cid".to_owned(), ann), (Seq(6), "bob".to_owned(), ann)]);
    let mut heard = t.listen(&[Channel::Chat(chat)]).await;
    leave(&t.api, actor(bob), chat).await.unwrap();
    assert_eq!(heard.next().await.1["kind"], "events");
    heard.expect(Channel::Chat(chat), json!({"kind": "chat_deleted"})).await;
    assert_eq!(refused(leave(&t.api, actor(bob), chat).await), (404, "chat_not_found"));
}

async fn who_cannot_sign_in_is_the_last_to_be_handed_a_chat(t: T) {
    let [ann, bob, cid, dan] = t.users(["ann", "bob", "cid", "dan"]).await;
    let chat = t.group(ann, &[bob, cid, dan]).await;
    t.sql(format!("UPDATE users SET blocked_at = 1 WHERE id = {bob}")).await;
    t.sql(format!("UPDATE users SET deactivated_at = 1 WHERE id = {cid}")).await;
    leave(&t.api, actor(ann), chat).await.unwrap();
    assert_eq!(role(&t, chat, dan).await, 1);
    leave(&t.api, actor(dan), chat).await.unwrap();
    assert_eq!(role(&t, chat, bob).await, 1, "nobody else is left");
}

async fn a_room_changes_hands_by_an_event(t: T) {
    let [ann, bob] = t.users(["ann", "bob"]).await;
    let room = t.room(ann).await;
    join(&t.api, actor(bob), room).await.unwrap();
    leave(&t.api, actor(ann), room).await.unwrap();
    let events = t.events_after(room, Seq(0), 200).await;
    let [Event { change: Change::Owner { user, .. }, .. }] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!((user.id, role(&t, room, bob).await), (bob, 1));
}

/// Read marks lock members in the order of their ids; so does an owner who goes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handing_over_waits_in_no_circle() {
    let t = T::postgres().await;
    let [heir, owner] = t.users(["ann", "bob"]).await;
    let chat = t.group(owner, &[heir]).await;
    let Db::Postgres(pool, ..) = t.api.db.home() else { panic!("not PostgreSQL") };
    let mark = |user: UserId| {
        sqlx::query("UPDATE members SET last_read = 0 WHERE chat_id = $1 AND user_id = $2")
            .bind(chat.0)
            .bind(user.0)
    };
    let mut marks = pool.begin().await.unwrap();
    mark(heir).execute(&mut *marks).await.unwrap();
    let marking = async {
        let waits = "SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock'";
        while t.number(waits.to_owned()).await == 0 {
            tokio::task::yield_now().await;
        }
        mark(owner).execute(&mut *marks).await.unwrap();
        marks.commit().await.unwrap();
    };
    let (left, ()) = tokio::join!(leave(&t.api, actor(owner), chat), marking);
    left.unwrap();
    assert_eq!(role(&t, chat, heir).await, 1);
}

async fn who_may_add_and_remove(t: T) {
    let [ann, bob, cid, eve] = t.users(["ann", "bob", "cid", "eve"]).await;
    let chat = t.group(ann, &[bob]).await;
    assert_eq!(refused(add(&t.api, actor(bob), chat, &[cid]).await), (403, "not_the_owner"));
    assert_eq!(refused(add(&t.api, actor(eve), chat, &[cid]).await), (403, "not_a_member"));
    assert_eq!(refused(remove(&t.api, actor(bob), chat, ann).await), (403, "not_the_owner"));
    assert_eq!(refused(remove(&t.api, actor(ann), chat, cid).await), (404, "member_not_found"));
    assert_eq!(refused(leave(&t.api, actor(eve), chat).await), (403, "not_a_member"));
    assert_eq!(add(&t.api, admin(eve), chat, &[cid]).await.unwrap(), [cid]);
    assert_eq!(add(&t.api, admin(eve), chat, &[cid]).await.unwrap(), []);
    // Naming oneself is leaving.
    remove(&t.api, actor(cid), chat, cid).await.unwrap();
    assert_eq!(members(&t, chat).await, 2);
}

async fn bounds(t: T) {
    let [ann, bob, cid] = t.users(["ann", "bob", "cid"]).await;
    let chat = t.group(ann, &[]).await;
    let mut others = Vec::new();
    for n in 0..5 {
        others.push(t.user(&format!("u{n}")).await);
    }
    assert_eq!(refused(add(&t.api, actor(ann), chat, &others).await), (400, "group_full"));
    add(&t.api, actor(ann), chat, &others[..4]).await.unwrap();
    assert_eq!(refused(add(&t.api, actor(ann), chat, &[]).await).0, 422);
    assert_eq!(refused(add(&t.api, actor(ann), chat, &vec![bob; 201]).await).0, 422);
    assert_eq!(refused(add(&t.api, actor(ann), chat, &[UserId(999)]).await).0, 422);
    t.sql(format!("UPDATE users SET deactivated_at = 1 WHERE id = {cid}")).await;
    assert_eq!(refused(add(&t.api, actor(ann), chat, &[cid]).await).0, 422);
    for _ in 0..40 {
        t.room(bob).await;
    }
    let full = t.try_create(bob, ChatType::Room, &[]).await;
    assert_eq!(refused(full), (400, "too_many_chats"));
    assert_eq!(refused(join(&t.api, actor(bob), ChatId(1)).await), (400, "too_many_chats"));
}
