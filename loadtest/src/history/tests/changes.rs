//! Edits and deletes, absences and catch-ups: what may be left out then and what may not.

use super::*;

const OPENED: [(i64, &str, &str); 2] = [(1, "one", "new"), (2, "two", "two")];

/// Message 1 is edited by events 3 and 4. A live device hears everything; the other one, this.
fn verdict(stored: &StoredChats, other: impl FnOnce(&mut Log)) -> Verdict {
    let ledger = Ledger::new(LedgerLimits::default());
    let mut live = ledger.log("live".to_owned());
    live.watch(CHAT, Seq::ZERO);
    for told in [message(1, "one"), message(2, "two"), edited(3, 1, "old"), edited(4, 1, "new")] {
        ledger.acked(&told);
        live.on_event(&told);
    }
    let mut log = ledger.log("other".to_owned());
    other(&mut log);
    drop((live, log));
    ledger.record().check(stored)
}

#[test]
fn a_catch_up_shows_the_latest_state_only() {
    let verdict = verdict(&stored(&OPENED), |log| {
        log.watch(CHAT, Seq::ZERO);
        log.away();
        log.catching_up();
        let ReportedEvent { what: ReportedContent::Message { id, sender, key, .. }, .. } =
            message(1, "one")
        else {
            panic!("a message")
        };
        let what = ReportedContent::Message { id, sender, key, text: "new" };
        assert!(!log.on_event(&ReportedEvent { what, ..message(1, "") }), "not for the fast path");
        log.on_event(&message(2, "two"));
        log.caught_up(CHAT, Seq(4));
    });
    assert!(verdict.is_sound(), "{verdict:?}");
    assert_eq!((verdict.delivered, verdict.expected, verdict.skipped), (6, 6, 0));
    assert_eq!((verdict.acked, verdict.changed), (2, 2));
}

#[test]
fn a_catch_up_may_not_leave_out_the_latest_state() {
    let verdict = verdict(&stored(&OPENED), |log| {
        log.watch(CHAT, Seq(2));
        log.catching_up();
        log.caught_up(CHAT, Seq(4));
    });
    assert_eq!(faults(&verdict), [1, 0, 0, 0, 0, 0]);
    assert!(verdict.evidence[0].contains("the change of message 1, event 4,"), "{verdict:?}");
}

#[test]
fn a_superseded_change_that_a_live_device_was_not_sent_is_told_apart() {
    let verdict = verdict(&stored(&OPENED), |log| {
        log.watch(CHAT, Seq(2));
        log.on_event(&edited(4, 1, "new"));
    });
    assert!(verdict.is_sound(), "{verdict:?}");
    assert_eq!(verdict.skipped, 1);
}

#[test]
fn an_older_state_shown_by_a_catch_up_does_not_stand_for_the_latest() {
    let verdict = verdict(&stored(&OPENED), |log| {
        log.watch(CHAT, Seq::ZERO);
        log.catching_up();
        log.on_event(&message(1, "one"));
        log.on_event(&message(2, "two"));
        log.caught_up(CHAT, Seq(4));
    });
    assert_eq!(faults(&verdict), [1, 0, 0, 0, 0, 0]);
}

#[test]
fn who_is_away_is_expected_nothing_of() {
    let verdict = verdict(&stored(&OPENED), |log| {
        log.watch(CHAT, Seq::ZERO);
        log.on_event(&message(1, "one"));
        log.away();
        assert!(log.is_complete());
    });
    assert!(verdict.is_sound(), "{verdict:?}");
    assert_eq!((verdict.away, verdict.delivered, verdict.expected), (1, 5, 5));
}

#[test]
fn who_came_back_and_was_never_caught_up_has_lost_the_rest() {
    let verdict = verdict(&stored(&OPENED), |log| {
        log.watch(CHAT, Seq::ZERO);
        log.on_event(&message(1, "one"));
        log.away();
        log.catching_up();
        assert!(!log.is_complete());
    });
    assert_eq!(faults(&verdict), [2, 0, 0, 0, 0, 0], "message 2 and the last edit");
}

#[test]
fn a_resync_excuses_what_was_before_it_and_nothing_after() {
    let verdict = verdict(&stored(&OPENED), |log| {
        log.watch(CHAT, Seq::ZERO);
        log.catching_up();
        log.resync(CHAT, Seq(3));
    });
    assert_eq!(faults(&verdict), [1, 0, 0, 0, 0, 0]);
    assert_eq!(verdict.resyncs, 1);
}

#[test]
fn what_was_not_watched_is_not_expected() {
    let verdict = verdict(&stored(&OPENED), |log| {
        log.watch(CHAT, Seq::ZERO);
        log.on_event(&message(1, "one"));
        log.unwatch(CHAT);
        log.watch(CHAT, Seq(3));
        log.watch(CHAT, Seq(4));
        log.on_event(&edited(4, 1, "new"));
    });
    assert!(verdict.is_sound(), "{verdict:?}");
    assert_eq!(verdict.expected, 6);
}

#[test]
fn a_superseded_text_is_not_what_may_be_stored() {
    let old = stored(&[(1, "one", "old"), OPENED[1]]);
    let sound = |log: &mut Log| log.watch(CHAT, Seq(4));
    let verdict = verdict(&old, sound);
    assert_eq!(faults(&verdict), [0, 0, 0, 0, 1, 0]);
}

/// Message 1 is deleted by event 3.
fn deletion(stored: &StoredChats, other: impl FnOnce(&mut Log)) -> Verdict {
    let ledger = Ledger::new(LedgerLimits::default());
    let mut live = ledger.log("live".to_owned());
    live.watch(CHAT, Seq::ZERO);
    for told in [message(1, "one"), message(2, "two"), deleted(3, 1)] {
        ledger.acked(&told);
        live.on_event(&told);
    }
    let mut log = ledger.log("other".to_owned());
    log.watch(CHAT, Seq::ZERO);
    other(&mut log);
    drop((live, log));
    ledger.record().check(stored)
}

#[test]
fn a_catch_up_may_show_a_deleted_message_as_deleted_or_not_at_all() {
    for shows in [true, false] {
        let verdict = deletion(&stored(&OPENED[1..]), |log| {
            log.catching_up();
            if shows {
                log.on_event(&deleted(1, 1));
            }
            log.on_event(&message(2, "two"));
            log.caught_up(CHAT, Seq(3));
        });
        assert!(verdict.is_sound(), "{verdict:?}");
        assert_eq!((verdict.acked, verdict.deleted, verdict.stored), (2, 1, 1));
    }
}

#[test]
fn who_saw_a_message_has_to_learn_that_it_is_deleted() {
    let verdict = deletion(&stored(&OPENED[1..]), |log| {
        log.on_event(&message(1, "one"));
        log.catching_up();
        log.on_event(&message(2, "two"));
        log.caught_up(CHAT, Seq(3));
    });
    assert_eq!(faults(&verdict), [1, 0, 0, 0, 0, 0]);
}

#[test]
fn a_live_device_has_to_see_a_message_though_it_is_deleted_later() {
    let verdict = deletion(&stored(&OPENED[1..]), |log| {
        log.on_event(&message(2, "two"));
        log.on_event(&deleted(3, 1));
    });
    assert_eq!(faults(&verdict), [1, 0, 0, 0, 0, 0]);
}

#[test]
fn a_deleted_message_may_not_be_stored() {
    let verdict = deletion(&stored(&OPENED), |log| {
        for told in [message(1, "one"), message(2, "two"), deleted(3, 1)] {
            log.on_event(&told);
        }
    });
    assert_eq!(faults(&verdict), [0, 0, 0, 1, 0, 0]);
}
