//! Presence within one process. Its nodes end with the process, so there is no lease to run out.

use crate::id::{NodeId, UserId};
use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The register of a single process; clones share it. Bounded by what its gateway admits.
#[derive(Clone, Default)]
pub struct LocalPresence(Arc<Mutex<HashMap<NodeId, Node>>>);

#[derive(Default)]
struct Node {
    users: BTreeSet<UserId>,
    connections: u64,
    renewed: bool,
}

impl LocalPresence {
    pub(super) fn enter(&self, node: NodeId, users: &[UserId]) -> Vec<UserId> {
        let mut nodes = self.lock();
        let came = offline(&nodes, users);
        nodes.entry(node).or_default().users.extend(users);
        came
    }

    pub(super) fn leave(&self, node: NodeId, users: &[UserId]) -> Vec<UserId> {
        let mut nodes = self.lock();
        if let Some(node) = nodes.get_mut(&node) {
            for user in users {
                node.users.remove(user);
            }
        }
        offline(&nodes, users)
    }

    pub(super) fn renew(&self, node: NodeId, connections: u64) -> bool {
        let mut nodes = self.lock();
        let node = nodes.entry(node).or_default();
        node.connections = connections;
        std::mem::replace(&mut node.renewed, true)
    }

    pub(super) fn retire(&self, node: NodeId) {
        self.lock().remove(&node);
    }

    pub(super) fn online(&self, users: &[UserId]) -> HashSet<UserId> {
        let nodes = self.lock();
        users.iter().copied().filter(|user| is_online(&nodes, *user)).collect()
    }

    pub(super) fn online_page(&self, after: UserId, limit: usize) -> Vec<UserId> {
        let Some(first) = after.0.checked_add(1) else { return Vec::new() };
        let nodes = self.lock();
        let pages = nodes.values().flat_map(|node| node.users.range(UserId(first)..).take(limit));
        pages.copied().collect::<BTreeSet<_>>().into_iter().take(limit).collect()
    }

    pub(super) fn connections(&self) -> u64 {
        self.lock().values().map(|node| node.connections).sum()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<NodeId, Node>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_online(nodes: &HashMap<NodeId, Node>, user: UserId) -> bool {
    nodes.values().any(|node| node.users.contains(&user))
}

fn offline(nodes: &HashMap<NodeId, Node>, users: &[UserId]) -> Vec<UserId> {
    users.iter().copied().filter(|user| !is_online(nodes, *user)).collect()
}
