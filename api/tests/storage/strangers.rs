//! What strangers cannot do to a person: invitations, blocked people, bans.

use crate::harness::{T, actor, admin, both, edit, refused, send};
use api::{
    accounts::Actor,
    chats::{
        bans::{self, ban, lift},
        blocklist::{self, block, unblock},
        lists,
        membership::{add, join, leave, remove},
        overview,
    },
    internal,
};
use protocol::{
    calls::{
        Changed, MarkRead, Open, OpenSession, Pair, Peer, Peers, ReadMark, Shows, UserChat, View,
    },
    chat::{ChatType, ChatView},
    code::Code,
    id::{ChatId, UserId},
    relay::Channel,
};
use std::{sync::Arc, time::Duration};

both!(
    strangers_invite_and_acquaintances_add,
    an_invitation_comes_after_everything_and_takes_no_place,
    writing_or_joining_accepts,
    there_is_an_end_to_invitations,
    who_is_blocked_is_not_heard,
    a_chat_begun_while_its_maker_is_blocked_does_not_stand,
    there_is_an_end_to_the_blocklist,
    the_banned_are_out,
    a_ban_ends,
    owners_and_administrators_ban,
    a_ban_that_the_bus_lost_is_found,
);

/// The user's chats as a connection that opens finds them.
async fn opened(t: &T, user: UserId) -> Vec<ChatView> {
    let session =
        OpenSession { user_id: user, session_id: t.session(user).await, shows: Shows::All };
    let open = Open { sessions: vec![session], live_chats: 10 };
    internal::open(&t.api, open).await.unwrap().sessions.pop().unwrap().unwrap().chats
}

/// The user's chats as they are listed, by pages of `limit`.
async fn listed(t: &T, user: UserId, limit: i64) -> Vec<ChatId> {
    let mut all = Vec::new();
    loop {
        let mut conn = t.api.db.home().read().await.unwrap();
        let page = lists::list(&mut conn.link(), user, all.last().copied(), limit).await.unwrap();
        all.extend(page.iter().map(|chat| chat.view.id));
        if page.is_empty() {
            return all;
        }
    }
}

/// Who invited the user to the chat.
async fn inviter(t: &T, chat: ChatId, user: UserId) -> Option<UserId> {
    let mut conn = t.api.db.home().read().await.unwrap();
    let chat = overview::get(&mut conn.link(), user, chat).await.unwrap();
    chat.view.invited_by.map(|user| user.id)
}

async fn strangers_invite_and_acquaintances_add(t: T) {
    let [ann, bob, cid] = t.users(["ann", "bob", "cid"]).await;
    let private = t.try_create(ann, ChatType::Private, &[bob]).await.unwrap();
    assert_eq!(inviter(&t, private, bob).await, Some(ann));
    assert_eq!(inviter(&t, private, ann).await, None, "who makes a chat wants it");
    let group = t.group(ann, &[bob]).await;
    assert_eq!(inviter(&t, group, bob).await, Some(ann), "an invitation makes nobody known");
    t.say(bob, private, "hello").await;
    let group = t.group(ann, &[bob, cid]).await;
    assert_eq!(inviter(&t, group, bob).await, None, "they have a private chat");
    assert_eq!(inviter(&t, group, cid).await, Some(ann));
    join(&t.api, actor(cid), group).await.unwrap();
    let other = t.group(cid, &[bob]).await;
    assert_eq!(inviter(&t, other, bob).await, None, "they are in a group");
    let room = t.room(ann).await;
    let [dan] = t.users(["dan"]).await;
    join(&t.api, actor(dan), room).await.unwrap();
    add(&t.api, actor(ann), room, &[bob]).await.unwrap();
    let other = t.group(dan, &[bob]).await;
    assert_eq!(inviter(&t, other, bob).await, Some(dan), "anybody may be in a room");
    add(&t.api, admin(UserId(1)), other, &[cid]).await.unwrap();
    assert_eq!(inviter(&t, other, cid).await, None, "an administrator adds whom it likes");
}

async fn an_invitation_comes_after_everything_and_takes_no_place(t: T) {
    let [ann, eve] = t.users(["ann", "eve"]).await;
    let (first, second) = (t.group(ann, &[]).await, t.group(ann, &[]).await);
    let mut invitations = Vec::new();
    for _ in 0..15 {
        invitations.push(t.group(eve, &[ann]).await);
    }
    for chat in &invitations {
        t.say(eve, *chat, "look at this").await;
    }
    let chats = opened(&t, ann).await;
    assert_eq!(chats.len(), 10, "as many as are live");
    assert_eq!([chats[0].id, chats[1].id], [second, first]);
    assert!(chats[2..].iter().all(|chat| chat.invited_by.as_ref().unwrap().id == eve));
    invitations.reverse();
    let expected = [vec![second, first], invitations].concat();
    for limit in [1, 4, 500] {
        assert_eq!(listed(&t, ann, limit).await, expected, "{limit} a page");
    }
    // 40 chats are the most here: 15 invitations take none of them.
    for _ in 2..40 {
        t.group(ann, &[]).await;
    }
    assert_eq!(refused(t.try_create(ann, ChatType::Group, &[]).await), (400, "too_many_chats"));
    t.group(eve, &[ann]).await;
}

async fn writing_or_joining_accepts(t: T) {
    let [ann, eve] = t.users(["ann", "eve"]).await;
    let (written, joined, read) =
        (t.group(eve, &[ann]).await, t.group(eve, &[ann]).await, t.group(eve, &[ann]).await);
    t.say(ann, written, "who are you?").await;
    join(&t.api, actor(ann), joined).await.unwrap();
    let message_id = t.say(eve, read, "hello").await;
    let mark = ReadMark { user_id: ann, chat_id: read, message_id };
    internal::mark_read(&t.api, MarkRead { marks: vec![mark] }).await.unwrap();
    assert_eq!(inviter(&t, written, ann).await, None);
    assert_eq!(inviter(&t, joined, ann).await, None);
    assert_eq!(inviter(&t, read, ann).await, Some(eve), "looking is not accepting");
    leave(&t.api, actor(ann), read).await.unwrap();
    let private = t.try_create(eve, ChatType::Private, &[ann]).await;
    assert!(private.is_ok());
    assert_eq!(inviter(&t, private.unwrap(), ann).await, None, "they have groups together");

    let [bob] = t.users(["bob"]).await;
    let private = t.try_create(bob, ChatType::Private, &[ann]).await.unwrap();
    let again = t.try_create(ann, ChatType::Private, &[bob]).await;
    assert_eq!(refused(again), (400, "private_chat_exists"));
    assert_eq!(inviter(&t, private, ann).await, None, "who asks for the chat wants it");
}

async fn there_is_an_end_to_invitations(t: T) {
    let [ann, eve] = t.users(["ann", "eve"]).await;
    let mut invitations = Vec::new();
    for _ in 0..20 {
        invitations.push(t.group(eve, &[ann]).await);
    }
    let one_more = async || t.try_create(eve, ChatType::Group, &[ann]).await;
    assert_eq!(refused(one_more().await), (400, "too_many_invitations"));
    let own = t.group(eve, &[]).await;
    assert_eq!(refused(add(&t.api, actor(eve), own, &[ann]).await), (400, "too_many_invitations"));
    leave(&t.api, actor(ann), invitations[0]).await.unwrap();
    invitations.push(one_more().await.unwrap());
    t.sql(format!("UPDATE chats SET deleted_at = 1 WHERE id = {}", invitations[1])).await;
    one_more().await.unwrap();
    // From ten like her.
    for number in 0..9 {
        let other = t.user(&format!("mallory{number}")).await;
        for _ in 0..20 {
            t.group(other, &[ann]).await;
        }
    }
    let [bob] = t.users(["bob"]).await;
    assert_eq!(
        refused(t.try_create(bob, ChatType::Group, &[ann]).await),
        (400, "too_many_invitations")
    );
    t.try_create(bob, ChatType::Private, &[ann]).await.unwrap();
    let [cid] = t.users(["cid"]).await;
    t.say(ann, t.try_create(cid, ChatType::Private, &[ann]).await.unwrap(), "hi").await;
    t.group(cid, &[ann]).await;
}

async fn who_is_blocked_is_not_heard(t: T) {
    let [ann, eve, bob] = t.users(["ann", "eve", "bob"]).await;
    let private = t.try_create(eve, ChatType::Private, &[ann]).await.unwrap();
    let said = t.say(eve, private, "hello").await;
    let invitation = t.group(eve, &[ann]).await;
    let shared = t.group(bob, &[ann, eve]).await;
    join(&t.api, actor(ann), shared).await.unwrap();
    block(&t.api, actor(ann), eve).await.unwrap();
    block(&t.api, actor(ann), eve).await.unwrap();
    let entries = blocklist::list(&t.api, actor(ann), UserId(0), 10).await.unwrap();
    assert_eq!(entries.iter().map(|entry| entry.user.id).collect::<Vec<_>>(), [eve]);

    let code = async |command| t.one(command).await.unwrap_err().code;
    assert_eq!(code(send(eve, private, "k", "are you there?")).await, Code::BlockedByRecipient);
    assert_eq!(code(edit(eve, private, said, "are you there?")).await, Code::BlockedByRecipient);
    t.say(ann, private, "no").await;
    t.say(eve, shared, "everybody hears me here").await;
    let membership =
        format!("SELECT count(*) FROM members WHERE chat_id = {invitation} AND user_id = {ann}");
    assert_eq!(t.number(membership).await, 0, "her invitations are declined");
    for kind in [ChatType::Group, ChatType::Room] {
        assert_eq!(refused(t.try_create(eve, kind, &[ann]).await), (403, "blocked_by_recipient"));
    }
    assert_eq!(
        refused(add(&t.api, actor(eve), invitation, &[ann]).await),
        (403, "blocked_by_recipient")
    );
    let members = format!("SELECT member_count FROM chats WHERE id = {invitation}");
    assert_eq!(t.number(members).await, 1);

    unblock(&t.api, actor(ann), eve).await.unwrap();
    t.say(eve, private, "thank you").await;
    assert_eq!(refused(block(&t.api, actor(ann), ann).await), (400, "cannot_block_yourself"));
    assert_eq!(refused(block(&t.api, actor(ann), UserId(999)).await), (404, "user_not_found"));
}

async fn a_chat_begun_while_its_maker_is_blocked_does_not_stand(t: T) {
    let [ann, eve] = t.users(["ann", "eve"]).await;
    block(&t.api, actor(ann), eve).await.unwrap();
    assert_eq!(
        refused(t.try_create(eve, ChatType::Private, &[ann]).await),
        (403, "blocked_by_recipient")
    );
    let pairs = vec![Pair { user_id: eve, peer: Peer::Id(ann) }];
    let found = internal::peers(&t.api, Peers { pairs }).await.unwrap().chats.pop().unwrap();
    assert_eq!(found.unwrap_err().code, Code::BlockedByRecipient);
    assert_eq!(
        t.number("SELECT count(*) FROM chats WHERE pair_key IS NOT NULL".to_owned()).await,
        0
    );
    // Both at once, however often: a chat that stands is one in which nothing can be said.
    for number in 0..20 {
        let eve = t.user(&format!("eve{number}")).await;
        let others = [ann];
        let (made, blocked) = tokio::join!(
            t.try_create(eve, ChatType::Private, &others),
            block(&t.api, actor(ann), eve)
        );
        blocked.unwrap();
        if let Ok(chat) = made {
            let refusal = t.one(send(eve, chat, "k", "hello")).await.unwrap_err();
            assert_eq!(refusal.code, Code::BlockedByRecipient);
        }
    }
}

async fn there_is_an_end_to_the_blocklist(mut t: T) {
    Arc::make_mut(&mut t.api.config).chats.blocklist = 2;
    let [ann, bob, cid, dan] = t.users(["ann", "bob", "cid", "dan"]).await;
    for user in [bob, cid, bob] {
        block(&t.api, actor(ann), user).await.unwrap();
    }
    assert_eq!(refused(block(&t.api, actor(ann), dan).await), (400, "blocklist_full"));
    unblock(&t.api, actor(ann), bob).await.unwrap();
    block(&t.api, actor(ann), dan).await.unwrap();
}

async fn the_banned_are_out(t: T) {
    let [ann, eve] = t.users(["ann", "eve"]).await;
    let room = t.room(ann).await;
    join(&t.api, actor(eve), room).await.unwrap();
    let said = t.say(eve, room, "spam").await;
    let mut heard = t.listen(&[Channel::User(eve)]).await;
    remove(&t.api, actor(ann), room, eve).await.unwrap();
    let payload = serde_json::json!({"kind": "removed", "chat_id": room, "banned": true});
    heard.expect(Channel::User(eve), payload).await;

    let view = View { chats: vec![UserChat { user_id: eve, chat_id: room }] };
    let viewed = internal::view(&t.api, view).await.unwrap().chats.pop().unwrap();
    assert_eq!(viewed.unwrap_err().code, Code::Banned);
    let code = async |command| t.one(command).await.unwrap_err().code;
    assert_eq!(code(send(eve, room, "k", "spam")).await, Code::Banned);
    assert_eq!(code(edit(eve, room, said, "more")).await, Code::Banned);
    assert_eq!(refused(join(&t.api, actor(eve), room).await), (403, "banned"));
    let session =
        OpenSession { user_id: eve, session_id: t.session(eve).await, shows: Shows::One(room) };
    let open = Open { sessions: vec![session], live_chats: 10 };
    let opened = internal::open(&t.api, open).await.unwrap().sessions.pop().unwrap().unwrap();
    assert_eq!(opened.chats, []);

    // Being added lifts it; it holds for this room only.
    t.say(eve, ChatId::LOBBY, "hello").await;
    add(&t.api, actor(ann), room, &[eve]).await.unwrap();
    t.say(eve, room, "I am sorry").await;
    leave(&t.api, actor(eve), room).await.unwrap();
    t.say(eve, room, "still here").await;
}

async fn a_ban_ends(t: T) {
    let [ann, eve] = t.users(["ann", "eve"]).await;
    let room = t.room(ann).await;
    let hour = Some(Duration::from_secs(3_600));
    let made = ban(&t.api, actor(ann), room, eve, hour, "spam").await.unwrap();
    assert_eq!(made.ends_at.unwrap().0 - made.banned_at.0, 3_600_000);
    assert_eq!(made.reason, "spam");
    assert_eq!(refused(join(&t.api, actor(eve), room).await), (403, "banned"));
    t.sql("UPDATE bans SET ends_at = ends_at - 3600000".to_owned()).await;
    assert!(bans::list(&t.api, actor(ann), room, UserId(0), 10).await.unwrap().is_empty());
    join(&t.api, actor(eve), room).await.unwrap();
    t.say(eve, room, "hello again").await;

    let made = ban(&t.api, actor(ann), room, eve, None, "").await.unwrap();
    assert_eq!(made.ends_at, None);
    lift(&t.api, actor(ann), room, eve).await.unwrap();
    lift(&t.api, actor(ann), room, eve).await.unwrap();
    t.say(eve, room, "and again").await;
}

async fn owners_and_administrators_ban(t: T) {
    let [ann, bob, eve] = t.users(["ann", "bob", "eve"]).await;
    let room = t.room(ann).await;
    join(&t.api, actor(bob), room).await.unwrap();
    let by = async |who: Actor, whom| refused(ban(&t.api, who, room, whom, None, "").await);
    assert_eq!(by(actor(bob), eve).await, (403, "not_the_owner"));
    assert_eq!(by(actor(ann), ann).await, (400, "cannot_ban_yourself"));
    assert_eq!(by(actor(ann), UserId(999)).await, (404, "user_not_found"));
    let group = t.group(ann, &[]).await;
    let in_group = ban(&t.api, actor(ann), group, eve, None, "").await;
    assert_eq!(refused(in_group), (400, "not_a_room"));
    // The lobby has no owner; a room whose owner is banned goes to the next one.
    let [root] = t.users(["root"]).await;
    ban(&t.api, admin(root), ChatId::LOBBY, eve, None, "spam").await.unwrap();
    ban(&t.api, admin(root), room, ann, None, "spam").await.unwrap();
    lift(&t.api, admin(root), ChatId::LOBBY, eve).await.unwrap();
    let owner = format!("SELECT user_id FROM members WHERE chat_id = {room} AND role = 'owner'");
    assert_eq!(t.number(owner).await, bob.0);
    let entries = "SELECT count(*) FROM audit_log WHERE action IN ('ban_user', 'lift_ban')";
    assert_eq!(t.number(entries.to_owned()).await, 3);
}

async fn a_ban_that_the_bus_lost_is_found(t: T) {
    let [ann, eve] = t.users(["ann", "eve"]).await;
    let room = t.room(ann).await;
    let before =
        internal::changed(&t.api, Changed { since: None, ..Changed::default() }).await.unwrap();
    assert_eq!(before.banned, []);
    ban(&t.api, actor(ann), room, eve, None, "").await.unwrap();
    let found =
        internal::changed(&t.api, Changed { since: Some(before.now), ..Changed::default() })
            .await
            .unwrap();
    assert_eq!(found.banned, [UserChat { user_id: eve, chat_id: room }]);
}
