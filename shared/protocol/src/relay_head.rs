//! The first bytes of a run of events on the bus: enough to know a run whose events a gateway has, as that of its own
//! commands, without reading the rest. They are fields of the same JSON, which older nodes pass over, and which an
//! older api does not send.

use crate::{
    chat::Event,
    id::{ChatId, Seq},
    relay::ChatEvents,
    traceparent::Traceparent,
};
use serde::Serialize;

/// What the first bytes say of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunHead {
    /// All events come after this one …
    pub after: Seq,
    /// … up to this one.
    pub upto: Seq,
    /// See [`ChatEvents::published_ms`].
    pub published_ms: i64,
}

/// A run as it is published: the fields of [`RunHead`] in its order, then those of [`ChatEvents`].
#[derive(Serialize)]
struct Published<'a> {
    kind: &'static str,
    after: Seq,
    upto: Seq,
    published_ms: i64,
    chat_id: ChatId,
    events: &'a [Event],
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<Traceparent>,
}

impl RunHead {
    /// The payload of a run, which is not empty: a [`crate::relay::ChatPayload::Events`] that begins with its head.
    pub fn encode(run: &ChatEvents) -> serde_json::Result<Vec<u8>> {
        let ChatEvents { chat_id, events, published_ms, traceparent } = run;
        let seq = |event: Option<&Event>| event.map(|event| event.seq).unwrap_or_default();
        serde_json::to_vec(&Published {
            kind: "events",
            after: Seq(seq(events.first()).0 - 1),
            upto: seq(events.last()),
            published_ms: *published_ms,
            chat_id: *chat_id,
            events,
            traceparent: *traceparent,
        })
    }

    /// Reads the head of a payload. `None` for any other payload.
    pub fn read(payload: &[u8]) -> Option<Self> {
        let (after, rest) = number(payload.strip_prefix(br#"{"kind":"events","after":"#)?)?;
        let (upto, rest) = number(rest.strip_prefix(br#","upto":"#)?)?;
        let (published_ms, rest) = number(rest.strip_prefix(br#","published_ms":"#)?)?;
        rest.starts_with(b",").then_some(Self { after: Seq(after), upto: Seq(upto), published_ms })
    }
}

/// The number at the front, and what follows.
fn number(text: &[u8]) -> Option<(i64, &[u8])> {
    let end = text.iter().position(|byte| !matches!(byte, b'0'..=b'9' | b'-'))?;
    let (digits, rest) = text.split_at(end);
    Some((std::str::from_utf8(digits).ok()?.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{chat::Change, id::UserId, relay::ChatPayload, time::Timestamp};

    fn run(seqs: std::ops::RangeInclusive<i64>, traceparent: Option<Traceparent>) -> ChatEvents {
        let event = |seq| {
            let by = UserId(1);
            Event {
                seq: Seq(seq),
                change: Change::Deleted { id: Seq(1), by, timestamp: Timestamp(5) },
            }
        };
        let events = seqs.map(event).collect();
        ChatEvents { chat_id: ChatId(7), events, published_ms: 9, traceparent }
    }

    #[test]
    fn a_head_is_read_without_the_rest_and_the_whole_is_what_it_always_was() {
        for (seqs, traceparent) in [(4..=4, None), (4..=6, Traceparent::new(1, 2, true))] {
            let (after, upto) = (Seq(3), Seq(*seqs.end()));
            let run = run(seqs, traceparent);
            let payload = RunHead::encode(&run).unwrap();
            let head = Some(RunHead { after, upto, published_ms: 9 });
            assert_eq!(RunHead::read(&payload), head);
            assert_eq!(RunHead::read(&payload[..70]), head, "all is in front");
            let whole: ChatPayload = serde_json::from_slice(&payload).unwrap();
            assert_eq!(whole, ChatPayload::Events(run), "older gateways read it");
        }
    }

    #[test]
    fn what_has_no_head_is_no_head() {
        let plain = serde_json::to_string(&ChatPayload::Events(run(4..=4, None))).unwrap();
        for payload in [
            plain.as_str(),
            "",
            r#"{"kind":"read","user_id":1,"message_id":2}"#,
            r#"{"kind":"events","after":3"#,
            r#"{"kind":"events","after":3,"upto":4,"published_ms":9"#,
            r#"{"kind":"events","after":,"upto":4,"published_ms":9,"#,
            r#"{"kind":"events","after":3-4,"upto":4,"published_ms":9,"#,
            r#"{"kind":"events","after":99999999999999999999,"upto":4,"published_ms":9,"#,
        ] {
            assert_eq!(RunHead::read(payload.as_bytes()), None, "{payload}");
        }
    }
}
