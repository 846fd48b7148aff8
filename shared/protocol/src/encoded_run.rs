//! A run of events as it travels, on the bus and in the answers to `post`: encoded once, by the api. Each event in it is
//! the native protocol's frame, as clients read it. The first bytes say how far the run goes, where each frame lies, and
//! what a delivery must know of its event. So a gateway drops a run that it has, and delivers any other, without parsing
//! an event. The whole is the JSON of [`ChatPayload::Events`](crate::relay::ChatPayload::Events): older gateways pass over
//! what they do not know of it, and what an older api publishes has no head and must be parsed.

use crate::{
    chat::{Change, Event, MemberChange},
    id::{ChatId, Seq, UserId},
    relay::ChatEvents,
    traceparent::Traceparent,
};
use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _, ser::Error as _};
use std::{
    convert::Infallible,
    fmt::{self, Write as _},
    str,
};

#[cfg(test)]
mod tests;

/// A run of events, encoded. What comes from another process may be no run: [`SlicedRun::read`] finds out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedRun(Bytes);

/// What the first bytes say of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunHead {
    /// The chat.
    pub chat_id: ChatId,
    /// All events come after this one …
    pub after: Seq,
    /// … up to this one.
    pub upto: Seq,
    /// See [`ChatEvents::published_ms`].
    pub published_ms: i64,
}

/// An encoded run, taken apart and not parsed.
#[derive(Debug, PartialEq, Eq)]
pub struct SlicedRun<'a> {
    /// What its first bytes say.
    pub head: RunHead,
    /// See [`ChatEvents::traceparent`].
    pub traceparent: Option<Traceparent>,
    /// In the order of `seq`; at least one.
    pub events: Vec<SlicedEvent<'a>>,
}

/// An event of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlicedEvent<'a> {
    /// Its place among the chat's events.
    pub seq: Seq,
    /// What a delivery must know of it.
    pub about: About,
    /// The frame of the native protocol. Begins and ends as one; what is between is the api's word.
    pub frame: &'a str,
}

/// The facts about an event that its delivery needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// A new message from this sender.
    Message(UserId),
    /// The user became a member.
    Joined(UserId),
    /// The user is no longer a member.
    Parted(UserId),
    /// Anything else.
    Other,
}

impl EncodedRun {
    /// Encodes a run, which is not empty.
    pub fn of(run: &ChatEvents) -> serde_json::Result<Self> {
        /// A [`ChatEvent`](crate::frames::ChatEvent) that owns nothing.
        #[derive(Serialize)]
        struct EventFrame<'a> {
            chat_id: ChatId,
            #[serde(flatten)]
            event: &'a Event,
        }
        let ChatEvents { chat_id, events, published_ms, traceparent } = run;
        let mut frames = EncodedFrames::default();
        for event in events {
            frames.add(About::of(&event.change), |bytes| {
                serde_json::to_writer(bytes, &EventFrame { chat_id: *chat_id, event })
            })?;
        }
        let seq = |event: Option<&Event>| event.map(|event| event.seq).unwrap_or_default();
        let (first, upto) = (seq(events.first()), seq(events.last()));
        let after = Seq(first.0.saturating_sub(1));
        let head = RunHead { chat_id: *chat_id, after, upto, published_ms: *published_ms };
        Ok(frames.into_run(head, *traceparent))
    }

    /// The events again.
    pub fn parse(&self) -> serde_json::Result<ChatEvents> {
        serde_json::from_slice(&self.0)
    }

    /// What the bus carries.
    pub fn payload(&self) -> &Bytes {
        &self.0
    }
}

/// EncodedFrames on their way into a run, and where each of them lies.
#[derive(Default)]
struct EncodedFrames {
    bytes: Vec<u8>,
    index: String,
}

impl EncodedFrames {
    /// Adds the frame of an event.
    fn add<E>(
        &mut self,
        about: About,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        if !self.bytes.is_empty() {
            self.index.push(' ');
            self.bytes.push(b',');
        }
        let start = self.bytes.len();
        write(&mut self.bytes)?;
        let _ = write!(self.index, "{}{about}", self.bytes.len() - start);
        Ok(())
    }

    fn into_run(self, head: RunHead, traceparent: Option<Traceparent>) -> EncodedRun {
        let RunHead { chat_id, after, upto, published_ms } = head;
        let mut head = format!(
            r#"{{"kind":"events","chat_id":{chat_id},"after":{after},"upto":{upto},"published_ms":{published_ms}"#
        );
        if let Some(traceparent) = traceparent {
            let _ = write!(head, r#","traceparent":"{traceparent}""#);
        }
        let Self { bytes, index } = self;
        let parts = [head.as_bytes(), br#","frames":""#, index.as_bytes(), br#"","events":["#];
        EncodedRun([&parts.concat()[..], &bytes, b"]}"].concat().into())
    }
}

/// As JSON it is a [`ChatEvents`], for gateways and apis that know no other; else it is its bytes.
impl Serialize for EncodedRun {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if to.is_human_readable() {
            return self.parse().map_err(S::Error::custom)?.serialize(to);
        }
        self.0.serialize(to)
    }
}

impl<'de> Deserialize<'de> for EncodedRun {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        if from.is_human_readable() {
            return Self::of(&ChatEvents::deserialize(from)?).map_err(D::Error::custom);
        }
        Bytes::deserialize(from).map(Self)
    }
}

impl RunHead {
    /// Reads the head of a payload. `None` for any other payload.
    pub fn read(payload: &[u8]) -> Option<Self> {
        Self::split(payload).map(|(head, _)| head)
    }

    fn split(payload: &[u8]) -> Option<(Self, &[u8])> {
        let (chat_id, rest) = number(payload.strip_prefix(br#"{"kind":"events","chat_id":"#)?)?;
        let (after, rest) = number(rest.strip_prefix(br#","after":"#)?)?;
        let (upto, rest) = number(rest.strip_prefix(br#","upto":"#)?)?;
        let (published_ms, rest) = number(rest.strip_prefix(br#","published_ms":"#)?)?;
        let (chat_id, after, upto) = (ChatId(chat_id), Seq(after), Seq(upto));
        rest.starts_with(b",").then_some((Self { chat_id, after, upto, published_ms }, rest))
    }
}

impl<'a> SlicedRun<'a> {
    /// Takes a payload apart. `None` if it is not what [`EncodedRun::of`] makes: of an older or newer api, or a
    /// stranger's. Every frame lies where the head says, begins with the chat and a number of the run, and ends.
    pub fn read(payload: &'a [u8]) -> Option<Self> {
        let (head, rest) = RunHead::split(payload)?;
        let (traceparent, rest) = match rest.strip_prefix(br#","traceparent":""#) {
            // A broken trace must not cost the payload.
            Some(rest) => {
                let (text, rest) = quoted(rest)?;
                (str::from_utf8(text).ok().and_then(|text| text.parse().ok()), rest)
            }
            None => (None, rest),
        };
        let (index, rest) = quoted(rest.strip_prefix(br#","frames":""#)?)?;
        let mut rest = rest.strip_prefix(br#","events":["#)?;
        let (mut events, mut last) = (Vec::<SlicedEvent<'_>>::new(), head.after);
        for entry in index.split(|&byte| byte == b' ') {
            if !events.is_empty() {
                rest = rest.strip_prefix(b",")?;
            }
            let (length, about) = number(entry)?;
            let (frame, behind) = rest.split_at_checked(usize::try_from(length).ok()?)?;
            let (seq, about) = (seq_of(frame, head.chat_id)?, About::read(about)?);
            if seq <= last {
                return None;
            }
            events.push(SlicedEvent { seq, about, frame: str::from_utf8(frame).ok()? });
            (rest, last) = (behind, seq);
        }
        let is_whole = last == head.upto && rest == b"]}";
        is_whole.then_some(Self { head, traceparent, events })
    }
}

impl SlicedRun<'_> {
    /// Takes so many events off the front, as a run of their own. `None` if there are none.
    pub fn take(&mut self, count: usize) -> Option<EncodedRun> {
        let taken = self.events.drain(..count.min(self.events.len()));
        let (mut frames, mut upto) = (EncodedFrames::default(), None);
        for SlicedEvent { seq, about, frame } in taken {
            let Ok(()) = frames.add(about, |bytes| -> Result<(), Infallible> {
                bytes.extend_from_slice(frame.as_bytes());
                Ok(())
            });
            upto = Some(seq);
        }
        let head = RunHead { upto: upto?, ..self.head };
        self.head.after = head.upto;
        Some(frames.into_run(head, self.traceparent))
    }
}

impl About {
    /// The facts about an event with this change.
    pub fn of(change: &Change) -> Self {
        match change {
            Change::Message(message) => Self::Message(message.sender.id),
            Change::Member { user, change: MemberChange::Joined, .. } => Self::Joined(user.id),
            Change::Member { user, .. } => Self::Parted(user.id),
            Change::Edited(_)
            | Change::Deleted { .. }
            | Change::Renamed { .. }
            | Change::Owner { .. }
            | Change::Unknown => Self::Other,
        }
    }

    fn read(text: &[u8]) -> Option<Self> {
        let (kind, rest) = text.split_first()?;
        let user = || Some(UserId(str::from_utf8(rest).ok()?.parse().ok()?));
        match kind {
            b'm' => user().map(Self::Message),
            b'j' => user().map(Self::Joined),
            b'p' => user().map(Self::Parted),
            b'o' => rest.is_empty().then_some(Self::Other),
            _ => None,
        }
    }
}

/// As a run's head says it.
impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message(user) => write!(f, "m{user}"),
            Self::Joined(user) => write!(f, "j{user}"),
            Self::Parted(user) => write!(f, "p{user}"),
            Self::Other => f.write_str("o"),
        }
    }
}

/// The number of a frame of this chat.
fn seq_of(frame: &[u8], chat: ChatId) -> Option<Seq> {
    let (of, rest) = number(frame.strip_prefix(br#"{"chat_id":"#)?)?;
    let (seq, rest) = number(rest.strip_prefix(br#","seq":"#)?)?;
    let is_frame = of == chat.0 && rest.starts_with(br#","type":""#) && rest.ends_with(b"}");
    is_frame.then_some(Seq(seq))
}

/// The number at the front, and what follows.
fn number(text: &[u8]) -> Option<(i64, &[u8])> {
    let end = text.iter().position(|byte| !matches!(byte, b'0'..=b'9' | b'-'))?;
    let (digits, rest) = text.split_at(end);
    Some((str::from_utf8(digits).ok()?.parse().ok()?, rest))
}

/// The text at the front up to a quote, and what follows the quote. For texts without escapes.
fn quoted(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text.iter().position(|&byte| byte == b'"')?;
    Some((&text[..end], &text[end + 1..]))
}
