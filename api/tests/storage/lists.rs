//! What a list shows of a chat: what was said last and by whom, the peer, the members; its order and its pages; people
//! and rooms found by a part of their names.

use crate::harness::{T, actor, both, delete, edit, reply, send};
use api::{
    accounts::search,
    chats::{blocklist, lists, membership, overview},
    internal,
};
use protocol::{
    calls::{Open, OpenSession, Shows, UserChat, View},
    chat::{Change, ChatType, ChatView, Event, LastMessage, PresenceStatus, UserRef},
    id::{ChatId, NodeId, Seq, UserId},
    time::Timestamp,
};

both!(
    what_was_said_last_is_told,
    a_private_chat_tells_of_the_other_one,
    everybody_is_named_wherever_they_stand,
    who_writes_has_read_the_chat,
    the_list_goes_on_behind_any_of_its_chats,
    what_is_said_in_a_room_is_for_members,
    people_are_found_by_any_part_of_a_name,
    a_search_goes_on_behind_what_it_looked_through,
    rooms_are_found_by_any_part_of_a_name,
);

async fn opened(t: &T, user_id: UserId) -> Vec<ChatView> {
    let sessions =
        vec![OpenSession { user_id, session_id: t.session(user_id).await, shows: Shows::All }];
    let mut opened = internal::open(&t.api, Open { sessions, live_chats: 200 }).await.unwrap();
    opened.sessions.pop().unwrap().unwrap().chats
}

/// The chat as `open`, `view` and the list tell of it, which is the same.
async fn told(t: &T, user_id: UserId, chat_id: ChatId) -> ChatView {
    let of = |chats: Vec<ChatView>| chats.into_iter().find(|chat| chat.id == chat_id).unwrap();
    let opened = of(opened(t, user_id).await);
    let viewed = internal::view(&t.api, View { chats: vec![UserChat { user_id, chat_id }] }).await;
    assert_eq!(viewed.unwrap().chats, [Ok(opened.clone())]);
    let mut conn = t.api.db.home().read().await.unwrap();
    let listed = lists::list(&mut conn.link(), user_id, None, 500).await.unwrap();
    let mut listed = of(listed.into_iter().map(|chat| chat.view).collect());
    // The list's reader looks it up.
    if let Some((listed, opened)) = listed.peer.as_mut().zip(opened.peer.as_ref()) {
        listed.status = opened.status;
    }
    assert_eq!(listed, opened);
    opened
}

async fn last(t: &T, user: UserId, chat: ChatId) -> Option<LastMessage> {
    told(t, user, chat).await.last_message.map(|message| *message)
}

async fn what_was_said_last_is_told(t: T) {
    let [ann, bob] = t.users(["ann", "bob"]).await;
    let chat = t.group(ann, &[bob]).await;
    assert_eq!((last(&t, bob, chat).await, told(&t, bob, chat).await.member_count), (None, 2));
    t.say(ann, chat, "hello").await;
    let second = t.say(bob, chat, &format!("two\nlines {}", "x".repeat(200))).await;
    let found = last(&t, ann, chat).await.unwrap();
    let begin = format!("two lines {}…", "x".repeat(89));
    let sender = UserRef::registered(bob, "bob").named("The bob");
    assert!(found.timestamp > Timestamp(0));
    let expected =
        LastMessage { id: second, sender, text: begin, timestamp: found.timestamp, deleted: false };
    assert_eq!(found, expected);
    // Whatever changes, it is the newest one that was ever sent.
    t.post(vec![edit(ann, chat, Seq(1), "changed")]).await;
    assert_eq!(last(&t, ann, chat).await.unwrap().id, second);
    t.post(vec![edit(bob, chat, second, "shorter")]).await;
    assert_eq!(last(&t, ann, chat).await.unwrap().text, "shorter");
    t.post(vec![delete(bob, chat, second)]).await;
    let found = last(&t, ann, chat).await.unwrap();
    assert_eq!((found.id, found.text.as_str(), found.deleted), (second, "", true));
    membership::leave(&t.api, actor(bob), chat).await.unwrap();
    assert_eq!(told(&t, ann, chat).await.member_count, 1);
}

async fn a_private_chat_tells_of_the_other_one(t: T) {
    let [ann, bob] = t.users(["ann", "bob"]).await;
    // Ids of which one begins with the other.
    for number in 0..9 {
        t.user(&format!("u{number}")).await;
    }
    let eve = t.user("eve").await;
    assert_eq!((ann, eve), (UserId(1), UserId(12)));
    let chat = t.try_create(ann, ChatType::Private, &[eve]).await.unwrap();
    let other = t.try_create(bob, ChatType::Private, &[eve]).await.unwrap();
    t.api.presence.enter(NodeId::random(), &[here(eve)]).await.unwrap();
    for (user, chat, peer, status) in [
        (ann, chat, (eve, "eve"), PresenceStatus::Online),
        (eve, chat, (ann, "ann"), PresenceStatus::Offline),
        (bob, other, (eve, "eve"), PresenceStatus::Online),
        (eve, other, (bob, "bob"), PresenceStatus::Offline),
    ] {
        let view = told(&t, user, chat).await;
        let found = view.peer.unwrap();
        assert_eq!(
            (found.id, found.username.as_str(), found.status),
            (peer.0, peer.1, Some(status))
        );
        assert_eq!(
            (found.name.as_str(), view.name.as_str()),
            (view.name.as_str(), format!("The {}", peer.1).as_str())
        );
    }
    let group = t.group(ann, &[eve]).await;
    assert_eq!(told(&t, ann, group).await.peer, None);
}

fn here(user: UserId) -> platform::presence::Here {
    platform::presence::Here { user, sockets: 1, chats: Vec::new() }
}

fn names(events: &[Event]) -> Vec<Option<&str>> {
    let name = |event: &Event| match &event.change {
        Change::Message(message) | Change::Edited(message) => message.sender.name.clone(),
        Change::Member { user, .. } | Change::Owner { user, .. } => user.name.clone(),
        other => panic!("{other:?}"),
    };
    let names = events.iter().map(|event| match name(event).as_deref() {
        Some("The ann") => Some("ann"),
        Some("The bob") => Some("bob"),
        Some(other) => panic!("{other}"),
        None => None,
    });
    names.collect()
}

async fn everybody_is_named_wherever_they_stand(t: T) {
    let [ann, bob, cid] = t.users(["ann", "bob", "cid"]).await;
    t.sql(format!("UPDATE users SET name = 'cid' WHERE id = {cid}")).await;
    let chat = t.group(ann, &[bob, cid]).await;
    // Alone, in a batch, and by the long way.
    let mut told = t.post(vec![send(ann, chat, "k1", "hello")]).await.events;
    told.extend(
        t.post(vec![send(bob, chat, "k2", "hi"), send(cid, chat, "k3", "hi")]).await.events,
    );
    told.extend(
        t.post(vec![edit(ann, chat, Seq(1), "hello!"), reply(bob, chat, "k4", "hi", Some(Seq(2)))])
            .await
            .events,
    );
    let told: Vec<Event> = told.into_iter().flat_map(|run| run.events).collect();
    assert_eq!(names(&told), [Some("ann"), Some("bob"), None, Some("ann"), Some("bob")]);
    membership::leave(&t.api, actor(ann), chat).await.unwrap();
    let found = t.events_after(chat, Seq(0), 200).await;
    let expected = [Some("ann"), Some("bob"), None, Some("bob"), Some("ann"), Some("bob")];
    assert_eq!(names(&found), expected, "{found:?}");
    // What is read back has the present name.
    t.sql(format!("UPDATE users SET name = 'The ann' WHERE id = {bob}")).await;
    assert_eq!(names(&t.events_after(chat, Seq(1), 200).await)[0], Some("ann"));
    blocklist::block(&t.api, actor(ann), bob).await.unwrap();
    let blocked = blocklist::list(&t.api, actor(ann), UserId(0), 9).await.unwrap();
    assert_eq!(blocked[0].user, UserRef::registered(bob, "bob").named("The ann"));
}

async fn unread(t: &T, user: UserId, chat: ChatId) -> (i64, Seq) {
    let mut conn = t.api.db.home().read().await.unwrap();
    let view = overview::get(&mut conn.link(), user, chat).await.unwrap().view;
    (view.unread, view.last_read)
}

async fn who_writes_has_read_the_chat(t: T) {
    let [ann, bob] = t.users(["ann", "bob"]).await;
    let chat = t.group(ann, &[bob]).await;
    for text in ["one", "two", "three"] {
        t.say(ann, chat, text).await;
    }
    assert_eq!(
        (unread(&t, bob, chat).await, unread(&t, ann, chat).await),
        ((3, Seq(0)), (0, Seq(3)))
    );
    assert_eq!(t.say(bob, chat, "an answer").await, Seq(4));
    assert_eq!(
        (unread(&t, bob, chat).await, unread(&t, ann, chat).await),
        ((0, Seq(4)), (1, Seq(3)))
    );
    // In a batch, by what each wrote last in it; by the long way, too.
    t.post(vec![
        send(ann, chat, "a1", "x"),
        send(bob, chat, "b1", "x"),
        send(ann, chat, "a2", "x"),
    ])
    .await;
    assert_eq!(
        (unread(&t, bob, chat).await, unread(&t, ann, chat).await),
        ((1, Seq(6)), (0, Seq(7)))
    );
    t.post(vec![
        edit(ann, chat, Seq(1), "y"),
        send(bob, chat, "b2", "x"),
        send(ann, chat, "a3", "x"),
    ])
    .await;
    assert_eq!(
        (unread(&t, bob, chat).await, unread(&t, ann, chat).await),
        ((1, Seq(9)), (0, Seq(10)))
    );
    // Neither an edit nor a message that was sent before reads anything.
    t.post(vec![edit(bob, chat, Seq(4), "y")]).await;
    t.post(vec![send(bob, chat, "b1", "x")]).await;
    assert_eq!(unread(&t, bob, chat).await, (1, Seq(9)));
    // Where messages have no ordinals yet, the mark counts alone.
    t.sql(format!("UPDATE chats SET sent_seq = sent_seq - 1 WHERE id = {chat}")).await;
    t.say(bob, chat, "unnumbered").await;
    assert_eq!((unread(&t, bob, chat).await.0, unread(&t, ann, chat).await.0), (0, 1));
}

async fn listed(t: &T, user: UserId, before: Option<ChatId>, limit: i64) -> Vec<ChatId> {
    let mut conn = t.api.db.home().read().await.unwrap();
    let chats = lists::list(&mut conn.link(), user, before, limit).await.unwrap();
    chats.into_iter().map(|chat| chat.view.id).collect()
}

async fn the_list_goes_on_behind_any_of_its_chats(t: T) {
    let [ann, eve] = t.users(["ann", "eve"]).await;
    let mut chats = Vec::new();
    for number in 0..7 {
        let chat = t.group(ann, &[]).await;
        t.sql(format!("UPDATE chats SET changed_at = {} WHERE id = {chat}", 1_000 + number % 3))
            .await;
        chats.push(chat);
    }
    let [c0, c1, c2, c3, c4, c5, c6] = chats[..] else { panic!("{chats:?}") };
    let invited = t.group(eve, &[ann]).await;
    t.sql(format!("UPDATE members SET pinned = TRUE WHERE chat_id = {c3} AND user_id = {ann}"))
        .await;
    let all = [c3, c5, c2, c4, c1, c6, c0, invited];
    assert_eq!(listed(&t, ann, None, 500).await, all);
    assert_eq!(
        opened(&t, ann).await.iter().map(|chat| chat.id).collect::<Vec<_>>(),
        all,
        "as `open` does"
    );
    for limit in 1..=8 {
        let mut found = listed(&t, ann, None, limit).await;
        while let Some(last) = found.last().copied() {
            let page = listed(&t, ann, Some(last), limit).await;
            if page.is_empty() {
                break;
            }
            found.extend(page);
        }
        assert_eq!(found, all, "by {limit}");
    }
    // A chat that moves meanwhile leaves none of the others out.
    t.say(ann, c4, "hello").await;
    let rest = listed(&t, ann, Some(c4), 500).await;
    assert_eq!(rest, [c5, c2, c1, c6, c0, invited]);
    // Nor does one that is not the user's any more.
    membership::leave(&t.api, actor(ann), c1).await.unwrap();
    t.sql(format!("UPDATE chats SET changed_at = 1001 WHERE id = {c1}")).await;
    assert_eq!(listed(&t, ann, Some(c1), 500).await, [c6, c0, invited]);
    let mut conn = t.api.db.home().read().await.unwrap();
    assert!(lists::list(&mut conn.link(), ann, Some(ChatId(999)), 9).await.is_err());
}

async fn what_is_said_in_a_room_is_for_members(t: T) {
    let [ann, eve] = t.users(["ann", "eve"]).await;
    let room = t.room(ann).await;
    t.say(ann, room, "hello").await;
    let mut conn = t.api.db.home().read().await.unwrap();
    for (user, sees) in [(ann, true), (eve, false)] {
        let page = lists::rooms(&mut conn.link(), user, "", ChatId::LOBBY, 9).await.unwrap();
        assert_eq!(page.items[0].view.last_message.is_some(), sees);
    }
    // Whoever watches it sees it anyway.
    let view = overview::get(&mut conn.link(), eve, room).await.unwrap().view;
    assert_eq!(view.last_message.unwrap().text, "hello");
}

async fn found(
    t: &T,
    text: &str,
    after: Option<&str>,
    limit: i64,
) -> (Vec<String>, Option<String>) {
    let page = search::search(&t.api, actor(UserId(1)), text, after, limit).await.unwrap();
    (page.items.into_iter().map(|user| user.username).collect(), page.next)
}

async fn people_are_found_by_any_part_of_a_name(t: T) {
    t.users(["ann", "joann", "bob", "b_b", "x"]).await;
    t.sql("UPDATE users SET name = 'Иван БОБРОВ' WHERE username = 'x'".to_owned()).await;
    t.sql("UPDATE users SET name = '100%' WHERE username = 'b_b'".to_owned()).await;
    t.sql(
        "INSERT INTO users (username, username_key, name, password_hash, created_at, guest)
         VALUES ('annguest', '@annguest', 'annguest', '', 0, TRUE)"
            .to_owned(),
    )
    .await;
    for (text, expected) in [
        ("ann", vec!["ann", "joann"]),
        ("ANN", vec!["ann", "joann"]),
        ("the b", vec!["bob"]),
        ("иван", vec!["x"]),
        ("бобров", vec!["x"]),
        ("н БО", vec!["x"]),
        ("0%", vec!["b_b"]),
        ("_", vec!["b_b"]),
        ("%", vec!["b_b"]),
        ("nobody", vec![]),
    ] {
        assert_eq!(
            found(&t, text, None, 20).await,
            (expected.into_iter().map(str::to_owned).collect(), None),
            "{text}"
        );
    }
    assert_eq!(found(&t, "", None, 20).await.0, ["ann", "b_b", "bob", "joann", "x"]);
    // Page by page: first whose usernames begin so, then the others.
    let (page, next) = found(&t, "b", None, 2).await;
    assert_eq!((page, next.as_deref()), (vec!["b_b".to_owned(), "bob".to_owned()], Some("bob")));
    let (page, next) = found(&t, "b", next.as_deref(), 2).await;
    assert_eq!((page.len(), next), (0, None));
    let (page, next) = found(&t, "o", None, 1).await;
    assert_eq!((page, next.as_deref()), (vec!["joann".to_owned()], Some("@2")));
    assert_eq!(
        found(&t, "o", next.as_deref(), 1).await,
        (vec!["bob".to_owned()], Some("@3".to_owned()))
    );
    assert_eq!(found(&t, "o", Some("@3"), 1).await, (vec![], None));
}

/// However many accounts there are, a page looks through some of them.
async fn a_search_goes_on_behind_what_it_looked_through(t: T) {
    t.user("first").await;
    t.sql(
        "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 10100)
         INSERT INTO users (id, username, username_key, name, password_hash, created_at)
         SELECT i, 'u' || i, 'u' || i, '', '', 0 FROM n"
            .to_owned(),
    )
    .await;
    t.sql("UPDATE users SET name = 'needle' WHERE id = 10050".to_owned()).await;
    assert_eq!(found(&t, "needle", None, 5).await, (vec![], Some("@10000".to_owned())));
    assert_eq!(found(&t, "needle", Some("@10000"), 5).await, (vec!["u10050".to_owned()], None));
}

async fn rooms_are_found_by_any_part_of_a_name(t: T) {
    let ann = t.user("ann").await;
    let mut rooms = Vec::new();
    for name in ["Release Party", "party", "Кухня", "lunch"] {
        let room = t.room(ann).await;
        t.sql(format!("UPDATE chats SET name = '{name}' WHERE id = {room}")).await;
        rooms.push(room);
    }
    let mut conn = t.api.db.home().read().await.unwrap();
    for (text, after, limit, expected, next) in [
        ("party", 0, 9, vec![rooms[0], rooms[1]], None),
        ("party", 0, 1, vec![rooms[0]], Some(rooms[0])),
        ("PARTY", rooms[0].0, 9, vec![rooms[1]], None),
        ("кух", 0, 9, vec![rooms[2]], None),
        ("nothing", 0, 9, vec![], None),
    ] {
        let page = lists::rooms(&mut conn.link(), ann, text, ChatId(after), limit).await.unwrap();
        let ids: Vec<ChatId> = page.items.iter().map(|room| room.view.id).collect();
        assert_eq!((ids, page.next), (expected, next), "{text}");
    }
}
