//! One fault each in a chat without changes: four messages, acknowledged, stored, heard by two devices.

use super::*;

const TEXTS: [(i64, &str); 4] = [(1, "one"), (2, "two"), (3, "three"), (4, "four")];

/// What the second device hears, in this order; the first one hears everything.
fn verdict(
    second: &[ReportedEvent<'_>],
    acked: &[ReportedEvent<'_>],
    stored: &StoredChats,
) -> Verdict {
    let ledger = Ledger::new(LedgerLimits::default());
    acked.iter().for_each(|told| ledger.acked(told));
    let mut first = ledger.log("phone".to_owned());
    let mut other = ledger.log("desk".to_owned());
    first.watch(CHAT, Seq::ZERO);
    other.watch(CHAT, Seq::ZERO);
    for told in all() {
        assert!(first.on_event(&told));
    }
    for told in second {
        other.on_event(told);
    }
    drop((first, other));
    ledger.record().check(stored)
}

fn all() -> Vec<ReportedEvent<'static>> {
    TEXTS.iter().map(|(seq, text)| message(*seq, text)).collect()
}

fn kept_events() -> Vec<(i64, &'static str, &'static str)> {
    TEXTS.iter().map(|(seq, text)| (*seq, *text, *text)).collect()
}

fn verdict_on(second: &[ReportedEvent<'_>]) -> Verdict {
    verdict(second, &all(), &stored(&kept_events()))
}

#[test]
fn a_sound_history_passes() {
    let verdict = verdict_on(&all());
    assert!(verdict.is_sound(), "{verdict:?}");
    assert_eq!((verdict.acked, verdict.stored), (4, 4));
    assert_eq!((verdict.delivered, verdict.expected, verdict.devices), (8, 8, 2));
    assert_eq!(verdict.evidence, Vec::<String>::new());
}

#[test]
fn a_loss_in_the_middle() {
    let mut second = all();
    second.remove(1);
    let verdict = verdict_on(&second);
    assert_eq!(faults(&verdict), [1, 0, 0, 0, 0, 0]);
    assert_eq!((verdict.delivered, verdict.expected), (7, 8));
    let evidence =
        "lost: device 1 (desk) never got message 2 of chat 9, acknowledged to user 3 at 0.0";
    assert!(verdict.evidence[0].starts_with(evidence), "{verdict:?}");
    assert!(verdict.evidence[0].ends_with("it got 1 and then 3"), "{verdict:?}");
}

#[test]
fn a_loss_at_the_beginning_and_at_the_end() {
    let verdict = verdict_on(&all()[1..3]);
    assert_eq!(faults(&verdict), [2, 0, 0, 0, 0, 0]);
    let ends = |words: &str| verdict.evidence.iter().any(|one| one.ends_with(words));
    assert!(ends("it began after 0 and then got 2"), "{verdict:?}");
    assert!(ends("it got nothing after 3"), "{verdict:?}");
}

#[test]
fn a_repeat() {
    let mut second = all();
    second.push(second[0]);
    let verdict = verdict_on(&second);
    assert_eq!(faults(&verdict), [0, 1, 0, 0, 0, 0]);
    assert_eq!((verdict.delivered, verdict.expected), (8, 8), "it is not counted again");
}

#[test]
fn a_reorder() {
    let mut second = all();
    second.swap(1, 2);
    assert_eq!(faults(&verdict_on(&second)), [0, 0, 1, 0, 0, 0]);
}

#[test]
fn another_content_at_one_device() {
    let mut second = all();
    second[2] = message(3, "other");
    assert_eq!(faults(&verdict_on(&second)), [0, 0, 0, 1, 0, 0]);
    assert_eq!(
        faults(&verdict(&second, &[], &stored(&kept_events()))),
        [0, 0, 0, 1, 0, 0],
        "unacked"
    );
}

#[test]
fn another_content_everywhere() {
    let mut wrong = kept_events();
    wrong[2].2 = "other";
    assert_eq!(faults(&verdict(&all(), &all(), &stored(&wrong))), [0, 0, 0, 0, 1, 0]);
    assert_eq!(faults(&verdict(&all(), &[], &stored(&wrong))), [0, 0, 0, 1, 0, 0], "unacked");
}

#[test]
fn another_sender() {
    let mut second = all();
    let what =
        ReportedContent::Message { id: Seq(3), sender: UserId(4), key: "three", text: "three" };
    second[2] = ReportedEvent { chat: CHAT, seq: Seq(3), what };
    assert_eq!(faults(&verdict_on(&second)), [0, 0, 0, 1, 0, 0]);
}

#[test]
fn a_message_of_a_chat_that_is_not_watched() {
    let mut second = all();
    second.push(ReportedEvent { chat: ChatId(10), ..message(1, "one") });
    assert_eq!(faults(&verdict_on(&second)), [0, 0, 0, 1, 0, 0]);
}

#[test]
fn acknowledged_and_not_stored() {
    let verdict = verdict(&all(), &all(), &stored(&kept_events()[..3]));
    assert_eq!(faults(&verdict), [0, 0, 0, 0, 1, 0]);
}

#[test]
fn heard_and_not_stored() {
    let verdict = verdict(&all(), &[], &stored(&kept_events()[..3]));
    assert_eq!(faults(&verdict), [0, 0, 0, 1, 0, 0]);
}

#[test]
fn stored_and_heard_by_nobody() {
    let mut more = kept_events();
    more.push((5, "five", "five"));
    let verdict = verdict(&all(), &all(), &stored(&more));
    assert_eq!(faults(&verdict), [2, 0, 0, 0, 0, 0], "each device should have got it");
}

#[test]
fn acknowledged_under_one_number_and_stored_under_another() {
    let mut acked = all();
    acked[3] = message(5, "four");
    let verdict = verdict(&all(), &acked, &stored(&kept_events()));
    assert_eq!(faults(&verdict), [2, 0, 0, 0, 1, 0]);
}

#[test]
fn one_send_stored_twice() {
    let mut twice = kept_events();
    twice.push((5, "four", "four"));
    let mut second = all();
    second.push(message(5, "four"));
    let verdict = verdict(&second, &all(), &stored(&twice));
    assert_eq!(faults(&verdict), [1, 0, 0, 0, 0, 1], "and the first device did not get it");
}

#[test]
fn a_place_that_nobody_knows() {
    let ledger = Ledger::new(LedgerLimits::default());
    let mut log = ledger.log("desk".to_owned());
    log.watch(CHAT, Seq::ZERO);
    for told in [message(1, "one"), message(3, "three")] {
        log.on_event(&told);
    }
    drop(log);
    let verdict = ledger.record().check(&stored(&[(1, "one", "one"), (3, "three", "three")]));
    assert_eq!(faults(&verdict), [1, 0, 0, 0, 0, 0], "places have no holes");
    assert_eq!((verdict.delivered, verdict.expected), (2, 3));
}
