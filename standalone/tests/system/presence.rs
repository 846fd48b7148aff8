//! Presence is true: whoever is told that somebody came is told that somebody went, on whichever
//! gateway the last connection was, and however that gateway ended.

use crate::harness::{Device, System, want::*, within};
use protocol::{chat::PresenceStatus, id::UserId};
use std::time::Duration;

in_both_modes!(every_chat_hears_of_going_whichever_window_was_last, the_same_chats_hear_of_both);

/// A gateway's lease, the grace, a look for dead nodes, and as much again.
const LEASE: Duration = Duration::from_secs(90);

async fn online(device: &mut Device, user: UserId) {
    device.expect(presence(user, PresenceStatus::Online)).await;
}

/// Whatever was heard of its coming is over then: [`online`] waits for news.
async fn offline(device: &mut Device, user: UserId) {
    device.expect(presence(user, PresenceStatus::Offline)).await;
    device.forget(presence(user, PresenceStatus::Online));
}

async fn every_chat_hears_of_going_whichever_window_was_last(t: System) {
    let (ann, bob) = (t.user("ann").await, t.user("bob").await);
    let (cat, dan) = (t.user("cat").await, t.user("dan").await);
    let one = ann.group("one", &[&bob, &dan]).await;
    let two = ann.group("two", &[&cat]).await;
    let mut phone = ann.connect_to(0).await;
    let mut bobs = bob.connect_to(1).await;
    let mut cats = cat.connect_to(1).await;
    // Both are heard at the other gateway; and who came before is heard again by whoever came after.
    phone.type_until_seen_by(&mut bobs, one).await;
    phone.type_until_seen_by(&mut cats, two).await;
    drop(phone);
    offline(&mut bobs, ann.id).await;
    offline(&mut cats, ann.id).await;

    let phone = ann.connect_to(0).await;
    online(&mut bobs, ann.id).await;
    online(&mut cats, ann.id).await;
    let dans = dan.connect_to(0).await;
    online(&mut bobs, dan.id).await;
    let window = ann.window(1, &format!("/ws/{one}")).await;
    // The native connection goes. Dan, who goes after it and from the same gateway, is a sign that the
    // gateway has let go of Ann.
    drop(phone);
    drop(dans);
    offline(&mut bobs, dan.id).await;
    bobs.expect_none(presence(ann.id, PresenceStatus::Offline)).await;
    drop(window);
    offline(&mut bobs, ann.id).await;
    offline(&mut cats, ann.id).await;
}

async fn the_same_chats_hear_of_both(t: System) {
    let (ann, zoe) = (t.user("ann").await, t.user("zoe").await);
    let (bob, cat) = (t.user("bob").await, t.user("cat").await);
    // The oldest of all, and private; then the oldest group; the newest is the 61st.
    let private = ann.private(&cat).await;
    let oldest = ann.group("oldest", &[&zoe]).await;
    let (mut cats, mut zoes) = (cat.connect_to(1).await, zoe.connect_to(1).await);
    cats.reach(private, ann.post(private, "hi").await).await;
    zoes.reach(oldest, ann.post(oldest, "hi").await).await;
    for number in 0..58 {
        ann.group(&format!("group {number}"), &[]).await;
    }
    let newest = ann.group("newest", &[&bob]).await;
    let mut bobs = bob.connect_to(1).await;
    bobs.reach(newest, ann.post(newest, "hi").await).await;
    // What a register remembers of the first time must not keep the second from being told.
    for _ in 0..2 {
        let phone = ann.connect_to(0).await;
        online(&mut bobs, ann.id).await;
        online(&mut cats, ann.id).await;
        drop(phone);
        offline(&mut bobs, ann.id).await;
        offline(&mut cats, ann.id).await;
    }
    // There are places for 50 chats, and this one is the 61st.
    zoes.expect_none(presence(ann.id, PresenceStatus::Online)).await;
    zoes.expect_none(presence(ann.id, PresenceStatus::Offline)).await;
}

#[tokio::test]
async fn a_gateway_that_ends_leaves_nobody_online() {
    let t = System::own_cluster().await;
    let (ann, bob, cat) = (t.user("ann").await, t.user("bob").await, t.user("cat").await);
    let chat = ann.group("team", &[&bob, &cat]).await;
    let mut watching = bob.connect_to(1).await;
    let mut leaves = ann.connect_to(0).await;
    leaves.type_until_seen_by(&mut watching, chat).await;
    online(&mut watching, ann.id).await;
    // In order: Ann does not come back, Cat does.
    let moves = cat.connect_to(0).await;
    online(&mut watching, cat.id).await;
    t.gateway(0).process().terminate();
    // Before the gateway has ended: the grace passes meanwhile.
    let stays = cat.connect_to(1).await;
    t.gateway(0).process().wait(Duration::from_secs(30)).await.unwrap();
    drop((leaves, moves));
    offline(&mut watching, ann.id).await;
    watching.expect_none(presence(cat.id, PresenceStatus::Offline)).await;

    // Killed.
    t.gateway(0).restart().await.unwrap();
    let mut leaves = ann.connect_to(0).await;
    leaves.type_until_seen_by(&mut watching, chat).await;
    online(&mut watching, ann.id).await;
    t.gateway(0).process().kill().await.unwrap();
    drop(leaves);
    let told = async {
        loop {
            if presence(ann.id, PresenceStatus::Offline).of(&watching.pump().await).is_some() {
                return;
            }
        }
    };
    within(LEASE, "Ann to go with her gateway", told).await;
    watching.expect_none(presence(cat.id, PresenceStatus::Offline)).await;
    drop(stays);
}
