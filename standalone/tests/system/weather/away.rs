//! Long absences with long messages: what was missed is more than a server queues for a client, and
//! it comes all the same, page by page, however often the client resumes.

use super::{assert_has, chats, long, people};
use crate::harness::{Device, System, want::caught_up};
use futures_util::future::join_all;
use protocol::id::{ChatId, Seq};

in_both_modes!(
    two_hundred_long_messages_missed_are_caught_up,
    six_hundred_long_messages_missed_are_caught_up,
);

/// Sends so many long texts, at the pace of a client that has a few on their way at once.
async fn send_long(device: &mut Device, chat: ChatId, count: usize, letters: usize) {
    for number in 0..count {
        device.submit(chat, &long(number, "x", letters)).await;
        while device.track.in_flight() > 16 {
            device.pump().await;
        }
    }
    while device.track.in_flight() > 0 {
        device.pump().await;
    }
}

/// Comes back from each of these places, at every node, and must get all that is after it.
async fn comes_back(device: &mut Device, chat: ChatId, from: &[Seq], last: Seq) {
    let stored = device.user.messages(chat).await;
    let nodes = device.user.system().nodes().len();
    for (after, node) in from.iter().flat_map(|after| (0..nodes).map(move |node| (*after, node))) {
        device.go_offline();
        device.track.cursors.insert(chat, after);
        device.track.events.clear();
        device.come_back_at(node).await;
        assert_eq!(device.expect(caught_up(chat)).await, last);
        assert_has(device, chat, after, &stored);
    }
}

async fn two_hundred_long_messages_missed_are_caught_up(t: System) {
    // Each a little more than half a MiB, in one page and in two.
    for (count, letters) in [(215, 2_600), (209, 2_500)] {
        let (ann, bob) = (t.user("ann").await, t.user("bob").await);
        let chat = ann.group("team", &[&bob]).await;
        let mut phone = ann.connect_to(0).await;
        let mut other = bob.connect_to(1).await;
        let before = other.track.cursors[&chat];
        other.go_offline();
        send_long(&mut phone, chat, count, letters).await;
        let last = phone.track.cursors[&chat];
        comes_back(&mut other, chat, &[before], last).await;
    }
}

async fn six_hundred_long_messages_missed_are_caught_up(t: System) {
    const SENDERS: usize = 3;
    const EACH: usize = 200;
    let admin = t.admin().await;
    let everybody = people(&admin, SENDERS + 1).await;
    let chat = chats(&admin, "group", &everybody.iter().collect::<Vec<_>>(), 1).await[0];
    let (bob, senders) = everybody.split_last().expect("people");
    let mut other = bob.connect_to(1).await;
    let start = other.track.cursors[&chat];
    other.go_offline();
    join_all(senders.iter().map(async |user| {
        let mut device = user.connect_to(0).await;
        send_long(&mut device, chat, EACH, 3_000).await;
    }))
    .await;
    let last = Seq(start.0 + (SENDERS * EACH) as i64);
    // As far back as can be, and where a page ends.
    let from = [start, Seq(last.0 - 201), Seq(last.0 - 200)];
    comes_back(&mut other, chat, &from, last).await;
}
