//! What was done before is acknowledged, told once more, and not done again.

use super::*;

#[test]
fn what_was_sent_before_is_not_sent_again() {
    let first = |text: &str, changed| Repeated {
        id: OF_ANN,
        text: text.to_owned(),
        reply_to: None,
        timestamp: EARLIER,
        changed,
    };
    let was = repeated(OF_ANN, OF_ANN.0, EARLIER);
    let reused = Some(Code::ClientMessageIdReused);
    let answer = Some(OF_BOB);
    let table = [
        ("the same", first("hi", false), None, None),
        ("another text", first("ho", false), None, reused),
        ("another answer", first("hi", false), answer, reused),
        ("one that was changed since", first("", true), None, None),
    ];
    for (which, first, reply_to, expected) in table {
        // Whoever may not write any more is told all the same.
        for fact in [member(), but(|fact| fact.member = None), but(|fact| fact.user = None)] {
            let fact = Fact { repeated: Some(first.clone()), ..fact };
            let mut batch = group();
            let decision = decide(&mut batch, &send_as("k", "hi", reply_to), &fact);
            match expected {
                Some(_) => assert_eq!(code(decision), expected, "{which}"),
                None => assert_eq!(decision, was, "{which}"),
            }
            let done = batch.finish();
            assert_nothing_written(&done);
            let again: Vec<Seq> = done.again.iter().map(|(_, event)| event.seq).collect();
            assert_eq!(again, if expected.is_none() { vec![OF_ANN] } else { vec![] }, "{which}");
        }
    }
}

#[test]
fn a_batch_that_repeats_itself_sends_once() {
    let mut batch = group();
    assert_eq!(decide(&mut batch, &send("k", "hi"), &member()), made(Seq(11), 11));
    assert_eq!(decide(&mut batch, &send("k", "hi"), &member()), repeated(Seq(11), 11, NOW));
    let other = decide(&mut batch, &send("k", "ho"), &member());
    assert_eq!(code(other), Some(Code::ClientMessageIdReused));
    // Its first text is gone with the edit, so that nothing tells the two apart.
    decide(&mut batch, &edit(Seq(11), "edited", None), &member()).unwrap();
    assert_eq!(decide(&mut batch, &send("k", "ho"), &member()), repeated(Seq(11), 11, NOW));
    let done = batch.finish();
    assert_eq!((done.sent.len(), done.again.len()), (1, 0), "its events are told anyway");
}

#[test]
fn an_edit_that_was_made_is_not_made_again() {
    let key = (CHAT, OF_ANN, fingerprint("1", "after"));
    let before = Edited { seq: Seq(8), timestamp: EARLIER };
    let named = vec![stored(CHAT, OF_ANN, ANN)];
    let chats = [(CHAT, chat(ChatType::Group))].into();
    let mut batch = Batch::new(NOW, chats, named, [(key, before)].into());
    let mut edit = |text, id| decide(&mut batch, &edit(OF_ANN, text, id), &member());
    assert_eq!(edit("after", Some("1")), repeated(OF_ANN, 8, EARLIER), "before this batch");
    assert_eq!(edit("before", None), repeated(OF_ANN, OF_ANN.0, EARLIER), "it says so already");
    assert_eq!(edit("third", Some("1")), made(OF_ANN, 11), "the text belongs to the id");
    assert_eq!(edit("after", Some("2")), made(OF_ANN, 12));
    assert_eq!(edit("third", Some("1")), repeated(OF_ANN, 11, NOW), "in this batch");
    assert_eq!(edit("third", None), made(OF_ANN, 13), "without an id it is another one");
    let done = batch.finish();
    let edits: Vec<i64> = done.edits.iter().map(|(_, seq)| seq.0).collect();
    assert_eq!(edits, [11, 12]);
    assert_eq!(done.changed.len(), 1, "the last state of each message, once");
    assert_eq!(done.changed[0].seq, Seq(13));
}

#[test]
fn what_is_deleted_stays_deleted() {
    let mut gone = stored(CHAT, OF_ANN, ANN);
    gone.deleted = Some(Deletion { by: BOB, at: EARLIER });
    gone.seq = Seq(8);
    let chats = [(CHAT, chat(ChatType::Group))].into();
    let mut batch = Batch::new(NOW, chats, vec![gone], HashMap::new());
    assert_eq!(decide(&mut batch, &delete(OF_ANN), &member()), repeated(OF_ANN, 8, EARLIER));
    let done = batch.finish();
    assert_nothing_written(&done);
    let [(_, event)] = &done.again[..] else { panic!("{:?}", done.again) };
    let change = Change::Deleted { id: OF_ANN, by: BOB, timestamp: EARLIER };
    assert_eq!((event.seq, &event.change), (Seq(8), &change));

    let mut batch = group();
    decide(&mut batch, &delete(OF_ANN), &member()).unwrap();
    assert_eq!(decide(&mut batch, &delete(OF_ANN), &member()), repeated(OF_ANN, 11, NOW));
    let done = batch.finish();
    assert_eq!(done.changed[0].message.text, "");
    assert_eq!((done.changed[0].deleted.unwrap().by, done.chats[&CHAT].messages), (ANN, -1));
}
