//! Whatever a call and its answer are, both come through a stream as they went in.

use super::*;
use crate::{
    chat::MemberChange,
    stream::{self, FrameKind, HEAD_BYTES},
};
use proptest::{collection::vec, option, prelude::*};

fn through<'a, T: Deserialize<'a> + Serialize>(body: &T, room: &'a mut Vec<u8>) -> T {
    *room = stream::frame(FrameKind::Post, 1, body).unwrap();
    stream::read(&room[HEAD_BYTES..]).unwrap()
}

/// What came out at the other end: the call at the api, the answer at the gateway.
fn carried(post: &Post, posted: &Posted) -> (Post, Posted) {
    let (mut there, mut back) = (Vec::new(), Vec::new());
    let sent = PostBody::new(post, None);
    let received = through(&sent, &mut there);
    let answer = PostedBody::new(&received, posted).unwrap();
    let answer = through(&answer, &mut back);
    (received.call(), answer.answer(&sent).unwrap())
}

fn seq() -> impl Strategy<Value = Seq> {
    any::<i64>().prop_map(Seq)
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        ("\\PC{0,9}", "\\PC{0,9}", option::of(seq())).prop_map(
            |(client_message_id, text, reply_to)| Action::Send {
                client_message_id,
                text,
                reply_to
            }
        ),
        (seq(), "\\PC{0,9}", option::of("\\PC{0,9}")).prop_map(
            |(message_id, text, client_edit_id)| Action::Edit { message_id, text, client_edit_id }
        ),
        seq().prop_map(|message_id| Action::Delete { message_id }),
    ]
}

fn command() -> impl Strategy<Value = Command> {
    (0..3i64, 0..2i64, action()).prop_map(|(user, chat, action)| Command {
        user_id: UserId(user),
        chat_id: ChatId(chat),
        action,
    })
}

fn result() -> impl Strategy<Value = Result<Receipt, Refusal>> {
    let receipt = (0..4i64, 0..9i64, any::<bool>()).prop_map(|(seq, at, repeated)| {
        let (seq, timestamp) = (Seq(seq), Timestamp(at));
        Ok(Receipt { message_id: seq, seq, timestamp, repeated })
    });
    let refusal = (0..Code::ALL.len(), "\\PC{0,9}")
        .prop_map(|(place, message)| Err(Refusal::new(Code::ALL[place], message)));
    prop_oneof![4 => receipt, 1 => refusal]
}

/// What an event of a command may differ in from the one that the command alone makes.
fn change() -> impl Strategy<Value = u8> {
    prop_oneof![3 => Just(0u8), 1 => 1..7u8]
}

fn event(command: &Command, receipt: &Receipt, change: u8) -> Event {
    let body = CommandBody::from(command);
    let made = body.message(&ReceiptBody::from(receipt), "ann", change == 1);
    let by = command.user_id;
    let other = Change::Deleted { id: receipt.message_id, by, timestamp: receipt.timestamp };
    let mut event = made.unwrap_or(Event { seq: receipt.seq, change: other });
    if let Change::Message(message) = &mut event.change {
        match change {
            2 => message.text.push('!'),
            3 => message.edited_at = Some(Timestamp(5)),
            4 => message.client_message_id = None,
            5 => message.sender.id = UserId(9),
            6 => message.reply_to = Some(Seq(77)),
            _ => {}
        }
    }
    event
}

proptest! {
    #[test]
    fn a_call_and_its_answer_come_through(
        items in vec((command(), result(), change()), 0..9),
        impatient: bool,
    ) {
        let commands = items.iter().map(|(command, ..)| command.clone()).collect();
        let post = Post { commands, impatient };
        let run = |(command, result, change): &(Command, Result<Receipt, Refusal>, u8)| {
            let receipt = result.as_ref().ok()?;
            let traceparent = Traceparent::new(7, u64::from(*change), true);
            let events = vec![event(command, receipt, *change)];
            Some(ChatEvents { chat_id: command.chat_id, events, published_ms: 5, traceparent })
        };
        let events = items.iter().filter_map(run).collect();
        let posted =
            Posted { results: items.iter().map(|(_, result, _)| result.clone()).collect(), events };
        let (call, answer) = carried(&post, &posted);
        prop_assert_eq!(call.commands, post.commands);
        prop_assert_eq!(call.impatient, impatient);
        prop_assert_eq!(answer.results, posted.results);
        prop_assert_eq!(answer.events, posted.events);
    }
}

#[test]
fn the_text_of_a_message_does_not_come_back() {
    let text = "x".repeat(4_000);
    let action = Action::Send { client_message_id: "a".into(), text, reply_to: None };
    let command = Command { user_id: UserId(1), chat_id: ChatId(2), action };
    let seq = Seq(3);
    let receipt = Receipt { message_id: seq, seq, timestamp: Timestamp(4), repeated: false };
    let events = vec![event(&command, &receipt, 0)];
    let run = ChatEvents { chat_id: ChatId(2), events, published_ms: 5, traceparent: None };
    let post = Post { commands: vec![command], impatient: true };
    let mut posted = Posted { results: vec![Ok(receipt)], events: vec![run] };
    let body = PostBody::new(&post, None);
    let bytes = |posted: &Posted| {
        stream::frame(FrameKind::Posted, 1, &PostedBody::new(&body, posted).unwrap()).unwrap().len()
    };
    assert!(bytes(&posted) < 50);
    posted.events[0].events[0].change = Change::Member {
        user: UserRef::registered(UserId(1), "ann"),
        change: MemberChange::Joined,
        by: UserId(1),
        timestamp: Timestamp(4),
    };
    assert!(bytes(&posted) > 50, "any other event comes as it is");
    assert_eq!(carried(&post, &posted).1.events, posted.events);
}

#[test]
fn what_makes_no_sense_is_an_error_and_no_panic() {
    let made = EventBody::Made { command: 1, username: "ann", guest: false };
    let run =
        RunBody { chat_id: ChatId(1), published_ms: 0, traceparent: None, events: vec![made] };
    let body = PostedBody { results: Vec::new(), runs: vec![run] };
    assert!(body.answer(&PostBody::new(&Post::default(), None)).is_err());
    assert_eq!(code_of("moon_is_full"), Code::Unknown);
    assert_eq!(code_of("busy"), Code::Busy);
}
