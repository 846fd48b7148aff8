//! What a command that is carried out writes: places, ordinals, events, counters.

use super::*;

#[test]
fn a_new_message_takes_the_next_place_and_ordinal() {
    let mut batch = group();
    assert_eq!(decide(&mut batch, &send("a", "one"), &member()), made(Seq(11), 11));
    assert_eq!(decide(&mut batch, &send("b", "two"), &member()), made(Seq(12), 12));
    let done = batch.finish();
    let sent = done.sent.iter().map(|(_, message, ordinal)| (message.text.as_str(), *ordinal));
    assert_eq!(sent.collect::<Vec<_>>(), [("one", Some(5)), ("two", Some(6))]);
    let chat = &done.chats[&CHAT];
    assert_eq!((chat.before, chat.last_seq, chat.messages), (Seq(10), Seq(12), 2));
    assert_eq!(chat.ordinals.newest, 6);
    let seqs: Vec<i64> = chat.events.iter().map(|event| event.seq.0).collect();
    assert_eq!(seqs, [11, 12]);
    let (_, first, _) = &done.sent[0];
    assert_eq!(first.sender, UserRef::registered(ANN, "ann"));
    assert_eq!((first.timestamp, first.client_message_id.as_deref()), (NOW, Some("a")));
}

#[test]
fn in_a_chat_that_is_not_numbered_messages_get_no_ordinal() {
    let mut chat = chat(ChatType::Group);
    chat.ordinals.sent_seq = Seq(9);
    let mut batch = batch_in(CHAT, chat);
    assert_eq!(decide(&mut batch, &send("a", "one"), &member()), made(Seq(11), 11));
    assert_eq!(batch.finish().sent[0].2, None);
}

#[test]
fn an_edit_keeps_the_place_and_takes_one() {
    let mut batch = group();
    assert_eq!(decide(&mut batch, &edit(OF_ANN, "after", None), &member()), made(OF_ANN, 11));
    let done = batch.finish();
    let [changed] = &done.changed[..] else { panic!("{:?}", done.changed) };
    assert_eq!((changed.message.id, changed.seq), (OF_ANN, Seq(11)));
    assert_eq!((changed.message.text.as_str(), changed.message.edited_at), ("after", Some(NOW)));
    let chat = &done.chats[&CHAT];
    assert_eq!((chat.messages, chat.ordinals.newest), (0, 4));
    let [event] = &chat.events[..] else { panic!("{:?}", chat.events) };
    assert_eq!(event.change, Change::Edited(changed.message.clone()));
    assert!(done.edits.is_empty(), "it had no id");
}

#[test]
fn a_batch_may_change_what_it_sends() {
    let mut batch = group();
    for command in [send("k", "one"), edit(Seq(11), "two", None), delete(Seq(11))] {
        decide(&mut batch, &command, &member()).unwrap();
    }
    let done = batch.finish();
    assert_eq!(done.sent[0].1.text, "one", "as first sent");
    assert_eq!(done.changed.len(), 1);
    assert_eq!((done.changed[0].seq, done.changed[0].message.text.as_str()), (Seq(13), ""));
    let chat = &done.chats[&CHAT];
    assert_eq!((chat.last_seq, chat.messages, chat.events.len()), (Seq(13), 0, 3));
}

#[test]
fn the_counters_follow() {
    let mut batch = group();
    for command in [
        send("a", "héllo"),
        send("b", "hi"),
        edit(Seq(12), "hi there", None),
        delete(Seq(11)),
        delete(OF_ANN),
    ] {
        decide(&mut batch, &command, &member()).unwrap();
    }
    let done = batch.finish();
    let tally = done.chats[&CHAT].tally.as_ref().unwrap();
    assert_eq!(tally.chars, "hi there".len() as i64 - "before".len() as i64);
    assert_eq!((tally.senders[&ANN], tally.of_day), (0, 0));

    let not_counted = ChatFacts { counted: false, ..chat(ChatType::Group) };
    let mut batch = batch_in(CHAT, not_counted);
    decide(&mut batch, &send("a", "hi"), &member()).unwrap();
    assert!(batch.finish().chats[&CHAT].tally.is_none());
}
