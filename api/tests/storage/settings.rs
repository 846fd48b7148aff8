//! What a member sets for one of its chats: kept, told to its own devices, and ended by what ends it.

use crate::harness::{T, both, edit, refused, send};
use api::{
    chats::{
        overview,
        settings::{self, SettingsChange},
    },
    internal,
};
use protocol::{
    calls::{MarkRead, Open, OpenSession, ReadMark, Shows},
    chat::ChatSettings,
    id::{ChatId, Seq, UserId},
    relay::Channel,
};
use serde_json::json;

both!(
    what_is_set_is_kept_and_told,
    an_archived_chat_comes_back_with_a_message_unless_it_is_muted,
    reading_and_writing_end_that_a_chat_is_marked_as_unread,
    pinned_chats_are_live_however_quiet,
);

async fn set(t: &T, user: UserId, chat: ChatId, change: SettingsChange) -> ChatSettings {
    settings::change(&t.api, user, chat, change).await.unwrap().view.settings
}

async fn seen(t: &T, user: UserId, chat: ChatId) -> ChatSettings {
    let mut conn = t.api.db.home().read().await.unwrap();
    overview::get(&mut conn.link(), user, chat).await.unwrap().view.settings
}

async fn what_is_set_is_kept_and_told(t: T) {
    let [ann, bob, eve] = t.users(["ann", "bob", "eve"]).await;
    let (chat, room) = (t.group(ann, &[bob]).await, t.room(ann).await);
    let mut heard = t.listen(&[Channel::User(ann), Channel::User(bob), Channel::Chat(chat)]).await;
    let muted =
        SettingsChange { muted: Some(true), pinned: Some(true), ..SettingsChange::default() };
    let expected = ChatSettings { muted: true, pinned: true, ..ChatSettings::default() };
    assert_eq!(set(&t, ann, chat, muted).await, expected);
    let told = |settings| json!({"kind": "settings", "chat_id": chat, "settings": settings});
    heard.expect(Channel::User(ann), told(json!({"muted": true, "pinned": true}))).await;
    // What is left out stays.
    let archived =
        SettingsChange { archived: Some(true), pinned: Some(false), ..SettingsChange::default() };
    let expected = ChatSettings { muted: true, archived: true, ..ChatSettings::default() };
    assert_eq!(set(&t, ann, chat, archived).await, expected);
    heard.expect(Channel::User(ann), told(json!({"muted": true, "archived": true}))).await;
    assert_eq!(set(&t, ann, chat, SettingsChange::default()).await, expected);
    heard.expect(Channel::User(ann), told(json!({"muted": true, "archived": true}))).await;
    assert_eq!(
        (seen(&t, ann, chat).await, seen(&t, bob, chat).await),
        (expected, ChatSettings::default())
    );
    let nothing = SettingsChange::default;
    assert_eq!(
        refused(settings::change(&t.api, eve, chat, nothing()).await),
        (403, "not_a_member")
    );
    assert_eq!(
        refused(settings::change(&t.api, eve, room, nothing()).await),
        (403, "not_a_member")
    );
    assert_eq!(
        refused(settings::change(&t.api, eve, ChatId(99), nothing()).await),
        (404, "chat_not_found")
    );
}

async fn an_archived_chat_comes_back_with_a_message_unless_it_is_muted(t: T) {
    let [ann, bob] = t.users(["ann", "bob"]).await;
    let chat = t.group(ann, &[bob]).await;
    let first = t.say(bob, chat, "hello").await;
    let archive = SettingsChange { archived: Some(true), ..SettingsChange::default() };
    let mute = |muted| SettingsChange { muted: Some(muted), ..SettingsChange::default() };
    assert!(set(&t, ann, chat, archive).await.archived);
    t.post(vec![edit(bob, chat, first, "hello!")]).await;
    assert!(seen(&t, ann, chat).await.archived, "nothing was said");
    t.say(bob, chat, "are you there?").await;
    assert!(!seen(&t, ann, chat).await.archived);
    set(&t, ann, chat, archive).await;
    set(&t, ann, chat, mute(true)).await;
    t.say(bob, chat, "hello?").await;
    assert!(seen(&t, ann, chat).await.archived);
    assert!(!set(&t, ann, chat, mute(false)).await.archived);
    set(&t, ann, chat, archive).await;
    let back = SettingsChange { archived: Some(false), ..SettingsChange::default() };
    assert!(!set(&t, ann, chat, back).await.archived);
}

async fn reading_and_writing_end_that_a_chat_is_marked_as_unread(t: T) {
    let [ann, bob] = t.users(["ann", "bob"]).await;
    let chat = t.group(ann, &[bob]).await;
    let first = t.say(bob, chat, "hello").await;
    let read = async |message_id| {
        let marks = vec![ReadMark { user_id: ann, chat_id: chat, message_id }];
        internal::mark_read(&t.api, MarkRead { marks }).await.unwrap();
    };
    read(first).await;
    let mark = SettingsChange { marked_unread: Some(true), ..SettingsChange::default() };
    let is_marked = async || seen(&t, ann, chat).await.marked_unread;
    // The mark itself need not move, nor does it move back.
    for message_id in [first, Seq(0)] {
        assert!(set(&t, ann, chat, mark).await.marked_unread);
        let mut heard = t.listen(&[Channel::User(ann)]).await;
        read(message_id).await;
        let told = json!({"kind": "read", "chat_id": chat, "message_id": first});
        heard.expect(Channel::User(ann), told).await;
        assert!(!is_marked().await);
    }
    // Alone, in a batch, by the long way.
    for posts in [
        vec![send(ann, chat, "k1", "x")],
        vec![send(ann, chat, "k2", "x"), send(bob, chat, "k3", "x")],
        vec![edit(bob, chat, first, "y"), send(ann, chat, "k4", "x")],
    ] {
        set(&t, ann, chat, mark).await;
        t.post(vec![send(bob, chat, &format!("b{}", posts.len()), "x")]).await;
        assert!(is_marked().await, "others' messages leave it");
        t.post(posts).await;
        assert!(!is_marked().await);
    }
}

async fn pinned_chats_are_live_however_quiet(t: T) {
    let ann = t.user("ann").await;
    let mut chats = Vec::new();
    for _ in 0..3 {
        chats.push(t.group(ann, &[]).await);
    }
    t.change_at(1_000).await;
    let pin = SettingsChange { pinned: Some(true), ..SettingsChange::default() };
    set(&t, ann, chats[0], pin).await;
    let session_id = t.session(ann).await;
    let sessions = vec![OpenSession { user_id: ann, session_id, shows: Shows::All }];
    let opened = internal::open(&t.api, Open { sessions, live_chats: 2 }).await.unwrap();
    let live = &opened.sessions[0].as_ref().unwrap().chats;
    assert_eq!(live.iter().map(|chat| chat.id).collect::<Vec<_>>(), [chats[0], chats[2]]);
}
