//! Coming back: a client with cursors gets exactly what it missed, wherever that is held, or is
//! told that it cannot be had.

use crate::harness::{Device, System, User, want::*};
use protocol::{
    chat::{Change, MemberChange},
    id::{ChatId, Seq},
};
use std::collections::BTreeMap;

in_both_modes!(
    what_was_missed_comes_once_then_caught_up,
    more_than_the_window_comes_from_the_api,
    edits_and_deletes_made_while_away,
    membership_changes_made_while_away,
    a_cursor_from_before_the_first_message_gets_everything,
    live_messages_during_a_resume_come_after_it,
    a_chat_left_while_away_is_gone,
);
behind_haproxy!(more_than_the_window_comes_from_the_api,);

/// More than any feed keeps in memory for those who come back soon.
const BEYOND_THE_WINDOW: usize = 700;

/// Ann's and Bob's chat, Ann's device, and Bob's, on another gateway, gone offline.
async fn bob_away(t: &System) -> (ChatId, Device, Device, [User; 2]) {
    let (ann, bob) = (t.user("ann").await, t.user("bob").await);
    let chat = ann.group("team", &[&bob]).await;
    let mut phone = ann.connect_to(0).await;
    let mut other = bob.connect_to(1).await;
    phone.send(chat, "seen").await;
    other.expect(message("seen")).await;
    other.go_offline();
    (chat, phone, other, [ann, bob])
}

/// Sends many, several at a time; gives the last one's place.
async fn send_many(device: &mut Device, chat: ChatId, count: usize) -> Seq {
    let start = device.track.acked.len();
    for number in 0..count {
        device.submit(chat, &format!("number {number}")).await;
        while device.track.in_flight() > 16 {
            device.pump().await;
        }
    }
    while device.track.in_flight() > 0 {
        device.pump().await;
    }
    let acked = &device.track.acked[start..];
    assert_eq!(acked.len(), count);
    acked.iter().map(|said| said.id).max().unwrap_or_default()
}

async fn what_was_missed_comes_once_then_caught_up(t: System) {
    let (chat, mut phone, mut other, _) = bob_away(&t).await;
    let before = other.track.cursors[&chat];
    let last = send_many(&mut phone, chat, 10).await;

    for node in [0, 1] {
        other.track.cursors.insert(chat, before);
        other.track.events.clear();
        other.come_back_at(node).await;
        assert_eq!(other.expect(caught_up(chat)).await, last);
        let missed: Vec<i64> = (before.0 + 1..=last.0).collect();
        assert_eq!(other.track.seqs(chat), missed);
        other.go_offline();
    }
    other.come_back_at(0).await;
    phone.send(chat, "live again").await;
    other.expect(message("live again")).await;
}

async fn more_than_the_window_comes_from_the_api(t: System) {
    let (chat, mut phone, mut other, _) = bob_away(&t).await;
    let before = other.track.cursors[&chat];
    other.track.events.clear();
    let last = send_many(&mut phone, chat, BEYOND_THE_WINDOW).await;

    other.come_back_at(1).await;
    assert_eq!(other.expect(caught_up(chat)).await, last);
    assert_eq!(other.track.seqs(chat), (before.0 + 1..=last.0).collect::<Vec<_>>());
}

async fn edits_and_deletes_made_while_away(t: System) {
    let (ann, bob) = (t.user("ann").await, t.user("bob").await);
    let chat = ann.group("team", &[&bob]).await;
    let mut phone = ann.connect_to(0).await;
    let mut other = bob.connect_to(1).await;
    let old = phone.send(chat, "old").await.message_id;
    let doomed = phone.send(chat, "doomed").await.message_id;
    other.expect(message("doomed")).await;
    let before = other.track.cursors[&chat];
    other.go_offline();

    phone.edit(chat, old, "old, edited").await.unwrap();
    phone.delete(chat, doomed).await.unwrap();
    let new = phone.send(chat, "new").await.message_id;
    let brief = phone.send(chat, "brief").await.message_id;
    phone.delete(chat, brief).await.unwrap();
    let last = phone.edit(chat, new, "new, edited").await.unwrap().seq;

    let texts = |all: [(Seq, &str); 2]| all.map(|(id, text)| (id, text.to_owned())).into();
    let shown: BTreeMap<Seq, String> = texts([(old, "old"), (doomed, "doomed")]);
    let wanted = texts([(old, "old, edited"), (new, "new, edited")]);

    for node in [1, 0] {
        other.track.events.clear();
        other.track.cursors.insert(chat, before);
        other.come_back_at(node).await;
        assert_eq!(other.expect(caught_up(chat)).await, last);
        assert_eq!(replay(shown.clone(), &other), wanted);
        let seqs = other.track.seqs(chat);
        assert!(seqs.is_sorted_by(|a, b| a < b), "{seqs:?}");
        other.go_offline();
    }
}

/// What a client shows that had shown this, after the events it got since.
fn replay(mut shown: BTreeMap<Seq, String>, device: &Device) -> BTreeMap<Seq, String> {
    for event in &device.track.events {
        match &event.event.change {
            Change::Message(message) | Change::Edited(message) => {
                shown.insert(message.id, message.text.clone());
            }
            Change::Deleted { id, .. } => drop(shown.remove(id)),
            _ => {}
        }
    }
    shown
}

async fn membership_changes_made_while_away(t: System) {
    let (chat, mut phone, mut other, [ann, bob]) = bob_away(&t).await;
    let eve = t.user("eve").await;
    ann.add_member(chat, &eve).await;
    ann.remove_member(chat, &eve).await;
    ann.rename(chat, "us").await;
    let last = phone.send(chat, "just us again").await.seq;

    other.come_back_at(1).await;
    other.expect(member(eve.id, MemberChange::Joined)).await;
    other.expect(member(eve.id, MemberChange::Removed)).await;
    other.expect(renamed(chat, "us")).await;
    other.expect(message("just us again")).await;
    assert_eq!(other.expect(caught_up(chat)).await, last);
    assert_eq!(bob.texts(chat).await.last().unwrap(), "just us again");
}

async fn a_cursor_from_before_the_first_message_gets_everything(t: System) {
    let (chat, mut phone, mut other, [ann, _]) = bob_away(&t).await;
    let last = send_many(&mut phone, chat, 30).await;
    other.track.cursors.insert(chat, Seq::ZERO);
    other.track.events.clear();

    other.come_back_at(1).await;
    assert_eq!(other.expect(caught_up(chat)).await, last);
    assert_eq!(other.track.seqs(chat), (1..=last.0).collect::<Vec<_>>());
    assert_eq!(other.track.messages(), ann.messages(chat).await);
}

async fn live_messages_during_a_resume_come_after_it(t: System) {
    let (chat, mut phone, mut other, _) = bob_away(&t).await;
    let before = other.track.cursors[&chat];
    other.track.events.clear();
    send_many(&mut phone, chat, 300).await;

    let (last, ()) = tokio::join!(send_many(&mut phone, chat, 100), other.come_back_at(1));
    other.expect(caught_up(chat)).await;
    other.reach(chat, last).await;
    assert_eq!(other.track.seqs(chat), (before.0 + 1..=last.0).collect::<Vec<_>>());
}

async fn a_chat_left_while_away_is_gone(t: System) {
    let (chat, mut phone, mut other, [ann, bob]) = bob_away(&t).await;
    ann.remove_member(chat, &bob).await;
    phone.send(chat, "not for Bob").await;

    other.come_back_at(1).await;
    assert!(other.chats.iter().all(|view| view.id != chat));
    other.expect(chat_removed(chat)).await;
    other.expect_none(message("not for Bob")).await;
}
