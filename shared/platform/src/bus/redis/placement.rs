//! Which server has which partition. It knows servers by their addresses only, and asks nobody.

use super::names;
use protocol::partition::{PARTITIONS, Partition};
use sha2::{Digest, Sha256};
use std::{ops::RangeInclusive, sync::Arc};

/// A server, as `host:port`.
pub(super) type ServerAddress = Arc<str>;

/// A server for each partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Placement(Vec<Option<ServerAddress>>);

impl Placement {
    /// No partition has a server.
    pub(super) fn nowhere() -> Self {
        Self(vec![None; usize::from(PARTITIONS)])
    }

    /// One server has all of them.
    pub(super) fn one(server: &ServerAddress) -> Self {
        Self(vec![Some(Arc::clone(server)); usize::from(PARTITIONS)])
    }

    /// Each partition goes to the server whose address and the partition's number have the highest hash
    /// (rendezvous hashing, Thaler and Ravishankar 1996). The order of the list does not matter, and a server that
    /// is added takes its share from all others and moves nothing else. All processes must write the addresses alike.
    pub(super) fn several(servers: &[ServerAddress]) -> Self {
        let highest = |partition: Partition| {
            let hash = |server: &ServerAddress| {
                let hash = Sha256::new().chain_update(server.as_bytes());
                hash.chain_update([0]).chain_update(partition.number().to_be_bytes()).finalize()
            };
            servers.iter().max_by_key(|server| hash(server)).cloned()
        };
        Self(Partition::all().map(highest).collect())
    }

    /// Each partition goes to the owner of its slot.
    pub(super) fn cluster(owners: &[(RangeInclusive<u16>, ServerAddress)]) -> Self {
        let owner = |partition| {
            let slot = names::slot(partition);
            let range = owners.iter().find(|(slots, _)| slots.contains(&slot));
            range.map(|(_, server)| Arc::clone(server))
        };
        Self(Partition::all().map(owner).collect())
    }

    /// The server of a partition.
    pub(super) fn server(&self, partition: Partition) -> Option<&ServerAddress> {
        self.0[usize::from(partition.number())].as_ref()
    }

    /// The partitions of a server, in order.
    pub(super) fn share<'a>(
        &'a self,
        server: &'a ServerAddress,
    ) -> impl Iterator<Item = Partition> + 'a {
        Partition::all().filter(move |partition| self.server(*partition) == Some(server))
    }

    /// Whether some partition has no server.
    pub(super) fn has_holes(&self) -> bool {
        self.0.iter().any(Option::is_none)
    }

    /// How many partitions had another server before.
    pub(super) fn moved_since(&self, before: &Self) -> usize {
        let moved = |(now, before): &(&Option<ServerAddress>, &Option<ServerAddress>)| {
            before.is_some() && now != before
        };
        self.0.iter().zip(&before.0).filter(moved).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(count: usize) -> Vec<ServerAddress> {
        (0..count).map(|number| format!("redis-{number}:6379").into()).collect()
    }

    #[test]
    fn several_servers_share_evenly_in_whatever_order_they_are_named() {
        for count in [2, 3, 6, 10] {
            let mut servers = addresses(count);
            let placement = Placement::several(&servers);
            let even = usize::from(PARTITIONS) / count;
            for server in &servers {
                let share = placement.share(server).count();
                assert!((even * 3 / 4..=even * 4 / 3).contains(&share), "{share} of {count}");
            }
            servers.reverse();
            assert_eq!(Placement::several(&servers), placement);
        }
    }

    /// They must never change: processes of two versions would meet on different servers.
    #[test]
    fn the_shares_of_known_servers_are_fixed() {
        let servers = addresses(3);
        let placement = Placement::several(&servers);
        let first: Vec<usize> = Partition::all()
            .take(10)
            .map(|one| servers.iter().position(|it| Some(it) == placement.server(one)).unwrap())
            .collect();
        assert_eq!(first, [2, 2, 0, 1, 1, 0, 0, 2, 0, 0]);
    }

    #[test]
    fn a_server_that_is_added_takes_only_what_becomes_its_own() {
        let servers = addresses(5);
        let (before, after) = (Placement::several(&servers[..4]), Placement::several(&servers));
        let new = &servers[4];
        for partition in Partition::all().filter(|one| after.server(*one) != Some(new)) {
            assert_eq!(after.server(partition), before.server(partition));
        }
        assert_eq!(after.moved_since(&before), after.share(new).count());
    }

    #[test]
    fn in_a_cluster_the_slots_owner_has_the_partition_and_a_hole_is_nobodys() {
        let servers = addresses(2);
        let owners =
            [(0..=8_191, Arc::clone(&servers[0])), (8_192..=16_382, Arc::clone(&servers[1]))];
        let placement = Placement::cluster(&owners);
        assert_eq!(servers.iter().map(|one| placement.share(one).count()).sum::<usize>(), 1_024);
        assert_eq!(placement.share(&servers[0]).count(), 512);
        assert!(!placement.has_holes() && Placement::cluster(&owners[..1]).has_holes());
    }
}
