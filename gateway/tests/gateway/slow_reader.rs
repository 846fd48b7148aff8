//! Clients that read late, or never. They cost nobody else anything, and miss nothing.

use crate::harness::{ANN, BOB, GROUP, Node, Phone, TEAM};
use protocol::id::ChatId;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// So many messages of 8 KiB, far more than the kernel and an outbox of 64 KiB hold.
const MANY: usize = 100;

async fn floods(t: &Node, chat: ChatId) {
    for number in 1..=MANY {
        t.posts(chat, &format!("{number}:{}", "x".repeat(8_000)));
        t.settles().await;
    }
}

/// It hears all of them, once and in order.
async fn expect_all(phone: &mut Phone, chat: ChatId) {
    for number in 1..=MANY {
        let line = phone.hear().await;
        assert!(line.starts_with(&format!("{chat}#{number} {number}:x")), "{}", &line[..20]);
    }
}

/// A group and a team whose members ann does not read and bob does.
async fn two() -> (Node, Phone, Phone) {
    let t = Node::with(|config| config.max_outbox_bytes = 64 * 1024).await;
    t.api.opens(GROUP, &[ANN, BOB]);
    t.api.opens(TEAM, &[ANN, BOB]);
    let (ann, bob) = (t.connect(ANN).await, t.connect(BOB).await);
    (t, ann, bob)
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_nothing_is_closed_after_a_while_and_the_others_do_not_notice() {
    let (t, mut ann, mut bob) = two().await;
    for number in 1..=MANY {
        t.posts(GROUP, &format!("{number}:{}", "x".repeat(8_000)));
        assert!(bob.hear().await.starts_with(&format!("1#{number} ")));
    }
    t.passes(30 * SECOND).await;
    let heard = ann.hear_until("gone").await;
    assert!(heard.len() < MANY, "{}", heard.len());
    bob.expect_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_late_lags_and_catches_up_with_everything() {
    let (t, mut ann, mut bob) = two().await;
    for number in 1..=MANY {
        t.posts(GROUP, &format!("{number}:{}", "x".repeat(8_000)));
        assert!(bob.hear().await.starts_with(&format!("1#{number} ")));
    }
    t.api.take_calls("events");
    t.passes(10 * SECOND).await;
    expect_all(&mut ann, GROUP).await;
    assert!(!t.api.take_calls("events").is_empty(), "it joined again, from pages");
    ann.expect_nothing().await;
    t.posts(GROUP, "then");
    ann.expect(["1#101 then"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_full_outbox_lags_in_that_chat_alone() {
    let (t, mut ann, _bob) = two().await;
    floods(&t, GROUP).await;
    t.posts(TEAM, "of the team");
    t.settles().await;
    let mut heard = ann.hear_until("1#100 ").await;
    if !heard.contains(&"2#1 of the team".to_owned()) {
        heard.push(ann.hear().await);
    }
    let team = heard.iter().filter(|line| *line == "2#1 of the team").count();
    assert_eq!((team, heard.len()), (1, MANY + 1));
    let numbers: Vec<&str> = heard.iter().filter_map(|line| line.strip_prefix("1#")).collect();
    assert!((1..=MANY).zip(&numbers).all(|(seq, line)| line.starts_with(&format!("{seq} "))));
}
