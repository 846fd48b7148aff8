//! A user's chats by name with what is read, the marks of whole chats, and conversations of two.

use crate::harness::{T, actor, admin, both, delete, refused};
use api::chats::{
    conversations::{Line, MAX_MESSAGES, Part, of_user},
    direct::conversation,
    manage::rename,
    marks,
};
use protocol::{
    calls::{MarkRead, ReadMark},
    chat::ChatType,
    id::{ChatId, Seq, UserId},
    relay::Channel,
};
use serde_json::json;
use std::collections::BTreeMap;

both!(
    chats_by_name,
    a_sent_message_is_read_when_everybody_has,
    no_group_is_mistaken_for_a_person,
    long_chats_and_many_of_them_are_cut,
    looking_for_received_messages_ends,
    everything_is_marked_as_read,
    what_one_user_sent_is_marked_as_read,
    a_conversation_of_two,
);

type ByName = BTreeMap<String, Vec<Line>>;

async fn by_name(t: &T, user: UserId, part: Part) -> ByName {
    of_user(&t.api, user, part, 1000).await.unwrap()
}

fn texts(lines: &[Line]) -> Vec<&str> {
    lines.iter().map(|line| line.text.as_str()).collect()
}

fn read(lines: &[Line]) -> Vec<bool> {
    lines.iter().map(|line| line.is_read).collect()
}

async fn read_up_to(t: &T, user_id: UserId, chat_id: ChatId, message_id: Seq) {
    let marks = vec![ReadMark { user_id, chat_id, message_id }];
    api::internal::mark_read(&t.api, MarkRead { marks }).await.unwrap();
}

async fn private(t: &T, one: UserId, other: UserId) -> ChatId {
    t.try_create(one, ChatType::Private, &[other]).await.unwrap()
}

/// Fills a chat with messages 1 to `count`, as if they had been sent, in no time.
async fn fill(t: &T, chat: ChatId, sender: UserId, count: i64) {
    t.sql(format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})
         INSERT INTO messages (chat_id, id, seq, sender_id, client_message_id, text, created_at)
         SELECT {chat}, i, i, {sender}, 'k' || i, 'm' || i, i FROM n"
    ))
    .await;
    t.sql(format!(
        "UPDATE chats SET last_seq = {count}, message_count = {count}, changed_at = changed_at + 1
         WHERE id = {chat}"
    ))
    .await;
}

async fn chats_by_name(t: T) {
    let [ann, bob, cid] = t.users(["ann", "bob", "cid"]).await;
    let with_bob = private(&t, ann, bob).await;
    private(&t, cid, ann).await;
    let team = t.group(ann, &[bob, cid]).await;
    let room = t.room(ann).await;
    t.say(bob, room, "not in it").await;
    t.say(ann, with_bob, "hi").await;
    let second = t.say(bob, with_bob, "hello").await;
    t.say(bob, with_bob, "gone").await;
    t.one(delete(bob, with_bob, Seq(3))).await.unwrap();
    t.say(cid, team, "all").await;

    let all = by_name(&t, ann, Part::All).await;
    assert_eq!(all.keys().collect::<Vec<_>>(), ["a chat", "bob", "cid"]);
    assert_eq!(texts(&all["bob"]), ["hi", "hello"]);
    assert_eq!(all["cid"], []);
    let [sent, received] = &all["bob"][..] else { panic!("{all:?}") };
    assert_eq!((sent.from.as_str(), sent.to.as_str()), ("ann", "bob"));
    assert_eq!((received.from.as_str(), received.to.as_str()), ("bob", "ann"));
    assert_eq!((received.id, received.chat_id), (second, with_bob));
    let in_group = &all["a chat"][0];
    assert_eq!((in_group.from.as_str(), in_group.to.as_str()), ("cid", "a chat"));
    let created = format!("SELECT created_at FROM messages WHERE chat_id = {with_bob} AND id = 2");
    assert_eq!(received.date.0, t.number(created).await);

    // Received ones only; chats without any are not there.
    assert_eq!(by_name(&t, ann, Part::Read).await, ByName::new());
    read_up_to(&t, ann, with_bob, second).await;
    let (done, open) = (by_name(&t, ann, Part::Read).await, by_name(&t, ann, Part::Unread).await);
    assert_eq!(done.keys().collect::<Vec<_>>(), ["bob"]);
    assert_eq!((texts(&done["bob"]), read(&done["bob"])), (vec!["hello"], vec![true]));
    assert_eq!(open.keys().collect::<Vec<_>>(), ["a chat"]);
    assert_eq!((texts(&open["a chat"]), read(&open["a chat"])), (vec!["all"], vec![false]));

    // Of each chat the newest.
    let one = of_user(&t.api, ann, Part::All, 1).await.unwrap();
    assert_eq!(texts(&one["bob"]), ["hello"]);
}

async fn a_sent_message_is_read_when_everybody_has(t: T) {
    let [ann, bob, cid] = t.users(["ann", "bob", "cid"]).await;
    let (with_bob, team) = (private(&t, ann, bob).await, t.group(ann, &[bob, cid]).await);
    let alone = t.group(ann, &[]).await;
    rename(&t.api, actor(ann), alone, "alone").await.unwrap();
    for chat in [with_bob, team, alone] {
        t.say(ann, chat, "1").await;
        t.say(ann, chat, "2").await;
    }
    read_up_to(&t, bob, with_bob, Seq(1)).await;
    read_up_to(&t, bob, team, Seq(2)).await;
    // One's own mark says nothing about what one sent.
    read_up_to(&t, ann, team, Seq(2)).await;
    let all = by_name(&t, ann, Part::All).await;
    assert_eq!(read(&all["bob"]), [true, false]);
    assert_eq!(read(&all["a chat"]), [false, false]);
    assert_eq!(read(&all["alone"]), [false, false], "nobody has");
    read_up_to(&t, cid, team, Seq(1)).await;
    assert_eq!(read(&by_name(&t, ann, Part::All).await["a chat"]), [true, false]);
    // Of a large group nobody is told; asking each of its members would be work without end.
    let members = async |count: i64| {
        t.sql(format!("UPDATE chats SET member_count = {count} WHERE id = {team}")).await;
    };
    members(101).await;
    assert_eq!(read(&by_name(&t, ann, Part::All).await["a chat"]), [false, false]);
    members(100).await;
    assert_eq!(read(&by_name(&t, ann, Part::All).await["a chat"]), [true, false]);
    // As the recipients see it.
    assert_eq!(read(&by_name(&t, bob, Part::All).await["ann"]), [true, false]);
    assert_eq!(read(&by_name(&t, bob, Part::All).await["a chat"]), [true, true]);
}

async fn no_group_is_mistaken_for_a_person(t: T) {
    let [ann, bob] = t.users(["ann", "bob"]).await;
    let mut groups = Vec::new();
    for _ in 0..3 {
        groups.push(t.group(bob, &[ann]).await);
    }
    // Whoever made them and whatever happened last.
    rename(&t.api, actor(bob), groups[0], &format!("bob (#{})", groups[2])).await.unwrap();
    rename(&t.api, actor(bob), groups[1], "bob").await.unwrap();
    rename(&t.api, actor(bob), groups[2], "bob").await.unwrap();
    let chat = private(&t, ann, bob).await;
    t.say(bob, chat, "it is me").await;
    for group in &groups {
        t.say(bob, *group, &group.to_string()).await;
    }
    let all = by_name(&t, ann, Part::All).await;
    assert_eq!(texts(&all["bob"]), ["it is me"]);
    let [first, second, third] = groups[..] else { unreachable!() };
    for (key, group) in [
        (format!("bob (#{third})"), first),
        (format!("bob (#{second})"), second),
        (format!("bob (#{third}) (#{third})"), third),
    ] {
        assert_eq!(texts(&all[&key]), [group.to_string()], "{key}");
    }
    assert_eq!(all.len(), 4);
}

async fn long_chats_and_many_of_them_are_cut(t: T) {
    let [ann, bob] = t.users(["ann", "bob"]).await;
    let mut chats = Vec::new();
    for n in 0..14 {
        let chat = t.group(bob, &[ann]).await;
        rename(&t.api, actor(bob), chat, &format!("{n:02}")).await.unwrap();
        fill(&t, chat, bob, 1_100).await;
        chats.push(chat);
    }
    t.sql("UPDATE chats SET changed_at = id / 4096 WHERE id > 1".to_owned()).await;
    for part in [Part::All, Part::Unread] {
        let all = by_name(&t, ann, part).await;
        let lengths: Vec<usize> = all.values().map(Vec::len).collect();
        assert_eq!(lengths.iter().sum::<usize>(), usize::try_from(MAX_MESSAGES).unwrap());
        // The most recent nine in full, the tenth what is left, and a hundred each for the others.
        assert_eq!(lengths[5..], [1000; 9]);
        assert_eq!(lengths[..5], [100, 100, 100, 100, 600]);
        let newest = all["13"].iter().map(|line| line.id.0);
        assert!(newest.eq(101..=1100), "the newest, the oldest first");
    }
    // More chats than are shown: the least recently changed are not.
    t.sql(
        "WITH RECURSIVE n(i) AS (SELECT 100 UNION ALL SELECT i + 1 FROM n WHERE i < 189)
         INSERT INTO chats (id, chat_type, name, created_at, changed_at)
         SELECT i, 'group', 'n' || i, 0, i FROM n"
            .to_owned(),
    )
    .await;
    t.sql(format!(
        "INSERT INTO members (chat_id, user_id, joined_at) SELECT id, {ann}, 0 FROM chats WHERE id >= 100 AND id < 1000"
    ))
    .await;
    let all = by_name(&t, ann, Part::All).await;
    assert_eq!(all.len(), 100);
    assert!(!all.contains_key("03") && all.contains_key("04"));
}

async fn looking_for_received_messages_ends(t: T) {
    let [ann, bob] = t.users(["ann", "bob"]).await;
    let chat = private(&t, ann, bob).await;
    fill(&t, chat, bob, 3_000).await;
    // Of the newest 2,000 messages that are not deleted one is from bob.
    t.sql(format!("UPDATE messages SET sender_id = {ann} WHERE id > 400 AND id < 2500")).await;
    t.sql("UPDATE messages SET deleted_at = 1, text = '' WHERE id > 2500".to_owned()).await;
    let unread = by_name(&t, ann, Part::Unread).await;
    assert_eq!(texts(&unread["bob"]), ["m2500"]);
    assert_eq!(by_name(&t, ann, Part::All).await["bob"].len(), 1000);
}

async fn everything_is_marked_as_read(t: T) {
    let [ann, bob] = t.users(["ann", "bob"]).await;
    let (with_bob, room) = (private(&t, ann, bob).await, t.room(ann).await);
    let team = t.group(ann, &[bob]).await;
    t.say(ann, team, "1").await;
    t.say(bob, with_bob, "1").await;
    t.say(bob, with_bob, "2").await;
    t.say(bob, room, "1").await;
    // More chats than one call marks.
    t.sql(
        "WITH RECURSIVE n(i) AS (SELECT 100 UNION ALL SELECT i + 1 FROM n WHERE i < 519)
         INSERT INTO chats (id, chat_type, name, created_at, changed_at, last_seq)
         SELECT i, 'group', 'n', 0, 0, 9 FROM n"
            .to_owned(),
    )
    .await;
    t.sql(format!(
        "INSERT INTO members (chat_id, user_id, joined_at, last_read)
         SELECT id, {ann}, 0, CASE WHEN id = 100 THEN 9 ELSE 0 END FROM chats WHERE id >= 100 AND id < 1000"
    ))
    .await;
    let mut heard = t.listen(&[Channel::User(ann), Channel::Chat(with_bob)]).await;
    assert_eq!(marks::mark_all(&t.api, ann).await.unwrap(), 421);
    // The user's other devices hear of it, and the one who wrote.
    let mut awaited = vec![
        (Channel::User(ann), json!({"kind": "read", "chat_id": with_bob, "message_id": 2})),
        (Channel::Chat(with_bob), json!({"kind": "read", "user_id": ann, "message_id": 2})),
    ];
    while !awaited.is_empty() {
        let told = heard.next().await;
        awaited.retain(|awaited| *awaited != told);
    }
    let behind = "SELECT count(*) FROM members m JOIN chats c ON c.id = m.chat_id
                  WHERE m.last_read < c.last_seq AND m.user_id =";
    assert_eq!(t.number(format!("{behind} {ann}")).await, 0);
    assert_eq!(t.number(format!("{behind} {bob}")).await, 1, "others' marks stay");
    assert_eq!(marks::mark_all(&t.api, ann).await.unwrap(), 0);
    assert_eq!(by_name(&t, ann, Part::Unread).await, ByName::new());
}

async fn what_one_user_sent_is_marked_as_read(t: T) {
    let [ann, bob, cid] = t.users(["ann", "bob", "cid"]).await;
    for user in [bob, cid] {
        let chat = private(&t, ann, user).await;
        t.say(user, chat, "hi").await;
    }
    let team = t.group(bob, &[ann]).await;
    t.say(bob, team, "hi").await;
    assert_eq!(marks::mark_from(&t.api, ann, bob).await.unwrap(), 1);
    assert_eq!(marks::mark_from(&t.api, ann, bob).await.unwrap(), 0);
    let unread = by_name(&t, ann, Part::Unread).await;
    assert_eq!(unread.keys().collect::<Vec<_>>(), ["a chat", "cid"]);
    assert_eq!(marks::mark_from(&t.api, bob, cid).await.unwrap(), 0, "they have no chat");
}

async fn a_conversation_of_two(t: T) {
    let [ann, bob, eve, root] = t.users(["ann", "bob", "eve", "root"]).await;
    let page = async |who, pair, before: Option<i64>, limit| {
        let page = conversation(&t.api, who, pair, before.map(Seq), limit).await;
        page.map(|page| page.into_iter().map(|message| message.text).collect::<Vec<_>>())
    };
    assert!(page(actor(ann), (ann, bob), None, 9).await.unwrap().is_empty());
    assert!(page(admin(root), (ann, bob), None, 9).await.unwrap().is_empty());
    let chat = private(&t, ann, bob).await;
    for n in 1..=5 {
        t.say(if n % 2 == 0 { ann } else { bob }, chat, &n.to_string()).await;
    }
    t.one(delete(ann, chat, Seq(4))).await.unwrap();
    assert_eq!(page(actor(ann), (bob, ann), None, 9).await.unwrap(), ["1", "2", "3", "5"]);
    assert_eq!(page(actor(bob), (bob, ann), None, 2).await.unwrap(), ["3", "5"]);
    assert_eq!(page(actor(bob), (ann, bob), Some(3), 9).await.unwrap(), ["1", "2"]);
    assert!(page(actor(ann), (ann, ann), None, 9).await.unwrap().is_empty());
    assert_eq!(refused(page(actor(eve), (ann, bob), None, 9).await), (403, "other_user"));
    assert_eq!(refused(page(actor(eve), (ann, UserId(99)), None, 9).await), (403, "other_user"));

    let logged = "SELECT count(*) FROM audit_log".to_owned();
    assert_eq!(t.number(logged.clone()).await, 0, "nothing of theirs was read");
    assert_eq!(page(admin(root), (ann, bob), None, 1).await.unwrap(), ["5"]);
    assert_eq!(t.number(logged.clone()).await, 1);
    assert_eq!(page(admin(ann), (ann, bob), None, 1).await.unwrap(), ["5"]);
    assert_eq!(t.number(logged).await, 1, "an administrator's own is nobody else's");
}
