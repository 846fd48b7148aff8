//! The memory budget for incomplete frames of unidentified clients. A `hello` that resumes thousands of chats is
//! long and must get through. Many clients that never finish a frame must not use up the node's memory.

use parking_lot::Mutex;
use platform::limit::network;
use std::{collections::HashMap, net::IpAddr, sync::Arc};

/// The bytes of an incomplete frame that each stranger may hold without a loan: a token and the cursors of some
/// 300 chats. 15,000 strangers hold at most 120 MB this way, and only until the hello timeout.
const FREE_BYTES: usize = 8 * 1024;

/// The budget of a node's strangers.
#[derive(Debug)]
pub struct Credit {
    max_bytes: usize,
    max_bytes_of_network: usize,
    lent: Mutex<Lent>,
}

#[derive(Debug, Default)]
struct Lent {
    bytes: usize,
    by_network: HashMap<IpAddr, usize>,
}

/// One stranger's share of the budget; dropping it returns the share.
#[derive(Debug)]
pub struct Loan {
    from: Arc<Credit>,
    network: IpAddr,
    bytes: usize,
}

impl Credit {
    /// A budget of the given bytes in total, and of the given bytes for the strangers of one
    /// network.
    pub fn new(max_bytes: usize, max_bytes_of_network: usize) -> Arc<Self> {
        Arc::new(Self { max_bytes, max_bytes_of_network, lent: Mutex::default() })
    }

    /// A loan of no bytes yet, for a stranger at this address.
    pub fn loan(self: &Arc<Self>, address: IpAddr) -> Loan {
        Loan { from: Arc::clone(self), network: network(address), bytes: 0 }
    }

    #[cfg(test)]
    fn lent(&self) -> (usize, usize) {
        let lent = self.lent.lock();
        (lent.bytes, lent.by_network.len())
    }
}

impl Loan {
    /// Borrows or returns bytes until `held` bytes are covered. Returns `false`, and changes
    /// nothing, if the budget is too small.
    pub fn try_cover(&mut self, held: usize) -> bool {
        let wanted = if held <= FREE_BYTES { 0 } else { held };
        // The usual case, which needs no lock.
        if wanted == self.bytes {
            return true;
        }
        let Credit { max_bytes, max_bytes_of_network, ref lent } = *self.from;
        let mut lent = lent.lock();
        let all = lent.bytes - self.bytes + wanted;
        let here = lent.by_network.get(&self.network).map_or(0, |here| here - self.bytes) + wanted;
        if wanted > self.bytes && (all > max_bytes || here > max_bytes_of_network) {
            return false;
        }
        lent.bytes = all;
        if here == 0 {
            lent.by_network.remove(&self.network);
        } else {
            lent.by_network.insert(self.network, here);
        }
        self.bytes = wanted;
        true
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        self.try_cover(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_share_what_there_is_and_give_it_back() {
        let strangers = Credit::new(50_000, 30_000);
        let [near, next, far] = ["2001:db8::1", "2001:db8::2", "192.0.2.1"]
            .map(|address| address.parse::<IpAddr>().unwrap());
        let [mut ann, mut bob, mut eve] = [near, next, far].map(|at| strangers.loan(at));
        for loan in [&mut ann, &mut bob, &mut eve] {
            assert!(loan.try_cover(FREE_BYTES), "free");
        }
        assert_eq!(strangers.lent(), (0, 0));
        assert!(ann.try_cover(20_000));
        assert!(!bob.try_cover(10_001), "one network's");
        assert!(bob.try_cover(10_000));
        assert!(eve.try_cover(20_000));
        assert!(!eve.try_cover(20_001), "all of it");
        assert_eq!(strangers.lent(), (50_000, 2));
        assert!(ann.try_cover(0));
        assert!(eve.try_cover(30_000));
        drop((bob, eve));
        assert_eq!(strangers.lent(), (0, 0));
    }
}
