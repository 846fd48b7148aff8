//! One server's share of what a subscription wants.

use super::{super::super::Partitions, place};
use crate::limit::{Bucket, Rate};
use protocol::{id::NodeId, partition::Partition, relay::Channel};
use std::{collections::HashSet, sync::Arc, time::Duration};
use tokio::{
    sync::{Notify, oneshot},
    time::Instant,
};

/// The deaf channels of one server that are subscribed to once more. One channel may be deaf by an accident; more
/// than these mean that the connection is.
const DEAF: Rate = Rate { per: Duration::from_millis(50), burst: 20 };

/// The connections given up for deaf channels. The publishers may be what is broken, which no connection mends.
const GIVEN_UP: Rate = Rate { per: Duration::from_secs(30), burst: 1 };

/// So many of the channels are deaf that the connection is under suspicion.
#[derive(Debug)]
pub(in super::super) struct Suspect;

/// What one server must be told next.
#[derive(Default)]
pub(in super::super) struct Changes {
    pub(in super::super) subscribe: Vec<Channel>,
    pub(in super::super) unsubscribe: Vec<Channel>,
    /// They are up once the server has confirmed the above.
    pub(in super::super) rising: Partitions,
    /// To be told then.
    pub(in super::super) waiting: Vec<oneshot::Sender<()>>,
}

pub(super) struct WantedShare {
    pub(super) partitions: Partitions,
    /// A connection exists that knows the channels that were wanted when it began.
    pub(super) connected: bool,
    /// The channels that were added, removed or doubted since then, or since the last [`WantedShare::take`]. Empty without
    /// a connection.
    pub(super) changed: HashSet<Channel>,
    /// Partitions that came or are tried again since then. Their channels are among the changed.
    pub(super) rising: Partitions,
    /// Partitions that the server said it does not have.
    pub(super) refused: Partitions,
    /// In the first of the partitions.
    pub(super) probe: Option<Channel>,
    /// There are changes.
    pub(super) news: Arc<Notify>,
    waiting: Vec<oneshot::Sender<()>>,
    started: Instant,
    deaf: Bucket,
    given_up: Bucket,
    suspect: bool,
}

impl Default for WantedShare {
    fn default() -> Self {
        Self {
            partitions: Partitions::default(),
            connected: false,
            changed: HashSet::new(),
            rising: Partitions::default(),
            refused: Partitions::default(),
            probe: None,
            news: Arc::default(),
            waiting: Vec::new(),
            started: Instant::now(),
            deaf: Bucket::default(),
            given_up: Bucket::default(),
            suspect: false,
        }
    }
}

impl WantedShare {
    /// Resolves when the server has confirmed the changes so far.
    pub(super) fn wait(&mut self) -> oneshot::Receiver<()> {
        let (confirm, confirmed) = oneshot::channel();
        self.waiting.push(confirm);
        self.news.notify_one();
        confirmed
    }

    /// Tells the server all of a partition.
    pub(super) fn raise(&mut self, partition: Partition, channels: &HashSet<Channel>) {
        self.rising.insert(partition);
        self.changed.extend(channels);
        self.news.notify_one();
    }

    pub(super) fn begin(&mut self, channels: &[HashSet<Channel>]) -> Changes {
        self.end();
        self.connected = true;
        let mut subscribe = Vec::from_iter(self.probe);
        let all = self.partitions.iter().flat_map(|one| &channels[place(one)]).copied();
        subscribe.extend(all.filter(|channel| Some(*channel) != self.probe));
        Changes { subscribe, rising: self.partitions.clone(), ..Changes::default() }
    }

    pub(super) fn take(
        &mut self,
        channels: &[HashSet<Channel>],
    ) -> Result<Option<Changes>, Suspect> {
        if std::mem::take(&mut self.suspect) {
            return Err(Suspect);
        }
        if self.changed.is_empty() && self.waiting.is_empty() && self.rising.is_empty() {
            return Ok(None);
        }
        // What has moved away is its new server's.
        let changed = std::mem::take(&mut self.changed).into_iter();
        let changed = changed.filter(|channel| self.partitions.contains(channel.partition()));
        let (subscribe, unsubscribe) =
            changed.partition(|channel| channels[place(channel.partition())].contains(channel));
        let rising = std::mem::take(&mut self.rising);
        let waiting = std::mem::take(&mut self.waiting);
        Ok(Some(Changes { subscribe, unsubscribe, rising, waiting }))
    }

    /// Notes what the server does not have, and returns what of it is its share.
    pub(super) fn refuse(&mut self, partitions: &Partitions) -> impl Iterator<Item = Partition> {
        let ours: Vec<Partition> =
            partitions.iter().filter(|one| self.partitions.contains(*one)).collect();
        self.refused.extend(ours.iter().copied());
        ours.into_iter()
    }

    /// Whether the server knows all channels of a partition, if it has confirmed what it was told.
    pub(super) fn stands(&self, partition: Partition) -> bool {
        self.connected
            && self.partitions.contains(partition)
            && !self.refused.contains(partition)
            && !self.rising.contains(partition)
    }

    pub(super) fn doubt(&mut self, channel: Channel, now: Instant) {
        self.changed.insert(channel);
        let clock = now - self.started;
        self.suspect |= self.deaf.try_take(&DEAF, clock, 1).is_err()
            && self.given_up.try_take(&GIVEN_UP, clock, 1).is_ok();
        self.news.notify_one();
    }

    /// Keeps a probe in the first of the partitions.
    pub(super) fn choose_probe(&mut self, node: NodeId, channels: &mut [HashSet<Channel>]) {
        let probe = self.partitions.iter().next().map(|first| Channel::Probe(node, first));
        let before = std::mem::replace(&mut self.probe, probe);
        if before == probe {
            return;
        }
        for (channel, is_wanted) in
            before.map(|old| (old, false)).into_iter().chain(probe.map(|new| (new, true)))
        {
            let wanted = &mut channels[place(channel.partition())];
            if is_wanted {
                wanted.insert(channel)
            } else {
                wanted.remove(&channel)
            };
            if self.connected {
                self.changed.insert(channel);
                self.news.notify_one();
            }
        }
    }

    /// Forgets what was to be said on a connection that is over.
    pub(super) fn end(&mut self) {
        self.connected = false;
        self.suspect = false;
        self.changed = HashSet::new();
        self.rising = Partitions::default();
        self.refused = Partitions::default();
        self.waiting = Vec::new();
    }
}
