//! What is beyond the bounds is told, and records of several processes are one history.

use super::*;

#[test]
fn beyond_the_bounds_the_verdict_says_so() {
    for limits in [
        LedgerLimits { events: 1, ..LedgerLimits::default() },
        LedgerLimits { notes: 0, ..LedgerLimits::default() },
    ] {
        let ledger = Ledger::new(limits);
        let mut log = ledger.log("desk".to_owned());
        log.watch(CHAT, Seq::ZERO);
        log.on_event(&message(1, "one"));
        log.on_event(&message(3, "three"));
        log.on_event(&message(3, "three"));
        drop(log);
        let verdict = ledger.record().check(&StoredChats::default());
        assert!(verdict.unrecorded > 0 && !verdict.is_sound(), "{verdict:?}");
        assert!(verdict.evidence[0].starts_with("incomplete"), "{verdict:?}");
    }
}

/// What a process records whose only device hears these.
fn process(name: &str, heard: &[ReportedEvent<'_>], acked: &[ReportedEvent<'_>]) -> Record {
    let ledger = Ledger::new(LedgerLimits::default());
    let mut log = ledger.log(name.to_owned());
    log.watch(CHAT, Seq::ZERO);
    heard.iter().for_each(|told| _ = log.on_event(told));
    acked.iter().for_each(|told| ledger.acked(told));
    drop(log);
    let sent = serde_json::to_string(&ledger.record()).unwrap();
    serde_json::from_str(&sent).unwrap()
}

#[test]
fn processes_that_agree_are_one_sound_history() {
    let all = [message(1, "one"), message(2, "two")];
    let mut record = process("one", &all, &all[..1]);
    record.merge(process("two", &all, &all[1..]));
    let verdict = record.check(&stored(&[(1, "one", "one"), (2, "two", "two")]));
    assert!(verdict.is_sound(), "{verdict:?}");
    assert_eq!((verdict.devices, verdict.acked, verdict.delivered), (2, 2, 4));
}

#[test]
fn what_only_one_process_knows_is_expected_of_the_others_too() {
    let all = [message(1, "one"), message(2, "two")];
    let mut record = process("one", &all, &[]);
    record.merge(process("two", &all[..1], &[]));
    let verdict = record.check(&stored(&[(1, "one", "one"), (2, "two", "two")]));
    assert_eq!(faults(&verdict), [1, 0, 0, 0, 0, 0]);
    assert!(verdict.evidence[0].starts_with("lost: device 1 (two) never"), "{verdict:?}");
}

#[test]
fn processes_that_heard_different_contents_are_told_so() {
    let mut record = process("one", &[message(1, "one")], &[]);
    record.merge(process("two", &[message(1, "uno")], &[]));
    let verdict = record.check(&stored(&[(1, "one", "one")]));
    // The key of a test message is its text, so the sender and key differ as well.
    assert_eq!(faults(&verdict), [0, 0, 0, 1, 0, 0]);
    assert!(verdict.evidence[0].contains("device 1 (two) got another one"), "{verdict:?}");
}

#[test]
fn a_process_that_knew_the_latest_state_first_is_understood() {
    let late = ReportedContent::Message { id: Seq(1), sender: UserId(3), key: "one", text: "new" };
    let late = ReportedEvent { what: late, ..message(1, "") };
    let ledger = Ledger::new(LedgerLimits::default());
    let mut log = ledger.log("two".to_owned());
    log.watch(CHAT, Seq::ZERO);
    log.catching_up();
    assert!(log.on_event(&late), "the first content of this process");
    log.on_event_again(CHAT, Seq(1));
    log.caught_up(CHAT, Seq(2));
    drop(log);
    let mut record = process("one", &[message(1, "one"), edited(2, 1, "new")], &[]);
    record.merge(ledger.record());
    let verdict = record.check(&stored(&[(1, "one", "new")]));
    assert_eq!(faults(&verdict), [0, 1, 0, 0, 0, 0], "the repeat only: {verdict:?}");
}
