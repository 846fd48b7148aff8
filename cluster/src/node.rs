//! One api or gateway of a cluster: a process and the addresses it listens on.

use crate::{Process, Program, port::free_port};
use anyhow::Result;
use std::{net::SocketAddr, time::Duration};

/// Seconds in practice (an api makes its tables first); long for a machine that compiles beside it.
const START: Duration = Duration::from_secs(60);

/// A started api or gateway. It ends when this is dropped or its owner dies.
pub struct Node {
    process: Process,
    addresses: Addresses,
}

/// Where a node listens. A gateway has no internal listener and leaves that port alone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Addresses {
    pub(crate) public: SocketAddr,
    pub(crate) internal: SocketAddr,
    pub(crate) admin: SocketAddr,
}

impl Node {
    /// Starts the program that `program` makes for these addresses and waits until it is ready.
    pub(crate) async fn start(program: impl Fn(&Addresses) -> Program) -> Result<Self> {
        let free = || SocketAddr::from(([127, 0, 0, 1], free_port()));
        let addresses = Addresses { public: free(), internal: free(), admin: free() };
        let node = Self { process: Process::start(program(&addresses))?, addresses };
        node.ready().await?;
        Ok(node)
    }

    /// For signals (kill, terminate, pause), the process id, the exit code and the log.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Where clients connect when they do not use the load balancer.
    pub fn address(&self) -> SocketAddr {
        self.addresses.public
    }

    /// Where `/readyz` and `/metrics` are.
    pub fn admin(&self) -> SocketAddr {
        self.addresses.admin
    }

    /// Where an api listens for gateways.
    pub(crate) fn internal(&self) -> SocketAddr {
        self.addresses.internal
    }

    /// Starts it again on the same addresses, killing it first if it still runs, and waits until
    /// it is ready.
    pub async fn restart(&self) -> Result<()> {
        self.process.restart()?;
        self.ready().await
    }

    async fn ready(&self) -> Result<()> {
        self.process.wait_ready(self.addresses.admin, START).await
    }
}
