//! Much at once. What a sender may send in one burst, and what a bus that was away brings in one
//! piece, is more than a server queues for anybody: it is no reason to close those who read.

use super::{assert_has_all, long, read_for};
use crate::{
    dialects::{LOBBY, guest_window},
    harness::{DialectSocket, System, unique, want::message},
};
use futures_util::{StreamExt as _, stream};
use protocol::id::Seq;
use serde_json::json;
use std::time::Duration;

in_both_modes!(a_burst_of_the_longest_texts_reaches_everybody);

/// What the protocol lets a client send at once.
const BURST: usize = 200;

async fn a_burst_of_the_longest_texts_reaches_everybody(t: System) {
    let (ann, bob, cat) = (t.user("ann").await, t.user("bob").await, t.user("cat").await);
    let chat = ann.group("team", &[&bob, &cat]).await;
    let mut phone = ann.connect_to(0).await;
    let mut others = [bob.connect_to(1).await, cat.connect_to(0).await];
    let start = phone.track.cursors[&chat];
    let last = Seq(start.0 + BURST as i64);
    let [bobs, cats] = &mut others;
    let sending = async {
        phone.submit_all(chat, (0..BURST).map(|number| long(number, "😀", 4000))).await;
        phone.reach(chat, last).await;
        while phone.track.in_flight() > 0 {
            phone.pump().await;
        }
    };
    tokio::join!(sending, bobs.reach(chat, last), cats.reach(chat, last));
    for device in others.iter().chain([&phone]) {
        assert_has_all(device, chat, start).await;
    }
    assert_eq!(phone.track.acked.len(), BURST);
}

/// What a guest may send at once, on one address.
const GUEST_BURST: usize = 110;

/// In systems of their own: the shared one's lobby is everybody's.
#[tokio::test]
async fn a_guests_burst_closes_nobody_in_the_lobby() {
    guests_burst(&System::single(&[]).await).await;
}

#[tokio::test]
async fn in_a_cluster_a_guests_burst_closes_nobody_in_the_lobby() {
    guests_burst(&System::cluster_with(&[("GUESTS", "true")]).await).await;
}

/// Everybody in the lobby, by whatever door, gets the long messages of somebody without an account.
async fn guests_burst(t: &System) {
    let (ann, dan, gus) = (t.user("ann").await, t.user("dan").await, unique("gus"));
    let mut native = dan.connect_to(1).await;
    native.subscribe(LOBBY, None).await.unwrap();
    let mut signed_in = ann.window(0, "/ws").await.among(&[&gus]);
    let mut other = guest_window(t, 1, &[&gus]).await;
    let mut guest = guest_window(t, 0, &[&gus]).await;

    let said = |text: String| {
        json!({ "type": "chat_message", "username": gus, "message": text }).to_string()
    };
    let mut texts: Vec<String> = (0..GUEST_BURST).map(|n| long(n, "😀", 4000)).collect();
    texts.push("the end".to_owned());
    let sending = async {
        guest.socket().say_all(texts.iter().cloned().map(said)).await;
        lines(&mut guest).await
    };
    let (own, signed_in, other, _) = tokio::join!(
        sending,
        lines(&mut signed_in),
        lines(&mut other),
        native.expect(message("the end"))
    );
    let mut heard: Vec<String> = own;
    // Commands to one chat are answered in order, so the order of the burst is everybody's.
    for (who, lines) in [("the guest", &heard), ("signed in", &signed_in), ("a guest", &other)] {
        assert!(*lines == texts, "{who} has {} of {} lines", lines.len(), texts.len());
    }
    heard = native.track.messages().into_iter().map(|said| said.text).collect();
    assert!(heard == texts, "native has {} of {} lines", heard.len(), texts.len());
}

/// The messages up to the last one.
async fn lines(window: &mut DialectSocket) -> Vec<String> {
    let mut lines = Vec::new();
    while lines.last().is_none_or(|line| line != "the end") {
        let frame = window.next().await;
        if frame["type"] == "chat_message" {
            lines.push(frame["message"].as_str().expect("a text").to_owned());
        }
    }
    lines
}

/// Longer than two comparisons with the api, and than any pause of a server that just lives on.
const FROZEN: Duration = Duration::from_secs(8);

/// More than the api answers in one piece.
const MEANWHILE: usize = 210;

#[tokio::test]
async fn what_a_frozen_redis_held_back_closes_nobody() {
    let t = System::own_cluster().await;
    let (ann, bob, cat) = (t.user("ann").await, t.user("bob").await, t.user("cat").await);
    let chat = ann.group("team", &[&bob, &cat]).await;
    let mut devices = [bob.connect_to(0).await, cat.connect_to(1).await];
    let start = devices[0].track.cursors[&chat];
    let [bobs, cats] = &mut devices;
    t.redis().process().pause();
    let posting = async {
        let posts = (0..MEANWHILE).map(async |number| {
            ann.post(chat, &long(number, "ж", 4000)).await;
        });
        stream::iter(posts).buffer_unordered(32).count().await
    };
    // They read all the time.
    let (posted, ..) = tokio::join!(posting, read_for(bobs, FROZEN), read_for(cats, FROZEN));
    assert_eq!(posted, MEANWHILE);
    t.redis().process().resume();
    let last = Seq(start.0 + MEANWHILE as i64);
    tokio::join!(bobs.reach(chat, last), cats.reach(chat, last));
    for device in &devices {
        assert_has_all(device, chat, start).await;
    }
}
