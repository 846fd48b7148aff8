//! `peers`: one private chat a pair, found or made by who the two are.

use crate::harness::{T, actor, both};
use api::internal;
use futures_util::future::join_all;
use protocol::{
    calls::{Pair, Peer, Peers},
    chat::ChatType,
    code::Code,
    id::{ChatId, UserId},
    refusal::Refusal,
    relay::Channel,
};

both!(a_chat_is_found_or_made, who_cannot_be_written_to, calls_at_once_make_one_chat, limits_hold);

async fn peers(t: &T, pairs: &[(UserId, Peer)]) -> Vec<Result<ChatId, Refusal>> {
    let pairs = pairs.iter().map(|(user, peer)| Pair { user_id: *user, peer: peer.clone() });
    internal::peers(&t.api, Peers { pairs: pairs.collect() }).await.unwrap().chats
}

fn named(name: &str) -> Peer {
    Peer::Username(name.to_owned())
}

async fn code(t: &T, user: UserId, peer: Peer) -> Code {
    peers(t, &[(user, peer)]).await.pop().unwrap().unwrap_err().code
}

async fn a_chat_is_found_or_made(t: T) {
    let [ann, bob, cid] = t.users(["ann", "bob", "cid"]).await;
    let old = t.try_create(ann, ChatType::Private, &[bob]).await.unwrap();
    let mut heard = t.listen(&[Channel::User(cid)]).await;
    let pairs =
        [(ann, Peer::Id(bob)), (bob, named("ANN")), (ann, named("Cid")), (cid, named("ann"))];
    let found: Vec<ChatId> = peers(&t, &pairs).await.into_iter().map(Result::unwrap).collect();
    assert_eq!((found[0], found[1]), (old, old));
    assert_eq!(found[2], found[3]);
    assert_ne!(found[2], old);
    heard
        .expect(Channel::User(cid), serde_json::json!({"kind": "added", "chat_id": found[2]}))
        .await;
    t.say(cid, found[2], "hello").await;
    // Each has its own answer, whatever the others' are.
    let pairs =
        [(ann, named("nobody")), (ann, named("cid")), (ann, Peer::Id(ann)), (bob, Peer::Id(ann))];
    let answers = peers(&t, &pairs).await.into_iter().map(|answer| answer.map_err(|it| it.code));
    let (nobody, yourself) = (Err(Code::RecipientNotFound), Err(Code::RecipientIsYourself));
    assert_eq!(answers.collect::<Vec<_>>(), [nobody, Ok(found[2]), yourself, Ok(old)]);
    // A pair whose chat was deleted gets another one.
    api::chats::manage::delete(&t.api, crate::harness::admin(cid), found[2]).await.unwrap();
    let again = peers(&t, &[(ann, Peer::Id(cid))]).await.pop().unwrap().unwrap();
    assert_ne!(again, found[2]);
}

async fn who_cannot_be_written_to(t: T) {
    let [ann, bob, gone] = t.users(["ann", "bob", "gone"]).await;
    t.try_create(ann, ChatType::Private, &[bob]).await.unwrap();
    t.sql(format!("UPDATE users SET blocked_at = 1 WHERE id = {bob}")).await;
    t.sql(format!("UPDATE users SET deactivated_at = 1 WHERE id = {gone}")).await;
    t.sql(
        "INSERT INTO users (username, username_key, name, password_hash, created_at, guest)
         VALUES ('vi', '@vi', 'vi', '', 0, TRUE)"
            .to_owned(),
    )
    .await;
    let guest = t.number("SELECT id FROM users WHERE username = 'vi'".to_owned()).await;
    for peer in [Peer::Id(UserId(999)), Peer::Id(gone), Peer::Id(UserId(guest))] {
        assert_eq!(code(&t, ann, peer).await, Code::RecipientNotFound);
    }
    for name in ["nobody", "", "gone", "vi", "@vi", "a\0b"] {
        assert_eq!(code(&t, ann, named(name)).await, Code::RecipientNotFound, "{name:?}");
    }
    assert_eq!(code(&t, ann, Peer::Id(ann)).await, Code::RecipientIsYourself);
    assert_eq!(code(&t, ann, named("ANN")).await, Code::RecipientIsYourself);
    assert_eq!(code(&t, ann, named("bob")).await, Code::RecipientBlocked, "they have a chat");
    assert_eq!(code(&t, ann, Peer::Id(bob)).await, Code::RecipientBlocked);
    assert_eq!(t.number("SELECT count(*) FROM chats".to_owned()).await, 2, "none was made");
}

async fn calls_at_once_make_one_chat(t: T) {
    let [ann, bob, cid] = t.users(["ann", "bob", "cid"]).await;
    let calls = (0..8).map(|call| {
        let t = &t;
        let mut pairs = [(ann, Peer::Id(bob)), (bob, Peer::Id(cid)), (cid, Peer::Id(ann))];
        pairs.rotate_left(call % 3);
        let turned = pairs.clone().map(|(user, peer)| match peer {
            Peer::Id(id) => (id, Peer::Id(user)),
            name => (user, name),
        });
        let pairs = if call % 2 == 0 { pairs } else { turned };
        async move { peers(t, &pairs).await }
    });
    for chats in join_all(calls).await {
        assert!(chats.iter().all(Result::is_ok), "{chats:?}");
    }
    let private = "SELECT count(*) FROM chats WHERE chat_type = 'private'";
    assert_eq!(t.number(private.to_owned()).await, 3);
    assert_eq!(t.number("SELECT count(*) FROM members".to_owned()).await, 6);
}

async fn limits_hold(t: T) {
    let [ann, bob] = t.users(["ann", "bob"]).await;
    for _ in 0..t.api.config.chats.chats_per_user {
        t.group(bob, &[]).await;
    }
    assert_eq!(code(&t, bob, Peer::Id(ann)).await, Code::TooManyChats);
    let reached = peers(&t, &[(ann, Peer::Id(bob))]).await;
    assert!(reached[0].is_ok(), "nobody is out of reach of strangers: {reached:?}");
    // A chat that is there needs no room for another one.
    let cid = t.user("cid").await;
    let chat = t.try_create(ann, ChatType::Private, &[cid]).await.unwrap();
    for _ in 1..t.api.config.chats.chats_per_user {
        api::chats::create::create(
            &t.api,
            actor(cid),
            api::chats::create::NewChat {
                chat_type: ChatType::Group,
                name: None,
                member_ids: Vec::new(),
            },
        )
        .await
        .unwrap();
    }
    assert_eq!(peers(&t, &[(ann, named("cid"))]).await, [Ok(chat)]);
}
