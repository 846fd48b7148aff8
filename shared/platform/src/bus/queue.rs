//! A queue of messages, bounded in number and bytes, filled without waiting and emptied in batches by one
//! task. It does not decide which messages to drop: it only reports that it is full.

use bytes::Bytes;
use parking_lot::Mutex;
use protocol::relay::Channel;
use std::collections::VecDeque;
use tokio::sync::Notify;

/// One message on its way.
pub(super) type QueueEntry = (Channel, Bytes);

/// Shared between those who publish and the one task that takes.
pub(super) struct Queue {
    limit: Limit,
    state: Mutex<QueueState>,
    changed: Notify,
}

/// How much a queue holds at most.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    pub(super) entries: usize,
    pub(super) bytes: usize,
}

#[derive(Default)]
struct QueueState {
    entries: VecDeque<QueueEntry>,
    bytes: usize,
    overflowed: bool,
    closed: bool,
}

/// What [`Queue::take`] found.
pub(super) struct QueueBatch {
    /// In the order of pushing.
    pub(super) entries: Vec<QueueEntry>,
    /// A push was refused since the last batch.
    pub(super) overflowed: bool,
}

/// The queue holds as much as it may.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

impl Queue {
    pub(super) fn new(limit: Limit) -> Self {
        Self { limit, state: Mutex::default(), changed: Notify::new() }
    }

    /// Appends, or refuses and remembers that it did.
    pub(super) fn push(&self, entry: QueueEntry) -> Result<(), Full> {
        let (result, is_news) = {
            let mut state = self.state.lock();
            // Otherwise the taker knows already: it waits only for a queue with nothing to report.
            let is_news = state.entries.is_empty() && !state.overflowed;
            let bytes = state.bytes.saturating_add(entry.1.len());
            if state.entries.len() >= self.limit.entries || bytes > self.limit.bytes {
                state.overflowed = true;
                (Err(Full), is_news)
            } else {
                state.bytes = bytes;
                state.entries.push_back(entry);
                (Ok(()), is_news)
            }
        };
        // Also after a refusal, which the taker reports. Without the lock, which the taker needs at once.
        if is_news {
            self.changed.notify_one();
        }
        result
    }

    /// Waits until there is something to report and returns at most `max` entries; `None` once the
    /// queue is closed and empty. For one task; may be cancelled without losing anything.
    pub(super) async fn take(&self, max: usize) -> Option<QueueBatch> {
        loop {
            {
                let mut state = self.state.lock();
                if !state.entries.is_empty() || state.overflowed {
                    let count = state.entries.len().min(max);
                    let entries: Vec<QueueEntry> = state.entries.drain(..count).collect();
                    state.bytes -= entries.iter().map(|(_, payload)| payload.len()).sum::<usize>();
                    let overflowed = std::mem::take(&mut state.overflowed);
                    return Some(QueueBatch { entries, overflowed });
                }
                if state.closed {
                    return None;
                }
            }
            self.changed.notified().await;
        }
    }

    /// Forgets everything queued and returns how much that was.
    pub(super) fn clear(&self) -> usize {
        let mut state = self.state.lock();
        state.bytes = 0;
        state.overflowed = false;
        std::mem::take(&mut state.entries).len()
    }

    /// Lets [`Queue::take`] end once everything is taken.
    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.changed.notify_one();
    }

    /// Whether [`Queue::close`] was called.
    pub(super) fn is_closed(&self) -> bool {
        self.state.lock().closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::id::ChatId;

    fn entry(bytes: usize) -> QueueEntry {
        (Channel::Chat(ChatId(1)), Bytes::from(vec![0; bytes]))
    }

    #[tokio::test]
    async fn entries_and_bytes_are_bounded_and_refusals_reported_once() {
        let queue = Queue::new(Limit { entries: 2, bytes: 10 });
        assert_eq!(queue.push(entry(6)), Ok(()));
        assert_eq!(queue.push(entry(5)), Err(Full), "11 bytes");
        assert_eq!(queue.push(entry(4)), Ok(()));
        assert_eq!(queue.push(entry(0)), Err(Full), "third entry");
        let batch = queue.take(1).await.unwrap();
        assert_eq!((batch.entries.len(), batch.overflowed), (1, true));
        let batch = queue.take(1).await.unwrap();
        assert_eq!((batch.entries.len(), batch.overflowed), (1, false));
        assert_eq!(queue.push(entry(10)), Ok(()), "room again");
        assert_eq!(queue.clear(), 1);
        assert_eq!(queue.push(entry(10)), Ok(()), "clearing makes room");
        queue.close();
        assert_eq!(queue.take(9).await.unwrap().entries.len(), 1, "closed, but not empty");
        assert!(queue.take(9).await.is_none());
    }

    #[tokio::test]
    async fn whoever_waits_is_told_of_the_first_entry_and_of_a_refusal() {
        let queue = Queue::new(Limit { entries: 9, bytes: 10 });
        for (bytes, expected) in [(1, (2, false)), (11, (0, true))] {
            let push = async { [queue.push(entry(bytes)), queue.push(entry(bytes))] };
            // The first of them is polled first, and waits.
            let both = async { tokio::join!(queue.take(9), push) };
            let taken = tokio::time::timeout(std::time::Duration::from_secs(5), both).await;
            let batch = taken.unwrap().0.unwrap();
            assert_eq!((batch.entries.len(), batch.overflowed), expected);
        }
    }
}
