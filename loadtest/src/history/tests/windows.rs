//! Windows without numbers, which show new messages only.

use super::*;

/// Messages 1 to 4, of which 2 is the window's own user's and 3 an edit of message 1.
fn verdict(not_from: Option<UserId>, shown: &[&str]) -> Verdict {
    let ledger = Ledger::new(LedgerLimits::default());
    let own = ReportedContent::Message { id: Seq(2), sender: UserId(5), key: "two", text: "two" };
    let own = ReportedEvent { chat: CHAT, seq: Seq(2), what: own };
    let mut window = ledger.log("window".to_owned());
    window.watch_texts(CHAT, not_from);
    shown.iter().for_each(|text| window.on_text_event(CHAT, text));
    for told in [message(1, "one"), own, edited(3, 1, "new"), message(4, "four")] {
        ledger.acked(&told);
    }
    drop(window);
    let mut stored = stored(&[(1, "one", "new"), (4, "four", "four")]);
    let own = HistoryMessage { id: Seq(2), sender: UserId(5), key: "two", text: "two" };
    stored.add(CHAT, &own);
    ledger.record().check(&stored)
}

#[test]
fn it_shows_every_message_once() {
    let verdict = verdict(None, &["one", "two", "four"]);
    assert!(verdict.is_sound(), "{verdict:?}");
    assert_eq!((verdict.delivered, verdict.expected), (3, 3));
}

#[test]
fn it_need_not_show_what_came_before_its_first() {
    assert!(verdict(None, &["two", "four"]).is_sound());
}

#[test]
fn one_that_shows_no_own_messages_is_not_expected_to() {
    assert!(verdict(Some(UserId(5)), &["one", "four"]).is_sound());
    assert_eq!(faults(&verdict(None, &["one", "four"])), [1, 0, 0, 0, 0, 0]);
}

#[test]
fn its_faults_are_found() {
    assert_eq!(faults(&verdict(None, &["one", "four"])), [1, 0, 0, 0, 0, 0]);
    assert_eq!(faults(&verdict(None, &["one", "two"])), [1, 0, 0, 0, 0, 0]);
    assert_eq!(faults(&verdict(None, &["one", "two", "two", "four"])), [0, 1, 0, 0, 0, 0]);
    assert_eq!(faults(&verdict(None, &["one", "four", "two"])), [0, 0, 1, 0, 0, 0]);
    assert_eq!(faults(&verdict(None, &["one", "two", "four", "five"])), [0, 0, 0, 1, 0, 0]);
    assert!(verdict(None, &["new", "two", "four"]).is_sound(), "in its latest state");
}
