//! The presence register within one process. Its nodes end with the process, so no lease can run out.

mod nodes;

use super::{Entered, Gone, Here, Lease, MAX_HANDED_OVER, NodeKind, NodeReport};
use bytes::Bytes;
use parking_lot::Mutex;
use protocol::id::{ChatId, NodeId, UserId};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque},
    sync::Arc,
};
use uuid::Uuid;

/// The maximum number of users that one call sweeps, which bounds the time under the lock.
const SWEEP: usize = 500;

/// The register of a single process; clones share it. Bounded by what its gateway admits.
#[derive(Clone, Default)]
pub struct LocalPresence(Arc<Mutex<LocalRegister>>);

#[derive(Default)]
struct LocalRegister {
    nodes: HashMap<NodeId, LocalNode>,
    /// The users of nodes that ended, until another node sweeps them.
    owed: HashMap<NodeId, BTreeMap<UserId, Stated>>,
    reports: HashMap<(NodeKind, NodeId), NodeReport>,
    /// Each with the question that it answers, the oldest first.
    answers: VecDeque<(Uuid, Bytes)>,
}

#[derive(Default)]
struct LocalNode {
    users: BTreeMap<UserId, Stated>,
    connections: u64,
    renewed: bool,
}

#[derive(Default)]
struct Stated {
    sockets: u32,
    own: Vec<ChatId>,
    handed_over: BTreeSet<ChatId>,
}

impl Stated {
    fn chats(&self) -> BTreeSet<ChatId> {
        self.own.iter().chain(&self.handed_over).copied().collect()
    }
}

impl LocalPresence {
    pub(super) fn enter(&self, node: NodeId, users: &[Here]) -> Vec<Entered> {
        let mut inner = self.0.lock();
        let enter = |Here { user, sockets, chats }: &Here| {
            let mut answer = Entered { user: *user, came: true, untold: vec![], elsewhere: 0 };
            let mut told = BTreeSet::new();
            for (at, stated) in inner.on(*user) {
                answer.came = false;
                told.extend(stated.chats());
                if at != node {
                    answer.elsewhere = answer.elsewhere.saturating_add(stated.sockets);
                }
            }
            answer.untold = chats.iter().filter(|chat| !told.contains(chat)).copied().collect();
            let here = inner.nodes.entry(node).or_default().users.entry(*user).or_default();
            here.sockets = *sockets;
            here.own.clone_from(chats);
            answer
        };
        users.iter().map(enter).collect()
    }

    pub(super) fn leave(&self, node: NodeId, users: &[UserId]) -> Vec<Gone> {
        let mut inner = self.0.lock();
        let leave = |user: &UserId| {
            let left = inner.nodes.get_mut(&node).and_then(|node| node.users.remove(user));
            inner.hand_over(*user, left.unwrap_or_default())
        };
        users.iter().filter_map(leave).collect()
    }

    pub(super) fn renew(&self, node: NodeId, connections: u64) -> Lease {
        let mut inner = self.0.lock();
        let node = inner.nodes.entry(node).or_default();
        node.connections = connections;
        match std::mem::replace(&mut node.renewed, true) {
            true => Lease::Held,
            false => Lease::Lost,
        }
    }

    pub(super) fn dead(&self) -> Vec<NodeId> {
        self.0.lock().owed.keys().copied().collect()
    }

    pub(super) fn sweep(&self, dead: NodeId) -> Option<Vec<Gone>> {
        let mut inner = self.0.lock();
        let owed = inner.owed.get_mut(&dead)?;
        let some: Vec<_> = std::iter::from_fn(|| owed.pop_first()).take(SWEEP).collect();
        if some.is_empty() {
            inner.owed.remove(&dead);
            return None;
        }
        Some(some.into_iter().filter_map(|(user, left)| inner.hand_over(user, left)).collect())
    }

    pub(super) fn retire(&self, node: NodeId) {
        let mut inner = self.0.lock();
        if let Some(ended) = inner.nodes.remove(&node) {
            inner.owed.insert(node, ended.users);
        }
    }

    pub(super) fn online(&self, users: &[UserId]) -> HashSet<UserId> {
        let inner = self.0.lock();
        users.iter().copied().filter(|user| inner.on(*user).next().is_some()).collect()
    }

    pub(super) fn online_page(&self, after: UserId, limit: usize) -> Vec<UserId> {
        let Some(first) = after.0.checked_add(1) else { return Vec::new() };
        let inner = self.0.lock();
        let pages =
            inner.nodes.values().flat_map(|node| node.users.range(UserId(first)..).take(limit));
        let users: BTreeSet<UserId> = pages.map(|(user, _)| *user).collect();
        users.into_iter().take(limit).collect()
    }

    pub(super) fn connections(&self) -> u64 {
        self.0.lock().nodes.values().map(|node| node.connections).sum()
    }
}

impl LocalRegister {
    fn on(&self, user: UserId) -> impl Iterator<Item = (NodeId, &Stated)> {
        self.nodes.iter().filter_map(move |(id, node)| Some((*id, node.users.get(&user)?)))
    }

    /// Hands the chats that a node told of a user over to another node of the user. `Some` if there is none, and the
    /// user is gone.
    fn hand_over(&mut self, user: UserId, left: Stated) -> Option<Gone> {
        let Some(there) = self.nodes.values_mut().find_map(|node| node.users.get_mut(&user)) else {
            return Some(Gone { user, chats: left.chats().into_iter().collect() });
        };
        let room = MAX_HANDED_OVER.saturating_sub(there.handed_over.len());
        let more: Vec<ChatId> =
            left.chats().difference(&there.chats()).take(room).copied().collect();
        there.handed_over.extend(more);
        None
    }
}
