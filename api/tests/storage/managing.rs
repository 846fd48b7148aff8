//! Making, renaming, deleting and listing chats.

use crate::harness::{T, actor, admin, both, refused};
use api::{
    chats::{
        create::{self, NewChat},
        lists::{list, rooms},
        manage::{delete, rename},
        members,
        overview::get,
    },
    internal::changed,
};
use platform::{presence::Here, problem::Problem};
use protocol::{
    calls::Changed,
    chat::{Change, ChatType, PresenceStatus},
    id::{ChatId, NodeId, Seq, UserId},
    relay::{Channel, ChatEvents},
};

both!(
    one_private_chat_for_two,
    what_a_chat_needs,
    renaming_and_deleting,
    the_lobby_stays,
    lists_come_in_pages,
    members_with_their_presence,
);

async fn one_private_chat_for_two(t: T) {
    let [ann, bob, cid] = t.users(["ann", "bob", "cid"]).await;
    let mut heard = t.listen(&[Channel::User(ann), Channel::User(bob)]).await;
    let chat = t.try_create(bob, ChatType::Private, &[ann]).await.unwrap();
    for user in [ann, bob] {
        let added = serde_json::json!({"kind": "added", "chat_id": chat});
        heard.expect(Channel::User(user), added).await;
    }
    let second = t.try_create(ann, ChatType::Private, &[bob]).await;
    let problem = Problem::from(second.unwrap_err());
    assert_eq!((problem.status.as_u16(), problem.code), (400, "private_chat_exists"));
    assert_eq!(problem.chat_id, Some(chat));
    for others in [vec![], vec![ann], vec![bob, cid]] {
        assert_eq!(refused(t.try_create(ann, ChatType::Private, &others).await).0, 422);
    }
    // Both at once: one of them wins.
    let [for_ann, for_cid] = [[cid], [ann]];
    let (a, b) = tokio::join!(
        t.try_create(ann, ChatType::Private, &for_ann),
        t.try_create(cid, ChatType::Private, &for_cid),
    );
    assert!(a.is_ok() != b.is_ok());
    // Gone is gone: the two may start again.
    delete(&t.api, admin(cid), chat).await.unwrap();
    t.try_create(ann, ChatType::Private, &[bob]).await.unwrap();
}

async fn what_a_chat_needs(t: T) {
    let [ann, bob] = t.users(["ann", "bob"]).await;
    let make = async |chat_type, name: Option<&str>, member_ids: &[UserId]| {
        let (name, member_ids) = (name.map(str::to_owned), member_ids.to_vec());
        create::create(&t.api, actor(ann), NewChat { chat_type, name, member_ids }).await
    };
    assert_eq!(refused(make(ChatType::Room, None, &[]).await).0, 422);
    assert_eq!(refused(make(ChatType::Group, Some(" "), &[]).await).0, 422);
    assert_eq!(refused(make(ChatType::Group, Some("a\nb"), &[]).await).0, 422);
    assert_eq!(refused(make(ChatType::Group, Some("x"), &[UserId(999)]).await).0, 422);
    let chat = make(ChatType::Group, None, &[bob, ann]).await.unwrap();
    assert_eq!(
        (chat.view.name.as_str(), chat.view.member_count, chat.created_by),
        ("Group", 2, Some(ann))
    );
    let many: Vec<UserId> = (1..=201).map(UserId).collect();
    assert_eq!(refused(make(ChatType::Group, None, &many).await).0, 422);
}

async fn renaming_and_deleting(t: T) {
    let [ann, bob, root] = t.users(["ann", "bob", "root"]).await;
    let chat = t.group(ann, &[bob]).await;
    let private = t.try_create(ann, ChatType::Private, &[bob]).await.unwrap();
    let mut heard = t.listen(&[Channel::Chat(chat)]).await;
    let before = changed(&t.api, Changed { since: None, ..Changed::default() }).await.unwrap().now;
    rename(&t.api, actor(ann), chat, " Team ").await.unwrap();
    let (_, told) = heard.next().await;
    let event = &t.events_after(chat, Seq(0), 200).await[0];
    let told: ChatEvents = serde_json::from_value(told).unwrap();
    assert_eq!(told.events, std::slice::from_ref(event), "whoever comes later is told the same");
    let Change::Renamed { name, by, .. } = &event.change else { panic!("{event:?}") };
    assert_eq!((event.seq, name.as_str(), *by), (Seq(1), "Team", ann));
    let found =
        changed(&t.api, Changed { since: Some(before), ..Changed::default() }).await.unwrap();
    assert!(found.chats.contains(&(chat, Seq(1))), "{found:?}");
    // The name that it has is no event.
    rename(&t.api, actor(ann), chat, "Team").await.unwrap();
    assert_eq!(t.head(chat).await, Seq(1));
    assert_eq!(refused(rename(&t.api, actor(bob), chat, "x").await), (403, "not_the_owner"));
    assert_eq!(refused(rename(&t.api, actor(root), chat, "x").await), (403, "not_a_member"));
    assert_eq!(refused(rename(&t.api, admin(root), private, "x").await), (400, "private_chat"));
    assert_eq!(refused(rename(&t.api, actor(ann), chat, "").await).0, 422);
    assert_eq!(refused(delete(&t.api, actor(bob), chat).await), (403, "not_the_owner"));
    delete(&t.api, actor(ann), chat).await.unwrap();
    heard.expect(Channel::Chat(chat), serde_json::json!({"kind": "chat_deleted"})).await;
    assert_eq!(refused(delete(&t.api, actor(ann), chat).await), (404, "chat_not_found"));
    let mut conn = t.api.db.home().read().await.unwrap();
    assert_eq!(refused(get(&mut conn.link(), ann, chat).await), (404, "chat_not_found"));
    assert_eq!(refused(get(&mut conn.link(), root, private).await), (403, "not_a_member"));
}

async fn the_lobby_stays(t: T) {
    let root = t.user("root").await;
    assert_eq!(refused(rename(&t.api, admin(root), ChatId::LOBBY, "x").await), (403, "lobby"));
    assert_eq!(refused(delete(&t.api, admin(root), ChatId::LOBBY).await), (403, "lobby"));
    assert_eq!(refused(delete(&t.api, actor(root), ChatId::LOBBY).await), (403, "not_the_owner"));
}

async fn lists_come_in_pages(t: T) {
    let [ann, bob] = t.users(["ann", "bob"]).await;
    let mut made = Vec::new();
    for n in 0..5 {
        made.push(if n % 2 == 0 { t.room(ann).await } else { t.group(ann, &[bob]).await });
    }
    let mut conn = t.api.db.home().read().await.unwrap();
    let ids = |page: &[api::chats::overview::Overview]| {
        page.iter().map(|c| c.view.id).collect::<Vec<_>>()
    };
    let page = list(&mut conn.link(), ann, None, 3).await.unwrap();
    assert_eq!(ids(&page), [made[4], made[3], made[2]]);
    let page = list(&mut conn.link(), ann, Some(made[2]), 3).await.unwrap();
    assert_eq!(ids(&page), [made[1], made[0]]);
    let page = rooms(&mut conn.link(), bob, "", ChatId(0), 2).await.unwrap();
    assert_eq!((ids(&page.items), page.next), (vec![ChatId::LOBBY, made[0]], Some(made[0])));
    assert_eq!((page.items[1].view.member_count, page.items[1].role), (1, None));
    let page = rooms(&mut conn.link(), ann, "", made[0], 500).await.unwrap();
    assert_eq!((ids(&page.items), page.next), (vec![made[2], made[4]], None));
    let page = page.items;
    assert!(page[0].role.is_some());
}

async fn members_with_their_presence(t: T) {
    let [ann, bob, cid, eve] = t.users(["ann", "bob", "cid", "eve"]).await;
    let chat = t.group(ann, &[bob, cid]).await;
    let here = Here { user: bob, sockets: 1, chats: vec![chat] };
    t.api.presence.enter(NodeId::random(), &[here]).await.unwrap();
    let page = members::list(&t.api, ann, chat, UserId(0), 2).await.unwrap();
    assert_eq!(page.iter().map(|m| m.user_id).collect::<Vec<_>>(), [ann, bob]);
    assert_eq!((page[0].status, page[1].status), (PresenceStatus::Offline, PresenceStatus::Online));
    let page = members::list(&t.api, ann, chat, bob, 2).await.unwrap();
    assert_eq!(page[0].username, "cid");
    let refusal = members::list(&t.api, eve, chat, UserId(0), 2).await;
    assert_eq!(refused(refusal), (403, "not_a_member"));
    let some = members::some(&t.api, chat, &[cid, eve]).await.unwrap();
    assert_eq!(some.len(), 1);
}
