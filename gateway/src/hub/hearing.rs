//! What the bus brings: which of its partitions are down, and which were since the last comparison with the api.

use parking_lot::Mutex;
use platform::bus::Partitions;
use protocol::{id::ChatId, relay::Channel};
use std::mem;
use tokio::time::Instant;

/// Nothing is heard until the bus says that it is.
pub(crate) struct Hearing(Mutex<Heard>);

struct Heard {
    down: Partitions,
    missed: Partitions,
    /// Back, but what others publish may not get there yet.
    settling: Partitions,
    settled_at: Instant,
}

impl Default for Hearing {
    fn default() -> Self {
        Self(Mutex::new(Heard {
            down: Partitions::all(),
            missed: Partitions::all(),
            settling: Partitions::default(),
            settled_at: Instant::now(),
        }))
    }
}

impl Hearing {
    /// The bus brings what is published in these. The others can publish there by `settled_at`.
    pub(super) fn on_up(&self, partitions: &Partitions, settled_at: Instant) {
        let mut heard = self.0.lock();
        partitions.iter().for_each(|one| {
            heard.down.remove(one);
        });
        heard.settling.extend(partitions.iter());
        heard.settled_at = settled_at;
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

    /// Whether it brings everything, and has for a while.
    pub(crate) fn hears_all(&self) -> bool {
        let heard = self.0.lock();
        heard.down.is_empty() && heard.settling.is_empty()
    }

    /// The partitions that were down, or not settled, at any time since the last call.
    pub(crate) fn take_missed(&self, now: Instant) -> Partitions {
        let mut heard = self.0.lock();
        if now >= heard.settled_at {
            heard.settling = Partitions::default();
        }
        let mut still = heard.down.clone();
        still.extend(heard.settling.iter());
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
    use std::time::Duration;

    #[test]
    fn what_was_down_is_missed_once_and_what_is_down_again_and_again() {
        let (one, two) = (ChatId(1), ChatId(2));
        let only = |chat| Partitions::from_iter([Channel::Chat(chat).partition()]);
        let (hearing, now) = (Hearing::default(), Instant::now());
        assert!(!hearing.hears(one) && hearing.take_missed(now).is_all());
        hearing.on_up(&Partitions::all(), now);
        assert!(hearing.hears(one) && hearing.take_missed(now).is_all());
        assert!(hearing.hears_all() && hearing.take_missed(now).is_empty());
        hearing.on_down(&only(one));
        hearing.on_down(&only(two));
        hearing.on_up(&only(two), now);
        assert!(!hearing.hears(one) && hearing.hears(two) && !hearing.hears_all());
        let missed = hearing.take_missed(now);
        assert_eq!(missed.len(), 2);
        assert_eq!(hearing.take_missed(now), only(one));
        hearing.put_back(&missed);
        assert_eq!(hearing.take_missed(now), missed);
    }

    #[test]
    fn what_is_back_is_missed_until_the_others_can_publish_there() {
        let only = Partitions::from_iter([Channel::Control.partition()]);
        let (hearing, now) = (Hearing::default(), Instant::now());
        hearing.on_up(&Partitions::all(), now);
        hearing.take_missed(now);
        hearing.on_down(&only);
        hearing.on_up(&only, now + Duration::from_secs(2));
        for after in [0, 1, 2] {
            assert!(!hearing.hears_all());
            assert_eq!(hearing.take_missed(now + Duration::from_secs(after)), only);
        }
        assert!(hearing.hears_all() && hearing.take_missed(now).is_empty());
    }
}
