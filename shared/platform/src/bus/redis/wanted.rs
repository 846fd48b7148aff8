//! The wanted channels of a subscription, and the changes that the server does not know yet. It outlives connections
//! and does no I/O.

use super::super::metric;
use parking_lot::Mutex;
use protocol::relay::Channel;
use std::collections::HashSet;
use tokio::sync::{Notify, oneshot};

/// Shared between the subscriber's handle and its supervisor.
#[derive(Default)]
pub(super) struct Wanted {
    state: Mutex<WantedState>,
    changed: Notify,
}

#[derive(Default)]
struct WantedState {
    channels: HashSet<Channel>,
    /// A connection exists that knows the channels that were wanted when it began.
    connected: bool,
    /// The channels that were added or removed since then, or since the last [`Wanted::changes`]. Empty without a
    /// connection.
    changed: HashSet<Channel>,
    waiting: Vec<oneshot::Sender<()>>,
}

/// What the server must be told next.
#[derive(Default)]
pub(super) struct Changes {
    pub(super) subscribe: Vec<Channel>,
    pub(super) unsubscribe: Vec<Channel>,
    /// To be told once the server has confirmed the above.
    pub(super) waiting: Vec<oneshot::Sender<()>>,
}

impl Wanted {
    /// Wants these channels. `Some`: resolves when the server confirmed, or fails when the connection
    /// is lost first. `None`: there is no connection to wait for.
    pub(super) fn add(&self, channels: &[Channel]) -> Option<oneshot::Receiver<()>> {
        let mut state = self.state.lock();
        let before = state.channels.len();
        state.channels.extend(channels);
        metric::add_subscriptions(state.channels.len() - before);
        // The next connection begins with all wanted channels.
        if !state.connected {
            return None;
        }
        state.changed.extend(channels);
        let (confirm, confirmed) = oneshot::channel();
        state.waiting.push(confirm);
        drop(state);
        self.changed.notify_one();
        Some(confirmed)
    }

    pub(super) fn remove(&self, channels: &[Channel]) {
        let mut state = self.state.lock();
        for channel in channels {
            if state.channels.remove(channel) {
                metric::remove_subscriptions(1);
                if state.connected {
                    state.changed.insert(*channel);
                }
            }
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Returns all wanted channels for a connection that begins. [`Wanted::changes`] returns later changes.
    pub(super) fn begin(&self) -> Vec<Channel> {
        let mut state = self.state.lock();
        state.connected = true;
        state.channels.iter().copied().collect()
    }

    /// Waits for changes and takes all of them. They may repeat what the server knows, which is harmless and too
    /// rare to prevent.
    pub(super) async fn changes(&self) -> Changes {
        loop {
            {
                let mut state = self.state.lock();
                if !state.changed.is_empty() || !state.waiting.is_empty() {
                    let changed = std::mem::take(&mut state.changed);
                    let (subscribe, unsubscribe) =
                        changed.into_iter().partition(|channel| state.channels.contains(channel));
                    let waiting = std::mem::take(&mut state.waiting);
                    return Changes { subscribe, unsubscribe, waiting };
                }
            }
            self.changed.notified().await;
        }
    }

    /// Notes that the connection is lost, and ends all waits for it.
    pub(super) fn lost(&self) {
        let mut state = self.state.lock();
        state.connected = false;
        state.changed = HashSet::new();
        state.waiting = Vec::new();
    }

    /// Removes all wanted channels.
    pub(super) fn clear(&self) {
        let channels = std::mem::take(&mut self.state.lock().channels);
        metric::remove_subscriptions(channels.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::id::ChatId;

    const ONE: Channel = Channel::Chat(ChatId(1));
    const TWO: Channel = Channel::Chat(ChatId(2));

    #[tokio::test]
    async fn changes_are_collected_and_the_last_word_on_a_channel_counts() {
        let wanted = Wanted::default();
        assert!(wanted.add(&[ONE]).is_none(), "nothing to wait for while away");
        wanted.remove(&[TWO]);
        assert_eq!(wanted.begin(), [ONE]);
        let mut confirmed = wanted.add(&[TWO]).unwrap();
        wanted.remove(&[ONE, TWO]);
        let mut again = wanted.add(&[TWO]).unwrap();
        let changes = wanted.changes().await;
        assert_eq!((changes.subscribe, changes.unsubscribe), (vec![TWO], vec![ONE]));
        assert!(confirmed.try_recv().is_err() && again.try_recv().is_err(), "not confirmed yet");
        for waiting in changes.waiting {
            waiting.send(()).unwrap();
        }
        assert!(confirmed.await.is_ok() && again.await.is_ok());
    }

    #[tokio::test]
    async fn a_lost_connection_releases_those_who_wait_and_keeps_what_is_wanted() {
        let wanted = Wanted::default();
        wanted.begin();
        let confirmed = wanted.add(&[ONE]).unwrap();
        wanted.lost();
        assert!(confirmed.await.is_err());
        assert_eq!(wanted.begin(), [ONE]);
    }
}
