//! The connections that watch one chat, in as little memory as possible: a node holds millions of these. It
//! knows neither events nor locks.

use crate::hub::{
    compact,
    conn::{Conn, ConnId},
};
use protocol::id::Seq;
use std::sync::Arc;

/// A connection that watches the chat.
#[derive(Debug)]
pub(crate) struct Watcher {
    pub conn: Arc<Conn>,
    /// The client has been sent all events after this one.
    pub from: Seq,
}

/// A chat's watchers, sorted by connection id, so that a binary search finds one.
#[derive(Debug, Default)]
pub(crate) struct Watchers(Vec<Watcher>);

impl Watchers {
    pub(super) fn get(&self, id: ConnId) -> Option<&Watcher> {
        self.position(id).ok().map(|place| &self.0[place])
    }

    /// Adds a connection, unless it is among them.
    pub(super) fn add(&mut self, conn: &Arc<Conn>, from: Seq) {
        let Err(place) = self.position(conn.id) else { return };
        compact::insert(&mut self.0, place, Watcher { conn: Arc::clone(conn), from });
    }

    /// Removes a connection. `true` if it was among them.
    pub(super) fn remove(&mut self, id: ConnId) -> bool {
        let Ok(place) = self.position(id) else { return false };
        self.0.remove(place);
        self.shrink();
        true
    }

    /// Keeps the watchers for which `keep` returns true.
    pub(super) fn retain(&mut self, keep: impl FnMut(&Watcher) -> bool) {
        self.0.retain(keep);
        self.shrink();
    }

    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &Watcher> {
        self.0.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Frees memory after a crowd has left.
    fn shrink(&mut self) {
        if self.0.len() < self.0.capacity() / 2 {
            self.0.shrink_to(self.0.len() + self.0.len() / 4);
        }
    }

    fn position(&self, id: ConnId) -> Result<usize, usize> {
        self.0.binary_search_by_key(&id, |watcher| watcher.conn.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{dialect::Window, hub::conn::Owner};
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        /// Whoever comes and goes, in whatever order: they are who they should be, in order, and hold
        /// no more memory than twice what they need.
        #[test]
        fn who_is_in_is_found_and_the_memory_follows(
            steps in prop::collection::vec((any::<bool>(), 0u64..300), 1..600),
        ) {
            let (mut watchers, mut expected) = (Watchers::default(), BTreeSet::new());
            for (comes, id) in steps {
                let conn = conn(id);
                if comes {
                    watchers.add(&conn, Seq(1));
                    expected.insert(id);
                } else {
                    prop_assert_eq!(watchers.remove(conn.id), expected.remove(&id));
                }
                let ids: Vec<u64> = watchers.iter().map(|watcher| watcher.conn.id.0).collect();
                prop_assert!(ids.iter().eq(&expected));
                prop_assert_eq!(watchers.len(), expected.len());
                prop_assert_eq!(watchers.get(conn.id).is_some(), comes);
                prop_assert!(watchers.0.capacity() <= 2 * expected.len() + 1);
            }
        }
    }

    fn conn(id: u64) -> Arc<Conn> {
        let owner = Owner::Guest { network: [192, 0, 2, 1].into() };
        Arc::new(Conn::new(ConnId(id), owner, Window::Lobby, 1))
    }
}
