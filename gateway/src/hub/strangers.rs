//! Counts each network's sockets whose account is not known: sockets before hello, sockets whose token is
//! still being checked, and guests. No other limit applies to them by identity.

use parking_lot::Mutex;
use platform::{forwarded::is_trusted, limit::network, settings::TrustedNetwork};
use std::{collections::HashMap, net::IpAddr, sync::Arc};

/// The strangers of a node. Its memory is bounded by the number of connections.
#[derive(Debug)]
pub(crate) struct Strangers {
    most: usize,
    trusted: Vec<TrustedNetwork>,
    counts: Mutex<HashMap<IpAddr, usize>>,
}

/// A stranger's place. Dropping it frees the place.
#[derive(Debug)]
pub(crate) struct Stranger {
    strangers: Arc<Strangers>,
    /// `None` if the stranger is not counted.
    network: Option<IpAddr>,
    /// Where the client comes from.
    pub address: IpAddr,
}

impl Strangers {
    /// Admits at most `most` strangers of a network at once. The addresses of trusted proxies have no limit,
    /// because their clients cannot be told apart; the listener's limit by address does the same.
    pub(crate) fn new(most: usize, trusted: Vec<TrustedNetwork>) -> Arc<Self> {
        Arc::new(Self { most, trusted, counts: Mutex::default() })
    }

    /// Takes a place for a client at this address; `None` if its network has reached the limit.
    pub(crate) fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Stranger> {
        let address = address.to_canonical();
        if is_trusted(&self.trusted, address) {
            return Some(Stranger { strangers: Arc::clone(self), network: None, address });
        }
        let network = network(address);
        let mut counts = self.counts.lock();
        let count = counts.entry(network).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(Stranger { strangers: Arc::clone(self), network: Some(network), address })
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let Some(network) = self.network else { return };
        let mut counts = self.strangers.counts.lock();
        if let Some(count) = counts.get_mut(&network) {
            *count -= 1;
            // Otherwise the map would keep an entry for every network that ever connected.
            if *count == 0 {
                counts.remove(&network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_so_many_places_and_gets_them_back() {
        let strangers = Strangers::new(2, vec!["10.0.0.0/8".parse().unwrap()]);
        let admit = |address: &str| strangers.admit(address.parse().unwrap());
        let held: Vec<_> = ["2001:db8:1:2::a", "2001:db8:1:2::b"]
            .into_iter()
            .map(|at| admit(at).unwrap())
            .collect();
        assert!(admit("2001:db8:1:2::c").is_none(), "one customer's network");
        assert!(admit("2001:db8:1:3::c").is_some(), "another one's");
        let proxies: Vec<_> = (0..9).map(|_| admit("10.1.2.3").unwrap()).collect();
        assert!(admit("::ffff:10.1.2.3").is_some());
        drop((held, proxies));
        assert!(admit("2001:db8:1:2::c").is_some());
        assert!(strangers.counts.lock().is_empty());
    }
}
