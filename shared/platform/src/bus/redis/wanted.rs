//! What one subscription wants, which server each part of it belongs to, what the servers do not know yet, and which
//! partitions are up. It outlives connections and placements and does no I/O.

mod share;
#[cfg(test)]
mod tests;

use self::share::WantedShare;
pub(super) use self::share::{Changes, Suspect};
use super::{
    super::{BusEvent, Partitions, metric},
    placement::{Placement, ServerAddress},
};
use parking_lot::Mutex;
use protocol::{
    id::NodeId,
    partition::{PARTITIONS, Partition},
    relay::Channel,
};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};
use tokio::{sync::oneshot, time::Instant};

pub(super) type OnEvent = Arc<dyn Fn(BusEvent) + Send + Sync>;

/// Shared between the subscriber's handle and the links to the servers.
pub(super) struct Wanted {
    node: NodeId,
    on_event: OnEvent,
    state: Mutex<WantedState>,
    /// Held while partitions go up or down and that is told, so that it is told in order. A subscriber may want
    /// more while it is told.
    telling: Mutex<()>,
}

struct WantedState {
    placement: Placement,
    /// By partition.
    channels: Vec<HashSet<Channel>>,
    shares: HashMap<ServerAddress, WantedShare>,
    up: Partitions,
}

/// Partitions that went up and down in one step.
#[derive(Default)]
struct Turn {
    down: Partitions,
    up: Partitions,
}

impl Wanted {
    pub(super) fn new(node: NodeId, on_event: OnEvent) -> Self {
        let channels = vec![HashSet::new(); usize::from(PARTITIONS)];
        let (shares, up) = (HashMap::new(), Partitions::default());
        let state = WantedState { placement: Placement::nowhere(), channels, shares, up };
        Self { node, on_event, state: Mutex::new(state), telling: Mutex::default() }
    }

    /// Wants these channels. Each of what is returned resolves when a server confirmed its part, or fails when the
    /// connection to it is lost first. Servers without a connection have nothing to wait for.
    pub(super) fn add(&self, channels: &[Channel]) -> Vec<oneshot::Receiver<()>> {
        let mut state = self.state.lock();
        let WantedState { placement, channels: wanted, shares, .. } = &mut *state;
        let mut touched = HashSet::new();
        let mut new = 0;
        for channel in channels.iter().filter(|channel| !is_probe(**channel)) {
            let partition = channel.partition();
            new += usize::from(wanted[place(partition)].insert(*channel));
            let Some(server) = placement.server(partition) else { continue };
            // The next connection begins with all wanted channels.
            if let Some(share) = shares.get_mut(server).filter(|share| share.connected) {
                share.changed.insert(*channel);
                touched.insert(server);
            }
        }
        metric::add_subscriptions(new);
        let wait = |server| shares.get_mut(server).map(WantedShare::wait);
        touched.into_iter().filter_map(wait).collect()
    }

    /// Wants these channels no longer.
    pub(super) fn remove(&self, channels: &[Channel]) {
        let mut state = self.state.lock();
        let WantedState { placement, channels: wanted, shares, .. } = &mut *state;
        for channel in channels.iter().filter(|channel| !is_probe(**channel)) {
            let partition = channel.partition();
            if wanted[place(partition)].remove(channel) {
                metric::remove_subscriptions(1);
                let share = placement.server(partition).and_then(|server| shares.get_mut(server));
                if let Some(share) = share.filter(|share| share.connected) {
                    share.changed.insert(*channel);
                    share.news.notify_one();
                }
            }
        }
    }

    /// Removes all wanted channels.
    pub(super) fn clear(&self) {
        let mut state = self.state.lock();
        let wanted = state.channels.iter_mut().map(std::mem::take);
        let count = wanted.flatten().filter(|channel| !is_probe(*channel)).count();
        metric::remove_subscriptions(count);
    }

    /// Subscribes once more to those of the channels that should be heard.
    pub(super) fn doubt(&self, channels: &[Channel], now: Instant) {
        let mut state = self.state.lock();
        let WantedState { placement, channels: wanted, shares, up } = &mut *state;
        let mut deaf = 0;
        for channel in channels {
            let partition = channel.partition();
            if !up.contains(partition) || !wanted[place(partition)].contains(channel) {
                continue;
            }
            let share = placement.server(partition).and_then(|server| shares.get_mut(server));
            if let Some(share) = share {
                share.doubt(*channel, now);
                deaf += 1;
            }
        }
        metric::count_deaf(deaf);
    }

    /// Whether a partition is up.
    pub(super) fn hears(&self, partition: Partition) -> bool {
        self.state.lock().up.contains(partition)
    }

    /// The partitions that are down.
    pub(super) fn down(&self) -> Partitions {
        let state = self.state.lock();
        Partition::all().filter(|one| !state.up.contains(*one)).collect()
    }

    /// Gives the partitions to other servers. Those that moved are down until their new servers have confirmed all
    /// that is wanted in them. The old ones are told nothing: they drop the channels of slots that they lose.
    pub(super) fn place(&self, placement: &Placement) {
        self.turn(|state| {
            let before = std::mem::replace(&mut state.placement, placement.clone());
            let WantedState { channels, shares, up, .. } = state;
            let mut turn = Turn::default();
            for partition in Partition::all() {
                let (old, new) = (before.server(partition), placement.server(partition));
                if old == new {
                    continue;
                }
                if up.remove(partition) {
                    turn.down.insert(partition);
                }
                if let Some(share) = old.and_then(|server| shares.get_mut(server)) {
                    share.partitions.remove(partition);
                    share.rising.remove(partition);
                    share.refused.remove(partition);
                }
                if let Some(server) = new {
                    let share = shares.entry(Arc::clone(server)).or_default();
                    share.partitions.insert(partition);
                    if share.connected {
                        share.raise(partition, &channels[place(partition)]);
                    }
                }
            }
            shares.retain(|_, share| !share.partitions.is_empty());
            for share in shares.values_mut() {
                share.choose_probe(self.node, channels);
            }
            turn
        });
    }

    /// A connection to this server begins. Returns all of its share; [`Wanted::changes`] returns what is wanted later.
    pub(super) fn begin(&self, server: &ServerAddress) -> Changes {
        let mut state = self.state.lock();
        let WantedState { channels, shares, .. } = &mut *state;
        shares.get_mut(server).map(|share| share.begin(channels)).unwrap_or_default()
    }

    /// Waits for changes of this server's share and takes all of them. They may repeat what the server knows, which
    /// is harmless and too rare to prevent.
    pub(super) async fn changes(&self, server: &ServerAddress) -> Result<Changes, Suspect> {
        loop {
            if let Some(changes) = self.take(server)? {
                return Ok(changes);
            }
            let news = self.state.lock().shares.get(server).map(|share| Arc::clone(&share.news));
            match news {
                Some(news) => news.notified().await,
                // Without a share the link to the server is about to be ended.
                None => std::future::pending().await,
            }
        }
    }

    fn take(&self, server: &ServerAddress) -> Result<Option<Changes>, Suspect> {
        let mut state = self.state.lock();
        let WantedState { channels, shares, .. } = &mut *state;
        shares.get_mut(server).map_or(Ok(None), |share| share.take(channels))
    }

    /// The server was told all changes, and does not have `refused`. The others of `rising` are up.
    pub(super) fn told(&self, server: &ServerAddress, rising: &Partitions, refused: &Partitions) {
        self.turn(|state| {
            let WantedState { shares, up, .. } = state;
            let Some(share) = shares.get_mut(server) else { return Turn::default() };
            let down = share.refuse(refused).filter(|one| up.remove(*one)).collect();
            let up = rising.iter().filter(|one| share.stands(*one) && up.insert(*one)).collect();
            Turn { down, up }
        });
    }

    /// The server said that it no longer has these partitions.
    pub(super) fn fell(&self, server: &ServerAddress, partitions: &Partitions) {
        self.told(server, &Partitions::default(), partitions);
    }

    /// Lets the partitions that the server refused be tried once more.
    pub(super) fn retry(&self, server: &ServerAddress) {
        let mut state = self.state.lock();
        let WantedState { channels, shares, .. } = &mut *state;
        if let Some(share) = shares.get_mut(server) {
            for partition in std::mem::take(&mut share.refused).iter() {
                share.raise(partition, &channels[place(partition)]);
            }
        }
    }

    /// The channel on which to prove that this server delivers; `None` while it is not heard.
    pub(super) fn probe(&self, server: &ServerAddress) -> Option<Channel> {
        let state = self.state.lock();
        let probe = state.shares.get(server)?.probe?;
        state.up.contains(probe.partition()).then_some(probe)
    }

    /// Notes that the connection to this server is lost, and ends all waits for it. `true` if anything was up.
    pub(super) fn lost(&self, server: &ServerAddress) -> bool {
        let mut was_up = false;
        self.turn(|state| {
            let WantedState { shares, up, .. } = state;
            let Some(share) = shares.get_mut(server) else { return Turn::default() };
            share.end();
            let down: Partitions = share.partitions.iter().filter(|one| up.remove(*one)).collect();
            was_up = !down.is_empty();
            Turn { down, up: Partitions::default() }
        });
        was_up
    }

    /// Changes what is up, and tells.
    fn turn(&self, change: impl FnOnce(&mut WantedState) -> Turn) {
        let _telling = self.telling.lock();
        let Turn { down, up } = {
            let mut state = self.state.lock();
            let turn = change(&mut state);
            metric::set_partitions_up(state.up.len());
            metric::set_link_up(metric::LinkRole::Subscribe, state.up.is_all());
            turn
        };
        if !down.is_empty() {
            (self.on_event)(BusEvent::Down(down));
        }
        if !up.is_empty() {
            (self.on_event)(BusEvent::Up(up));
        }
    }
}

fn place(partition: Partition) -> usize {
    usize::from(partition.number())
}

/// Probes are the bus's own; nobody else wants or unwants them.
fn is_probe(channel: Channel) -> bool {
    matches!(channel, Channel::Probe(..))
}
