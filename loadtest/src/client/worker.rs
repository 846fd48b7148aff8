//! What the devices of one thread share. They run one at a time, so nothing here is locked but the
//! recorder's shard, which a drain on another thread visits once a second.

use super::{Clock, FleetOptions, events::Frames, order::Inbox, target::TargetTls};
use crate::{
    history::Ledger,
    recorder::{Recorder, Shard},
    rest::{Rest, RestError},
    scenario::ClientDialect,
};
use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

/// Read at once: several hundred small frames, and about what the kernel's buffer holds of a
/// connection at saturation. One for all connections of a thread, so its size costs nothing.
pub(super) const READ_BYTES: usize = 64 << 10;

/// A thread's own.
pub(super) struct DeviceWorker {
    pub clock: Clock,
    pub run: Box<str>,
    pub authority: Box<str>,
    pub tls: Option<TargetTls>,
    pub seed: u64,
    pub ledger: Arc<Ledger>,
    pub rest: Rest,
    pub shard: Shard,
    /// Borrowed only within one poll of one device.
    pub buffers: RefCell<ReadBuffers>,
    addresses: Vec<SocketAddr>,
    sources: Vec<IpAddr>,
    connects: Cell<usize>,
    stopping: Cell<bool>,
    /// The devices that have not ended, by number, to be told when the fleet stops.
    inboxes: RefCell<HashMap<u32, Arc<Inbox>>>,
}

/// Where a device's reading is done.
#[derive(Debug)]
pub(super) struct ReadBuffers {
    pub buffer: Vec<u8>,
    /// By dialect: the same bytes may mean something else in another one.
    frames: [Frames; 5],
}

impl DeviceWorker {
    /// `start` spreads the threads over addresses and sources.
    pub(super) fn new(
        options: &FleetOptions,
        recorder: &Recorder,
        start: usize,
    ) -> Result<Self, RestError> {
        Ok(Self {
            clock: options.clock,
            run: options.run.as_str().into(),
            authority: options.target.authority.as_str().into(),
            tls: options.target.tls.clone(),
            seed: options.seed,
            ledger: Arc::clone(&options.ledger),
            rest: Rest::trusting(&options.target.url, &options.target.trust)?,
            shard: recorder.shard(),
            buffers: RefCell::new(ReadBuffers {
                buffer: vec![0; 2 * READ_BYTES],
                frames: std::array::from_fn(|_| Frames::new()),
            }),
            addresses: options.target.addresses.clone(),
            sources: options.sources.clone(),
            connects: Cell::new(start),
            stopping: Cell::new(false),
            inboxes: RefCell::default(),
        })
    }

    /// Where the next connection goes to and comes from.
    pub(super) fn next_ends(&self) -> (SocketAddr, Option<IpAddr>) {
        let turn = self.connects.replace(self.connects.get().wrapping_add(1));
        let to = self.addresses[turn % self.addresses.len()];
        let from = (!self.sources.is_empty()).then(|| self.sources[turn % self.sources.len()]);
        (to, from)
    }

    /// Everybody leaves now, because the run is over.
    pub(super) fn stop(&self) {
        self.stopping.set(true);
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.get()
    }

    pub(super) fn enter(&self, number: u32, inbox: &Arc<Inbox>) {
        self.inboxes.borrow_mut().insert(number, Arc::clone(inbox));
    }

    pub(super) fn end(&self, number: u32) {
        self.inboxes.borrow_mut().remove(&number);
    }

    /// All devices that have not ended.
    pub(super) fn inboxes(&self) -> Vec<Arc<Inbox>> {
        self.inboxes.borrow().values().cloned().collect()
    }
}

impl ReadBuffers {
    /// The buffer, and what is remembered of a dialect's frames.
    pub(super) fn of(&mut self, dialect: ClientDialect) -> (&mut Vec<u8>, &mut Frames) {
        (&mut self.buffer, &mut self.frames[dialect as usize])
    }
}
