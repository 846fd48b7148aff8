//! Whatever a call and its answer are, both come through a stream as they went in.

use super::*;
use crate::{
    chat::{Change, Event},
    relay::ChatEvents,
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
    let received = through(&PostBody::new(post, None), &mut there);
    let answer = through(&PostedBody::new(posted), &mut back);
    (received.call(), answer.answer())
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

fn run(chat: i64, seq: i64) -> EncodedRun {
    let change = Change::Deleted { id: Seq(seq), by: UserId(1), timestamp: Timestamp(5) };
    let events = vec![Event { seq: Seq(seq), change }];
    let traceparent = Traceparent::new(7, 7, true);
    let run = ChatEvents { chat_id: ChatId(chat), events, published_ms: 5, traceparent };
    EncodedRun::of(&run).unwrap()
}

proptest! {
    #[test]
    fn a_call_and_its_answer_come_through(
        items in vec((command(), result()), 0..9),
        runs in vec((any::<i64>(), any::<i64>()), 0..4),
        impatient: bool,
    ) {
        let (commands, results) = items.into_iter().unzip();
        let post = Post { commands, impatient };
        let events = runs.into_iter().map(|(chat, seq)| run(chat, seq)).collect();
        let posted = Posted { results, events };
        let (call, answer) = carried(&post, &posted);
        prop_assert_eq!(call.commands, post.commands);
        prop_assert_eq!(call.impatient, impatient);
        prop_assert_eq!(answer.results, posted.results);
        prop_assert_eq!(answer.events, posted.events);
    }
}

#[test]
fn a_code_that_only_a_newer_api_knows_is_read_as_unknown() {
    assert_eq!(code_of("moon_is_full"), Code::Unknown);
    assert_eq!(code_of("busy"), Code::Busy);
}
