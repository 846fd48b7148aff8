//! An event or frame for many connections: encoded once for each wire format in use, delivered as the same
//! bytes. It knows no connection.

use crate::{
    dialect::{Dialect, native},
    wire::frame::Frame,
};
use protocol::{
    encoded_run::{About, SlicedEvent},
    frames::{ChatEvent, ServerFrame},
    id::{Seq, UserId},
    time::Timestamp,
};
use std::{
    cell::OnceCell,
    sync::{Arc, OnceLock},
};

/// The maximum number of bytes of events that a join queues under the chat's lock. A client that missed more
/// gets it piece by piece, so that the lock is held for a moment only.
const PIECE_BYTES: usize = 64 * 1024;

/// A chat's event, shared by all who get it. It keeps the native frame only. The older dialects, in which few
/// chats are watched, parse that frame again.
#[derive(Debug)]
pub(crate) struct SharedEvent {
    pub seq: Seq,
    pub about: About,
    native: Frame,
    /// The other dialects' encodings. Allocated on demand, because only native clients watch most chats.
    others: OnceLock<Box<Encodings>>,
}

type Encodings = [OnceLock<Option<Frame>>; Dialect::ALL.len()];

impl SharedEvent {
    pub(crate) fn new(event: &ChatEvent) -> Self {
        let about = About::of(&event.event.change);
        Self { seq: event.event.seq, about, native: native::encode(event), others: OnceLock::new() }
    }

    /// The event in a dialect, for a connection of the user `reader`, or of a guest (`None`). Returns `None` if
    /// that connection is not shown the event.
    pub(crate) fn frame(&self, dialect: Dialect, reader: Option<UserId>) -> Option<Frame> {
        if dialect == Dialect::Native {
            return Some(self.native.clone());
        }
        // The older dialects show new messages only.
        let About::Message(sender) = self.about else { return None };
        if dialect.leaves_out_own() && reader == Some(sender) {
            return None;
        }
        let others = self.others.get_or_init(Box::default);
        let encode = || dialect.encode_event(&self.event()?, reader);
        others[dialect as usize].get_or_init(encode).clone()
    }

    /// The event as a native client reads it.
    pub(crate) fn native(&self) -> &Frame {
        &self.native
    }

    /// The approximate size in memory: the native frame, which outboxes count too, and this struct. Each older
    /// dialect in use adds about as much again, for which the bounds leave space.
    pub(crate) fn bytes(&self) -> usize {
        self.native.size() + size_of::<Self>()
    }

    fn event(&self) -> Option<ChatEvent> {
        serde_json::from_str(self.native.text()).ok()
    }
}

impl From<SlicedEvent<'_>> for SharedEvent {
    fn from(SlicedEvent { seq, about, frame }: SlicedEvent<'_>) -> Self {
        Self { seq, about, native: Frame::from(frame), others: OnceLock::new() }
    }
}

/// A run of events as one native frame. `None` if it is a single event or longer than a piece.
pub(crate) fn concat(run: &[Arc<SharedEvent>]) -> Option<Frame> {
    let several = run.len() > 1 && piece(run).is_none();
    several.then(|| Frame::concat(run.iter().map(|event| event.native())))
}

/// The number of events in the first piece of these, at least one. `None` if all of them are one piece.
pub(crate) fn piece(events: &[Arc<SharedEvent>]) -> Option<usize> {
    let mut bytes = 0;
    let fits = events.iter().take_while(|event| {
        bytes += event.bytes();
        bytes <= PIECE_BYTES
    });
    let count = fits.count().max(1);
    (count < events.len()).then_some(count)
}

/// A frame that is no event, with its encoding in each dialect.
#[derive(Debug)]
pub(crate) struct SharedFrame<'a> {
    frame: &'a ServerFrame,
    now: Timestamp,
    encodings: [OnceCell<Option<Frame>>; Dialect::ALL.len()],
}

impl<'a> SharedFrame<'a> {
    pub(crate) fn new(frame: &'a ServerFrame) -> Self {
        Self { frame, now: Timestamp::now(), encodings: Default::default() }
    }

    /// The frame in a dialect; `None` if the dialect has no words for it.
    pub(crate) fn frame(&self, dialect: Dialect) -> Option<Frame> {
        let encode = || dialect.encode(self.frame, self.now);
        self.encodings[dialect as usize].get_or_init(encode).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::samples::message_event;
    use protocol::id::ChatId;

    const SENDER: Option<UserId> = Some(UserId(3));
    const OTHER: Option<UserId> = Some(UserId(4));

    #[test]
    fn an_event_is_encoded_once_for_each_dialect() {
        let event = SharedEvent::new(&message_event());
        for &dialect in Dialect::ALL {
            let [one, another] = [(); 2].map(|()| event.frame(dialect, OTHER).unwrap());
            assert_eq!(one.wire().as_ptr(), another.wire().as_ptr(), "{dialect:?}");
        }
        let told = ServerFrame::ChatRemoved { chat_id: ChatId(1) };
        let told = SharedFrame::new(&told);
        let [one, another] = [(); 2].map(|()| told.frame(Dialect::Native).unwrap());
        assert_eq!(one.wire().as_ptr(), another.wire().as_ptr());
        assert_eq!(told.frame(Dialect::Chat), None);
    }

    #[test]
    fn two_dialects_do_not_show_a_sender_its_own_messages() {
        for &dialect in Dialect::ALL {
            let event = SharedEvent::new(&message_event());
            let own = matches!(dialect, Dialect::Native | Dialect::Lobby | Dialect::Chat);
            assert_eq!(event.frame(dialect, SENDER).is_some(), own, "{dialect:?}");
            // Whoever asks first, the others are shown it, and the receiver is never the sender.
            let frame = event.frame(dialect, OTHER).unwrap();
            if dialect == Dialect::Numbers {
                assert!(frame.text().contains(r#""senderId":3,"receiverId":4"#), "{frame:?}");
            }
        }
    }
}
