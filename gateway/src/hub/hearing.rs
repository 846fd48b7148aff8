//! What the bus brings: which of its partitions are down, and which were since the last comparison with the api.

use parking_lot::Mutex;
use platform::bus::Partitions;
use protocol::{id::ChatId, relay::Channel};
use std::mem;

/// Nothing is heard until the bus says that it is.
pub(crate) struct Hearing(Mutex<Heard>);

struct Heard {
    down: Partitions,
    missed: Partitions,
}

impl Default for Hearing {
    fn default() -> Self {
        Self(Mutex::new(Heard { down: Partitions::all(), missed: Partitions::all() }))
    }
}

impl Hearing {
    /// The bus brings what is published in these.
    pub(super) fn on_up(&self, partitions: &Partitions) {
        let mut heard = self.0.lock();
        partitions.iter().for_each(|one| {
            heard.down.remove(one);
        });
    }

    /// The bus does not bring what is published in these.
    pub(super) fn on_down(&self, partitions: &Partitions) {
        let mut heard = self.0.lock();
        heard.down.extend(partitions.iter());
        heard.missed.extend(partitions.iter());
    }

    /// Whether the bus brings a chat's events.
    pub(crate) fn hears(&self, chat: ChatId) -> bool {
        !self.0.lock().down.contains(Channel::Chat(chat).partition())
    }

    /// Whether it brings everything.
    pub(crate) fn hears_all(&self) -> bool {
        self.0.lock().down.is_empty()
    }

    /// The partitions that were down at any time since the last call.
    pub(crate) fn take_missed(&self) -> Partitions {
        let mut heard = self.0.lock();
        let still = heard.down.clone();
        mem::replace(&mut heard.missed, still)
    }

    /// The comparison with the api failed: the next one must know of these.
    pub(crate) fn put_back(&self, missed: &Partitions) {
        self.0.lock().missed.extend(missed.iter());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_down_is_missed_once_and_what_is_down_again_and_again() {
        let (one, two) = (ChatId(1), ChatId(2));
        let only = |chat| Partitions::from_iter([Channel::Chat(chat).partition()]);
        let hearing = Hearing::default();
        assert!(!hearing.hears(one) && hearing.take_missed().is_all());
        hearing.on_up(&Partitions::all());
        assert!(hearing.hears_all() && hearing.take_missed().is_all());
        assert!(hearing.take_missed().is_empty());
        hearing.on_down(&only(one));
        hearing.on_down(&only(two));
        hearing.on_up(&only(two));
        assert!(!hearing.hears(one) && hearing.hears(two) && !hearing.hears_all());
        let missed = hearing.take_missed();
        assert_eq!(missed.len(), 2);
        assert_eq!(hearing.take_missed(), only(one));
        hearing.put_back(&missed);
        assert_eq!(hearing.take_missed(), missed);
    }
}
