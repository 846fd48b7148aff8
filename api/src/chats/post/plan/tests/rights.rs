//! Who may do what: a row of a table each, and nothing is written where the answer is no.

use super::*;

/// Whether what was deleted goes into the log.
const FREELY: bool = false;
const LOGGED: bool = true;

#[test]
fn who_may_write() {
    use ChatType::{Group, Private, Room};
    let stranger = || but(|fact| fact.member = None);
    let barred = |barred| but(|fact| fact.barred = Some(barred));
    let guest = |taken| {
        but(|fact| {
            let user = fact.user.as_mut().unwrap();
            (user.guest, user.name_taken, fact.member) = (true, taken, None);
        })
    };
    let banned = but(|fact| (fact.member, fact.barred) = (None, Some(Barred::Banned)));
    let table = [
        ("a member", Group, CHAT, member(), None),
        ("a stranger to a group", Group, CHAT, stranger(), Some(Code::NotAMember)),
        ("a stranger to a private chat", Private, CHAT, stranger(), Some(Code::NotAMember)),
        ("anybody in a room", Room, CHAT, stranger(), None),
        ("banned from a room", Room, CHAT, banned, Some(Code::Banned)),
        ("silenced", Private, CHAT, barred(Barred::Silenced), Some(Code::BlockedByRecipient)),
        ("blocked", Group, CHAT, but_user(|user| user.blocked = true), Some(Code::Blocked)),
        ("nobody", Room, CHAT, but(|fact| fact.user = None), Some(Code::Blocked)),
        ("a guest in the lobby", Room, ChatId::LOBBY, guest(false), None),
        ("a guest elsewhere", Room, CHAT, guest(false), Some(Code::NotAMember)),
        ("a guest's name", Room, ChatId::LOBBY, guest(true), Some(Code::UsernameTaken)),
    ];
    for (who, chat_type, chat_id, fact, expected) in table {
        for command in [send("k", "new"), edit(OF_ANN, "new", None), delete(OF_ANN)] {
            let mut batch = batch_in(chat_id, chat(chat_type));
            let command = Command { chat_id, ..command };
            let decision = decide(&mut batch, &command, &fact);
            assert_eq!(code(decision), expected, "{who}: {command:?}");
            if expected.is_some() {
                assert_nothing_written(&batch.finish());
            }
        }
    }
}

#[test]
fn who_may_delete() {
    let owner = || but(|fact| fact.member = Some(MemberRole::Owner));
    let admin_but = |change: fn(&mut Fact)| {
        let mut fact = admin();
        change(&mut fact);
        fact
    };
    let table = [
        ("one's own", OF_ANN, member(), Ok(FREELY)),
        ("another's", OF_BOB, member(), Err(Code::NotYours)),
        ("the owner another's", OF_BOB, owner(), Ok(FREELY)),
        ("an administrator one's own", OF_ANN, admin(), Ok(FREELY)),
        ("an administrator another's", OF_BOB, admin(), Ok(LOGGED)),
        ("from outside", OF_BOB, admin_but(|fact| fact.member = None), Ok(LOGGED)),
        ("one's own from outside", OF_ANN, admin_but(|fact| fact.member = None), Ok(LOGGED)),
        (
            "a silenced administrator one's own",
            OF_ANN,
            admin_but(|fact| fact.barred = Some(Barred::Silenced)),
            Ok(LOGGED),
        ),
        (
            "a blocked administrator",
            OF_BOB,
            admin_but(|fact| fact.user.as_mut().unwrap().blocked = true),
            Err(Code::Blocked),
        ),
        ("one who left", OF_ANN, but(|fact| fact.member = None), Err(Code::NotAMember)),
        ("what is not there", Seq(9), member(), Err(Code::MessageNotFound)),
        ("an administrator what is not there", Seq(9), admin(), Err(Code::MessageNotFound)),
    ];
    for (who, id, fact, expected) in table {
        let mut batch = group();
        let decision = decide(&mut batch, &delete(id), &fact);
        let done = batch.finish();
        match expected {
            Err(refused) => {
                assert_eq!(code(decision), Some(refused), "{who}");
                assert_nothing_written(&done);
            }
            Ok(logged) => {
                assert_eq!(decision, made(id, 11), "{who}");
                let sender = if id == OF_ANN { ANN } else { BOB };
                let entry = AuditEntry::of(ANN, AuditAction::DeleteMessage).on_user(sender);
                let entry = entry.in_chat(CHAT).on_message(id);
                let expected: &[AuditEntry<'_>] = if logged { &[entry] } else { &[] };
                assert_eq!(done.by_admin, expected, "{who}");
            }
        }
    }
}

#[test]
fn only_ones_own_messages_that_are_there_are_edited() {
    let mut batch = group();
    decide(&mut batch, &delete(OF_ANN), &member()).unwrap();
    let table = [
        (OF_BOB, Code::NotYours),
        (Seq(9), Code::MessageNotFound),
        (OF_ANN, Code::MessageNotFound),
    ];
    for (id, expected) in table {
        // No right helps.
        for fact in [member(), admin(), but(|fact| fact.member = Some(MemberRole::Owner))] {
            let decision = decide(&mut batch, &edit(id, "after", None), &fact);
            assert_eq!(code(decision), Some(expected), "{id}");
        }
    }
}

#[test]
fn a_reply_is_to_a_message_of_the_chat() {
    let mut batch = group();
    let reply = |key, to| send_as(key, "hi", Some(to));
    let unknown = decide(&mut batch, &reply("a", Seq(9)), &member());
    assert_eq!(code(unknown), Some(Code::InvalidReplyTo));
    assert_eq!(decide(&mut batch, &reply("b", OF_BOB), &member()), made(Seq(11), 11));
    // One of this batch, too.
    assert_eq!(decide(&mut batch, &reply("c", Seq(11)), &member()), made(Seq(12), 12));
    let done = batch.finish();
    let replies = done.sent.iter().map(|(_, message, _)| message.reply_to);
    assert_eq!(replies.collect::<Vec<_>>(), [Some(OF_BOB), Some(Seq(11))]);
}

#[test]
fn a_chat_that_is_not_there_refuses_everything() {
    for command in [send("k", "hi"), edit(OF_ANN, "new", None), delete(OF_ANN)] {
        let command = Command { chat_id: ChatId(8), ..command };
        let decision = decide(&mut group(), &command, &admin());
        assert_eq!(code(decision), Some(Code::ChatNotFound));
    }
}

#[test]
fn what_needs_no_facts_to_be_refused() {
    let longest = "é".repeat(MAX_TEXT_CHARS);
    let too_long = format!("{longest}é");
    let text = Some(Code::InvalidText);
    for (given, expected) in
        [("hi\n", None), (&*longest, None), (&*too_long, text), ("", text), (" \n", text)]
    {
        for command in [send("k", given), edit(OF_ANN, given, None)] {
            assert_eq!(check(&command).err().map(|refusal| refusal.code), expected, "{given:.9}");
        }
    }
    let key = Some(Code::InvalidClientMessageId);
    for (given, expected) in
        [("k".repeat(64), None), ("k".repeat(65), key), (String::new(), key), ("\t".into(), key)]
    {
        for command in [send(&given, "hi"), edit(OF_ANN, "hi", Some(&given))] {
            assert_eq!(check(&command).err().map(|refusal| refusal.code), expected, "{given:?}");
        }
    }
    assert_eq!(check(&delete(Seq(1))), Ok(()));
}
