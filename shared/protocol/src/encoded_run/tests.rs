//! What is sliced equals what would be encoded anew; nodes of two versions read each other; what is no run is none.

use super::*;
use crate::{
    chat::{Message, UserRef},
    frames::ChatEvent,
    id::NodeId,
    relay::ChatPayload,
    time::Timestamp,
};
use proptest::{collection::vec, option, prelude::*};

fn at() -> impl Strategy<Value = Timestamp> {
    (0..4_000_000_000_000i64).prop_map(Timestamp)
}

fn seq() -> impl Strategy<Value = Seq> {
    any::<i64>().prop_map(Seq)
}

fn user() -> impl Strategy<Value = UserRef> {
    let texts = [(); 2].map(|()| option::of(any::<String>()));
    (any::<i64>(), any::<String>(), texts, any::<bool>()).prop_map(
        |(id, username, [name, avatar], guest)| UserRef {
            id: UserId(id),
            username,
            name,
            avatar,
            guest,
        },
    )
}

fn message() -> impl Strategy<Value = Message> {
    let optional = (option::of(any::<String>()), option::of(seq()), option::of(at()));
    (seq(), user(), any::<String>(), at(), optional).prop_map(
        |(id, sender, text, timestamp, (client_message_id, reply_to, edited_at))| Message {
            id,
            sender,
            text,
            timestamp,
            client_message_id,
            reply_to,
            edited_at,
        },
    )
}

fn change() -> impl Strategy<Value = Change> {
    let by = || any::<i64>().prop_map(UserId);
    let member_change = prop_oneof![
        Just(MemberChange::Joined),
        Just(MemberChange::Left),
        Just(MemberChange::Removed)
    ];
    prop_oneof![
        4 => message().prop_map(Change::Message),
        1 => message().prop_map(Change::Edited),
        1 => (seq(), by(), at()).prop_map(|(id, by, timestamp)| Change::Deleted { id, by, timestamp }),
        2 => (user(), member_change, by(), at()).prop_map(|(user, change, by, timestamp)| {
            Change::Member { user, change, by, timestamp }
        }),
        1 => (any::<String>(), by(), at())
            .prop_map(|(name, by, timestamp)| Change::Renamed { name, by, timestamp }),
        1 => (user(), by(), at()).prop_map(|(user, by, timestamp)| Change::Owner {
            user,
            by,
            timestamp
        }),
        1 => Just(Change::Unknown),
    ]
}

fn run() -> impl Strategy<Value = ChatEvents> {
    let events = vec((1..9i64, change()), 1..6);
    let traceparent = option::of(Just(Traceparent::new(1, 2, true).unwrap()));
    (any::<i64>(), -9..9i64, events, any::<i64>(), traceparent).prop_map(
        |(chat, mut seq, events, published_ms, traceparent)| {
            let event = |(step, change)| {
                seq += step;
                Event { seq: Seq(seq), change }
            };
            let events = events.into_iter().map(event).collect();
            ChatEvents { chat_id: ChatId(chat), events, published_ms, traceparent }
        },
    )
}

fn sample() -> ChatEvents {
    let sender = UserRef::registered(UserId(12), "ann");
    let message = Message {
        id: Seq(4),
        sender: sender.clone(),
        text: "\"hi\", \u{7}é".to_owned(),
        timestamp: Timestamp(5),
        client_message_id: None,
        reply_to: None,
        edited_at: None,
    };
    let joined = Change::Member {
        user: sender,
        change: MemberChange::Joined,
        by: UserId(12),
        timestamp: Timestamp(5),
    };
    let changes = [Change::Message(message), joined];
    let event = |(seq, change)| Event { seq: Seq(seq), change };
    let events = (4..).zip(changes).map(event).collect();
    ChatEvents { chat_id: ChatId(7), events, published_ms: 9, traceparent: None }
}

fn encoded(run: &ChatEvents) -> String {
    String::from_utf8(EncodedRun::of(run).unwrap().payload().to_vec()).unwrap()
}

/// As the last release declares it: it knows no field of the head, and no frame.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum OldPayload {
    Events(OldEvents),
    Presence { origin: NodeId },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct OldEvents {
    chat_id: ChatId,
    events: Vec<Event>,
    published_ms: i64,
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "Traceparent::lenient"
    )]
    traceparent: Option<Traceparent>,
}

impl From<ChatEvents> for OldEvents {
    fn from(ChatEvents { chat_id, events, published_ms, traceparent }: ChatEvents) -> Self {
        Self { chat_id, events, published_ms, traceparent }
    }
}

proptest! {
    #[test]
    fn a_slice_is_the_frame_that_encoding_the_event_would_make(run in run()) {
        let encoded = EncodedRun::of(&run).unwrap();
        let sliced = SlicedRun::read(encoded.payload()).unwrap();
        prop_assert_eq!(RunHead::read(encoded.payload()), Some(sliced.head));
        let (first, last) = (run.events[0].seq, run.events[run.events.len() - 1].seq);
        let ChatEvents { chat_id, published_ms, .. } = run;
        let head = RunHead { chat_id, after: Seq(first.0 - 1), upto: last, published_ms };
        prop_assert_eq!((sliced.head, sliced.traceparent), (head, run.traceparent));
        prop_assert_eq!(sliced.events.len(), run.events.len());
        for (slice, event) in sliced.events.iter().zip(&run.events) {
            let (seq, about) = (event.seq, About::of(&event.change));
            prop_assert_eq!((slice.seq, slice.about), (seq, about));
            let event = ChatEvent { chat_id, event: event.clone() };
            prop_assert_eq!(slice.frame, serde_json::to_string(&event).unwrap());
        }
    }

    #[test]
    fn a_run_that_is_divided_says_the_same(run in run(), at in any::<prop::sample::Index>()) {
        let encoded = EncodedRun::of(&run).unwrap();
        let mut rest = SlicedRun::read(encoded.payload()).unwrap();
        let at = at.index(run.events.len() + 1);
        let parts = [rest.take(at), rest.take(run.events.len())];
        prop_assert_eq!(rest.take(1), None);
        let mut events = Vec::new();
        for part in parts.into_iter().flatten() {
            let sliced = SlicedRun::read(part.payload()).unwrap();
            prop_assert_eq!(sliced.traceparent, run.traceparent);
            prop_assert_eq!(sliced.head.chat_id, run.chat_id);
            events.extend(part.parse().unwrap().events);
        }
        prop_assert_eq!(events, run.events);
    }

    #[test]
    fn nodes_of_two_versions_read_each_other(run in run()) {
        let encoded = EncodedRun::of(&run).unwrap();
        prop_assert_eq!(&encoded.parse().unwrap(), &run);
        let on_the_bus: OldPayload = serde_json::from_slice(encoded.payload()).unwrap();
        let in_an_answer: OldEvents =
            serde_json::from_str(&serde_json::to_string(&encoded).unwrap()).unwrap();
        prop_assert_eq!(OldPayload::Events(in_an_answer), on_the_bus);
        let old = serde_json::to_string(&OldPayload::Events(run.clone().into())).unwrap();
        prop_assert_eq!(SlicedRun::read(old.as_bytes()), None, "it has no head");
        let payload: ChatPayload = serde_json::from_str(&old).unwrap();
        prop_assert_eq!(payload, ChatPayload::Events(run.clone()));
        let answer = serde_json::to_string(&OldEvents::from(run)).unwrap();
        prop_assert_eq!(serde_json::from_str::<EncodedRun>(&answer).unwrap(), encoded);
    }

    /// Whatever a stranger changes, nothing panics, and no slice reaches beyond its event.
    #[test]
    fn a_changed_payload_is_no_run_or_one_of_whole_frames(
        run in run(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut payload = encoded(&run).into_bytes();
        for (place, byte) in changes {
            let place = place.index(payload.len());
            payload[place] = byte;
        }
        for payload in [&payload[..], &payload[..cut.index(payload.len())]] {
            let Some(sliced) = SlicedRun::read(payload) else { continue };
            prop_assert_eq!(RunHead::read(payload), Some(sliced.head));
            for event in sliced.events {
                let head = format!(r#"{{"chat_id":{},"seq":"#, sliced.head.chat_id);
                let is_whole = event.frame.starts_with(&head) && event.frame.ends_with('}');
                prop_assert!(is_whole, "{}", event.frame);
            }
        }
    }

    #[test]
    fn bytes_that_are_anything_are_no_run(bytes in vec(any::<u8>(), 0..200)) {
        prop_assert_eq!(RunHead::read(&bytes), None);
        prop_assert_eq!(SlicedRun::read(&bytes), None);
    }
}

#[test]
fn what_a_payload_looks_like() {
    let traceparent = Traceparent::new(1, 2, true);
    assert_eq!(
        encoded(&ChatEvents { traceparent, ..sample() }),
        concat!(
            r#"{"kind":"events","chat_id":7,"after":3,"upto":5,"published_ms":9,"#,
            r#""traceparent":"00-00000000000000000000000000000001-0000000000000002-01","#,
            r#""frames":"146m12 136j12","events":["#,
            r#"{"chat_id":7,"seq":4,"type":"message","id":4,"sender":{"id":12,"username":"ann"},"#,
            r#""text":"\"hi\", \u0007é","timestamp":"1970-01-01T00:00:00.005Z"},"#,
            r#"{"chat_id":7,"seq":5,"type":"member","user":{"id":12,"username":"ann"},"#,
            r#""change":"joined","by":12,"timestamp":"1970-01-01T00:00:00.005Z"}]}"#
        )
    );
}

#[test]
fn a_head_that_lies_is_no_head() {
    let payload = encoded(&sample());
    assert!(SlicedRun::read(payload.as_bytes()).is_some());
    for (right, wrong) in [
        // Lengths that reach too far, not far enough.
        (r#""146m12 136j12""#, r#""145m12 136j12""#),
        (r#""146m12 136j12""#, r#""146m12 137j12""#),
        (r#""146m12 136j12""#, r#""146m12 135j12""#),
        (r#""146m12 136j12""#, r#""283m12""#),
        (r#""146m12 136j12""#, r#""146m12""#),
        (r#""146m12 136j12""#, r#""146m12 136j12 0o""#),
        (r#""146m12 136j12""#, r#""146m12 9223372036854775807j12""#),
        (r#""146m12 136j12""#, r#""146m12 99999999999999999999j12""#),
        (r#""146m12 136j12""#, r#""146m12 -136j12""#),
        (r#""146m12 136j12""#, r#""146m12 j12""#),
        (r#""146m12 136j12""#, r#""146m12  136j12""#),
        (r#""146m12 136j12""#, r#""""#),
        // A kind that only a newer api knows, or none.
        (r#"136j12""#, r#"136x12""#),
        (r#"136j12""#, r#"136""#),
        (r#"136j12""#, r#"136j""#),
        (r#"136j12""#, r#"136o12""#),
        // Of another chat, out of order, or not what the head says.
        (r#"{"chat_id":7,"seq":5"#, r#"{"chat_id":8,"seq":5"#),
        (r#""chat_id":7,"after""#, r#""chat_id":8,"after""#),
        (r#""seq":5"#, r#""seq":4"#),
        (r#""seq":5"#, r#""seq":6"#),
        (r#""after":3"#, r#""after":4"#),
        (r#""upto":5"#, r#""upto":6"#),
        // Not all of it, or more.
        ("]}", "]} "),
        ("]}", "],}"),
        ("]}", "]"),
        (r#"},{"chat_id""#, r#"};{"chat_id""#),
        (r#""type":"member""#, r#""tape":"member""#),
    ] {
        assert_eq!(payload.matches(right).count(), 1, "{right}");
        let changed = payload.replace(right, wrong);
        assert_eq!(SlicedRun::read(changed.as_bytes()), None, "{changed}");
    }
    let mut no_text = payload.into_bytes();
    let place = no_text.iter().position(|&byte| byte == 0xc3).unwrap();
    no_text[place] = 0xff;
    assert_eq!(SlicedRun::read(&no_text), None, "not UTF-8");
}

#[test]
fn a_broken_trace_costs_no_event() {
    let traced = encoded(&ChatEvents { traceparent: Traceparent::new(1, 2, true), ..sample() });
    let broken = traced.replace("-01\",", "-??\",");
    let sliced = SlicedRun::read(broken.as_bytes()).unwrap();
    assert_eq!((sliced.traceparent, sliced.events.len()), (None, 2));
}

#[test]
fn all_of_the_head_is_in_front() {
    let payload = encoded(&sample());
    let head = RunHead { chat_id: ChatId(7), after: Seq(3), upto: Seq(5), published_ms: 9 };
    assert_eq!(RunHead::read(&payload.as_bytes()[..80]), Some(head));
    for payload in [
        "",
        r#"{"kind":"read","user_id":1,"message_id":2}"#,
        r#"{"kind":"events","chat_id":7,"after":3"#,
        r#"{"kind":"events","chat_id":7,"after":3,"upto":4,"published_ms":9"#,
        r#"{"kind":"events","chat_id":7,"after":,"upto":4,"published_ms":9,"#,
        r#"{"kind":"events","chat_id":7,"after":3-4,"upto":4,"published_ms":9,"#,
        r#"{"kind":"events","chat_id":7,"after":99999999999999999999,"upto":4,"published_ms":9,"#,
    ] {
        assert_eq!(RunHead::read(payload.as_bytes()), None, "{payload}");
    }
}
