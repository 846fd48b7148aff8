//! `open` and `view`: what connections start from.

use crate::harness::{T, actor, admin, both, delete, edit, send};
use api::{chats, internal};
use protocol::{
    calls::{MarkRead, Open, OpenSession, ReadMark, SessionRefusal, Shows, UserChat, View},
    chat::{ChatType, ChatView},
    code::Code,
    id::{ChatId, Seq, SessionId, UserId},
    relay::Channel,
};
use uuid::Uuid;

both!(
    sessions_that_may_not_open,
    the_most_recently_active_chats_are_live,
    unread_is_what_came_since_one_read_or_wrote,
    deleted_messages_are_not_unread_for_ever,
    marks_move_forward_only,
    what_may_be_watched,
    a_window_is_told_of_what_it_shows,
);

async fn open(t: &T, user_id: UserId, live_chats: u32) -> Vec<ChatView> {
    open_showing(t, user_id, live_chats, Shows::All).await
}

async fn open_showing(t: &T, user_id: UserId, live_chats: u32, shows: Shows) -> Vec<ChatView> {
    let session_id = t.session(user_id).await;
    let sessions = vec![OpenSession { user_id, session_id, shows }];
    let mut opened = internal::open(&t.api, Open { sessions, live_chats }).await.unwrap();
    assert_eq!(opened.epoch.len(), 32);
    opened.sessions.pop().unwrap().unwrap().chats
}

fn ids(chats: &[ChatView]) -> Vec<ChatId> {
    chats.iter().map(|chat| chat.id).collect()
}

async fn sessions_that_may_not_open(t: T) {
    let [ann, bob, cid, dan] = t.users(["ann", "bob", "cid", "dan"]).await;
    let mut sessions = Vec::new();
    for user_id in [ann, bob, cid, dan] {
        sessions.push(OpenSession {
            user_id,
            session_id: t.session(user_id).await,
            shows: Shows::All,
        });
    }
    sessions.push(OpenSession {
        user_id: ann,
        session_id: SessionId(Uuid::new_v4()),
        shows: Shows::All,
    });
    sessions.push(OpenSession {
        user_id: bob,
        session_id: sessions[0].session_id,
        shows: Shows::All,
    });
    t.sql(format!("UPDATE users SET blocked_at = 1 WHERE id = {bob}")).await;
    t.sql(format!("UPDATE sessions SET ended_at = 1 WHERE user_id = {cid}")).await;
    t.sql(format!("UPDATE sessions SET expires_at = 1 WHERE user_id = {dan}")).await;
    let opened = internal::open(&t.api, Open { sessions, live_chats: 5 }).await.unwrap();
    let [ok, rest @ ..] = &opened.sessions[..] else { panic!() };
    let user = &ok.as_ref().unwrap().user;
    assert_eq!((user.id, user.username.as_str(), user.name.as_str()), (ann, "ann", "The ann"));
    let refusals: Vec<_> = rest.iter().map(|session| session.clone().unwrap_err()).collect();
    use SessionRefusal::{Blocked, Ended};
    assert_eq!(refusals, [Blocked, Ended, Ended, Ended, Ended]);
}

async fn the_most_recently_active_chats_are_live(t: T) {
    let [ann, bob] = t.users(["ann", "bob"]).await;
    let mut chats = Vec::new();
    for at in 1..=4 {
        let chat = t.group(ann, &[bob]).await;
        t.sql(format!("UPDATE chats SET changed_at = {at} WHERE id = {chat}")).await;
        chats.push(chat);
    }
    let [a, b, c, d] = chats[..] else { panic!() };
    let dormant = |user: UserId, chat: ChatId| {
        t.number(format!(
            "SELECT count(*) FROM members WHERE user_id = {user} AND chat_id = {chat} AND dormant"
        ))
    };
    assert_eq!(ids(&open(&t, ann, 2).await), [d, c]);
    assert_eq!([dormant(ann, a).await, dormant(ann, b).await, dormant(ann, c).await], [1, 1, 0]);
    assert_eq!(dormant(bob, a).await, 0, "bob has not connected yet");
    // A message in a dormant chat wakes the connections that were open before, and makes it live for
    // the next one.
    let mut heard = t.listen(&[Channel::User(ann)]).await;
    t.say(bob, a, "wake up").await;
    heard
        .expect(Channel::User(ann), serde_json::json!({"kind": "wake", "chat_id": a, "after": 0}))
        .await;
    assert_eq!(ids(&open(&t, ann, 2).await), [a, d]);
    assert_eq!([dormant(ann, a).await, dormant(ann, c).await], [0, 1]);
    // One that was marked while something was written stays marked: a connection that was open before
    // must still find it by `changed`.
    t.sql(format!("UPDATE members SET dormant = TRUE WHERE user_id = {ann} AND chat_id = {a}"))
        .await;
    assert_eq!(ids(&open(&t, ann, 2).await), [a, d]);
    assert_eq!(dormant(ann, a).await, 1);
    // Once that is long ago, it is not.
    t.sql(format!("UPDATE chats SET changed_at = 10 WHERE id = {a}")).await;
    open(&t, ann, 2).await;
    assert_eq!(dormant(ann, a).await, 0);
    assert_eq!(ids(&open(&t, ann, 10).await), [a, d, c, b]);
}

async fn unread_is_what_came_since_one_read_or_wrote(t: T) {
    let [ann, bob] = t.users(["ann", "bob"]).await;
    let chat = t.try_create(ann, ChatType::Private, &[bob]).await.unwrap();
    let first = t.say(bob, chat, "one").await;
    let second = t.say(bob, chat, "two").await;
    let view = open(&t, ann, 5).await.remove(0);
    assert_eq!((view.unread, view.last_read, view.seq), (2, Seq(0), Seq(2)));
    assert_eq!(view.name, "The bob", "a private chat is named after the other");
    read(&t, ann, chat, first).await;
    let view = open(&t, ann, 5).await.remove(0);
    assert_eq!((view.unread, view.last_read), (1, first));
    assert_eq!(open(&t, bob, 5).await[0].unread, 0, "one's own");
    let mine = t.say(ann, chat, "mine").await;
    let view = open(&t, ann, 5).await.remove(0);
    assert_eq!((view.unread, view.last_read), (0, mine), "whoever writes has read what was there");
    assert_eq!(open(&t, bob, 5).await[0].unread, 1);
    // Events that are no messages move nothing, however many.
    for n in 0..3 {
        t.one(edit(bob, chat, second, &n.to_string())).await.unwrap();
    }
    assert_eq!(open(&t, ann, 5).await[0].unread, 0);
    let texts: Vec<String> = (0..150).map(|n| n.to_string()).collect();
    t.post(texts.iter().map(|n| send(bob, chat, n, n)).collect()).await;
    assert_eq!(open(&t, ann, 5).await[0].unread, 150);
    read(&t, ann, chat, t.head(chat).await).await;
    assert_eq!(open(&t, ann, 5).await[0].unread, 0);
}

/// What is deleted leaves no badge that reading cannot clear.
async fn deleted_messages_are_not_unread_for_ever(t: T) {
    let [ann, bob] = t.users(["ann", "bob"]).await;
    let chat = t.group(ann, &[bob]).await;
    let unread = async || open(&t, ann, 5).await[0].unread;
    let first = t.say(bob, chat, "one").await;
    let second = t.say(bob, chat, "two").await;
    read(&t, ann, chat, first).await;
    assert_eq!(unread().await, 1);
    t.one(delete(bob, chat, second)).await.unwrap();
    assert_eq!(unread().await, 0, "the newest one");
    let third = t.say(bob, chat, "three").await;
    assert_eq!(unread().await, 2, "those between are in the count");
    t.one(delete(bob, chat, third)).await.unwrap();
    t.one(delete(bob, chat, first)).await.unwrap();
    assert_eq!(unread().await, 0, "nothing is there");
    let numbers: Vec<String> = (0..30).map(|n| n.to_string()).collect();
    t.post(numbers.iter().map(|n| send(bob, chat, n, n)).collect()).await;
    let last = t.head(chat).await;
    t.post((0..29).map(|back| delete(bob, chat, Seq(last.0 - 29 + back))).collect()).await;
    // Behind a mark, too: what follows it is deleted up to the last one.
    read(&t, ann, chat, Seq(last.0 - 20)).await;
    assert_eq!(unread().await, 1);
    // Sent and deleted at once.
    let gone = Seq(t.head(chat).await.0 + 1);
    t.post(vec![send(bob, chat, "k", "k"), delete(bob, chat, gone)]).await;
    assert_eq!(unread().await, 1);
    read(&t, ann, chat, last).await;
    assert_eq!(unread().await, 0);
}

async fn read(t: &T, user_id: UserId, chat_id: ChatId, message_id: Seq) {
    let marks = vec![ReadMark { user_id, chat_id, message_id }];
    internal::mark_read(&t.api, MarkRead { marks }).await.unwrap();
}

async fn marks_move_forward_only(t: T) {
    let [ann, bob, eve] = t.users(["ann", "bob", "eve"]).await;
    let chat = t.group(ann, &[bob]).await;
    let room = t.room(ann).await;
    for _ in 0..5 {
        t.say(bob, chat, "x").await;
        t.say(bob, room, "x").await;
    }
    let mut heard = t.listen(&[Channel::Chat(chat), Channel::Chat(room), Channel::User(ann)]).await;
    let mark =
        |user_id, chat_id, message_id| ReadMark { user_id, chat_id, message_id: Seq(message_id) };
    let read = async |marks: Vec<ReadMark>| {
        internal::mark_read(&t.api, MarkRead { marks }).await.unwrap();
    };
    read(vec![
        mark(ann, chat, 1),
        mark(ann, chat, 2),
        mark(eve, chat, 3),
        mark(eve, ChatId(999), 1),
    ])
    .await;
    let user_mark =
        |chat, at| serde_json::json!({"kind": "read", "chat_id": chat, "message_id": at});
    let chat_mark = |at| serde_json::json!({"kind": "read", "user_id": ann, "message_id": at});
    heard.expect(Channel::User(ann), user_mark(chat, 2)).await;
    heard.expect(Channel::Chat(chat), chat_mark(2)).await;
    // Back, again and negative: nothing. Beyond the end: the end. In a room: only to oneself.
    read(vec![mark(ann, chat, 1), mark(ann, chat, -7)]).await;
    read(vec![mark(ann, chat, 2)]).await;
    read(vec![mark(ann, room, 1)]).await;
    heard.expect(Channel::User(ann), user_mark(room, 1)).await;
    // In a crowd likewise: it would be members squared.
    let members = async |count| {
        t.sql(format!("UPDATE chats SET member_count = {count} WHERE id = {chat}")).await;
    };
    members(101).await;
    read(vec![mark(ann, chat, 3)]).await;
    heard.expect(Channel::User(ann), user_mark(chat, 3)).await;
    members(100).await;
    read(vec![mark(ann, chat, 4)]).await;
    heard.expect(Channel::User(ann), user_mark(chat, 4)).await;
    heard.expect(Channel::Chat(chat), chat_mark(4)).await;
    read(vec![mark(ann, chat, 999)]).await;
    heard.expect(Channel::User(ann), user_mark(chat, 5)).await;
    heard.expect(Channel::Chat(chat), chat_mark(5)).await;
    read(Vec::new()).await;
}

async fn what_may_be_watched(t: T) {
    let [ann, bob, eve] = t.users(["ann", "bob", "eve"]).await;
    let [chat, room, gone] = [t.group(ann, &[bob]).await, t.room(ann).await, t.room(ann).await];
    t.say(ann, room, "hello").await;
    chats::manage::delete(&t.api, admin(eve), gone).await.unwrap();
    let pair = |user_id, chat_id| UserChat { user_id, chat_id };
    let chats = vec![
        pair(eve, room),
        pair(eve, chat),
        pair(bob, chat),
        pair(bob, gone),
        pair(bob, ChatId(999)),
    ];
    let viewed = internal::view(&t.api, View { chats }).await.unwrap().chats;
    let watched = viewed[0].as_ref().unwrap();
    assert_eq!((watched.id, watched.seq, watched.unread), (room, Seq(1), 0));
    assert_eq!(viewed[1].as_ref().unwrap_err().code, Code::NotAMember);
    assert_eq!(viewed[2].as_ref().unwrap().name, "a chat");
    assert_eq!(viewed[3].as_ref().unwrap_err().code, Code::ChatNotFound);
    assert_eq!(viewed[4].as_ref().unwrap_err().code, Code::ChatNotFound);
    chats::membership::join(&t.api, actor(eve), room).await.unwrap();
    let chats = vec![pair(eve, room)];
    let joined = internal::view(&t.api, View { chats }).await.unwrap().chats.remove(0).unwrap();
    assert_eq!((joined.last_read, joined.unread), (Seq(1), 0), "what was before is read");
}

async fn a_window_is_told_of_what_it_shows(t: T) {
    let [ann, bob, cid, dan] = t.users(["ann", "bob", "cid", "dan"]).await;
    let group = t.group(ann, &[bob]).await;
    let room = t.room(bob).await;
    let others = t.group(bob, &[]).await;
    let mut private = Vec::new();
    for (at, other) in [(1, bob), (2, cid), (3, dan)] {
        let chat = t.try_create(ann, ChatType::Private, &[other]).await.unwrap();
        t.sql(format!("UPDATE chats SET changed_at = {at} WHERE id = {chat}")).await;
        private.push(chat);
    }
    let marks = async || {
        t.number(format!("SELECT count(*) FROM members WHERE user_id = {ann} AND dormant")).await
    };
    let shown = async |shows| ids(&open_showing(&t, ann, 2, shows).await);
    assert_eq!(shown(Shows::One(group)).await, [group]);
    assert_eq!(shown(Shows::One(room)).await, [room], "anybody's");
    assert_eq!(shown(Shows::One(others)).await, []);
    assert_eq!(shown(Shows::One(ChatId(999))).await, []);
    assert_eq!(shown(Shows::Nothing).await, []);
    assert_eq!(marks().await, 0, "they leave the marks alone");
    // A window on private chats must be woken for those that it does not hold.
    assert_eq!(shown(Shows::Private).await, [private[2], private[1]]);
    assert_eq!(marks().await, 1);
    // And takes none of the marks away from the windows that show all.
    assert_eq!(shown(Shows::All).await, [group, private[2]]);
    assert_eq!(marks().await, 2);
    t.sql("UPDATE chats SET changed_at = 10 WHERE chat_type = 'private'".to_owned()).await;
    shown(Shows::Private).await;
    assert_eq!(marks().await, 2);
    // Several windows of one user at once, each with its own.
    let mut sessions = Vec::new();
    let all = [Shows::Private, Shows::One(group), Shows::All, Shows::Nothing, Shows::One(room)];
    for shows in all {
        sessions.push(OpenSession { user_id: ann, session_id: t.session(ann).await, shows });
    }
    let opened = internal::open(&t.api, Open { sessions, live_chats: 1 }).await.unwrap();
    let shown = opened.sessions.into_iter().map(|view| ids(&view.unwrap().chats));
    let newest = vec![private[2]];
    assert_eq!(shown.collect::<Vec<_>>(), [newest, vec![group], vec![group], vec![], vec![room]]);
}
