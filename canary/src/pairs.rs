//! The watched gateways and their connections: opened when a gateway comes, ended when it leaves, found
//! by number, chosen for a round. What is sent and judged is in [`crate::watch`].

use crate::{
    account::CanaryAccount,
    connection::{CanaryConnection, ConnectionNumber, ConnectionReport},
    keeper::{Complaint, Credentials},
    lookup::Gateways,
    pair::{ConnectionPair, Seat},
    resume::ResumeState,
};
use platform::lifecycle::Lifecycle;
use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    ops::Bound,
};
use tokio::sync::{mpsc, watch};

/// Frames for one connection: a round has two.
const MAX_ORDERS: usize = 16;

/// See the module's head.
pub(crate) struct ConnectionPairs {
    pairs: BTreeMap<SocketAddr, ConnectionPair>,
    /// Which connection has which number. Numbers are never reused.
    numbers: HashMap<ConnectionNumber, (SocketAddr, CanaryAccount)>,
    next_number: ConnectionNumber,
    ties: Ties,
}

/// What every connection is given.
pub(crate) struct Ties {
    pub reports: mpsc::Sender<ConnectionReport>,
    pub credentials: watch::Receiver<Credentials>,
    pub complaints: mpsc::Sender<Complaint>,
    pub lifecycle: Lifecycle,
}

impl ConnectionPairs {
    pub(crate) fn new(ties: Ties) -> Self {
        Self { pairs: BTreeMap::new(), numbers: HashMap::new(), next_number: 0, ties }
    }

    /// Opens connections to gateways that came and ends those to gateways that left, which it returns.
    pub(crate) fn set(&mut self, found: &Gateways) -> Vec<SocketAddr> {
        let left = self.pairs.keys().filter(|at| !found.contains_key(at)).copied();
        let left: Vec<SocketAddr> = left.collect();
        for at in &left {
            self.pairs.remove(at);
            self.numbers.retain(|_, (address, _)| address != at);
        }
        for (at, authority) in found {
            if !self.pairs.contains_key(at) {
                let sender = self.connect(*at, authority, CanaryAccount::Sender);
                let listener = self.connect(*at, authority, CanaryAccount::Listener);
                self.pairs.insert(*at, ConnectionPair { sender, listener });
                tracing::info!(gateway = %at, "a gateway appeared");
            }
        }
        left
    }

    fn connect(&mut self, address: SocketAddr, authority: &str, account: CanaryAccount) -> Seat {
        let (orders, to_send) = mpsc::channel(MAX_ORDERS);
        self.next_number += 1;
        self.numbers.insert(self.next_number, (address, account));
        let connection = CanaryConnection {
            number: self.next_number,
            address,
            authority: authority.to_owned(),
            account,
            orders: to_send,
            reports: self.ties.reports.clone(),
            credentials: self.ties.credentials.clone(),
            complaints: self.ties.complaints.clone(),
            resume: ResumeState::default(),
        };
        self.ties.lifecycle.spawn(connection.run());
        Seat::new(orders)
    }

    /// The connection with this number; nothing where it is an old one's last word.
    pub(crate) fn seat(
        &mut self,
        number: ConnectionNumber,
    ) -> Option<(SocketAddr, CanaryAccount, &mut Seat)> {
        let (at, account) = *self.numbers.get(&number)?;
        Some((at, account, self.pairs.get_mut(&at)?.seat(account)))
    }

    /// The connection that sends at this gateway.
    pub(crate) fn sender(&self, at: SocketAddr) -> Option<&Seat> {
        self.pairs.get(&at).map(|pair| &pair.sender)
    }

    /// The gateway after this one, in the order of addresses, whose sender takes part.
    pub(crate) fn next_sender(
        &self,
        after: Option<SocketAddr>,
        part: impl Fn(&Seat) -> bool,
    ) -> Option<SocketAddr> {
        let after = after.map_or(Bound::Unbounded, Bound::Excluded);
        // Past the last gateway the turn begins again at the first one.
        let mut order = self.pairs.range((after, Bound::Unbounded)).chain(&self.pairs);
        order.find(|(_, pair)| part(&pair.sender)).map(|(at, _)| *at)
    }

    /// Where a message of this gateway must arrive: at all others whose listener takes part, or with
    /// none of them there at its own.
    pub(crate) fn listeners(
        &self,
        from: SocketAddr,
        part: impl Fn(&Seat) -> bool,
    ) -> Vec<SocketAddr> {
        let all = self.pairs.iter().filter(|(_, pair)| part(&pair.listener)).map(|(at, _)| *at);
        let (own, others): (Vec<_>, Vec<_>) = all.partition(|at| *at == from);
        if others.is_empty() { own } else { others }
    }

    /// The gateways to which both connections are open and ready.
    pub(crate) fn connected(&self) -> Vec<SocketAddr> {
        let connected = self.pairs.iter().filter(|(_, pair)| pair.is_connected());
        connected.map(|(at, _)| *at).collect()
    }
}
