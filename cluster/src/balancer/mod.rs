//! A load balancer with the shipped configuration, in which only the addresses are ours. Each kind has a file
//! of its own that configures it, starts it and tells it of other nodes.

mod haproxy;
mod nginx;

#[cfg(test)]
mod tests;

use crate::{Node, Process, scratch::Scratch};
use anyhow::Result;
use serde::Serialize;
use std::{fs, net::SocketAddr, os::unix::fs::PermissionsExt, path::Path, time::Duration};

/// Tens of milliseconds in practice; long for a machine that compiles beside it.
const START: Duration = Duration::from_secs(20);

/// Which load balancer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum BalancerKind {
    /// `deploy/nginx`: for nodes at fixed addresses.
    #[default]
    Nginx,
    /// `deploy/haproxy`: for nodes that come and go.
    Haproxy,
}

/// A node as load balancers know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BalancedNode {
    /// Where clients' requests are sent.
    pub public: SocketAddr,
    /// Where `GET /readyz` says whether they should be; on the public address's IP. nginx does not ask.
    pub admin: SocketAddr,
}

/// A node that says whether it is ready where it serves.
impl From<SocketAddr> for BalancedNode {
    fn from(address: SocketAddr) -> Self {
        Self { public: address, admin: address }
    }
}

impl From<&Node> for BalancedNode {
    fn from(node: &Node) -> Self {
        Self { public: node.address(), admin: node.admin() }
    }
}

/// A load balancer in front of gateways and apis. It ends when this is dropped or its owner dies.
pub struct Balancer {
    process: Process,
    kind: BalancerKind,
    address: SocketAddr,
    metrics: Option<SocketAddr>,
    scratch: Scratch,
}

impl Balancer {
    /// Starts nginx on 127.0.0.1 and `port`: see [`Balancer::start_kind`].
    pub async fn start<N: Copy + Into<BalancedNode>>(
        port: u16,
        gateways: &[N],
        apis: &[N],
    ) -> Result<Self> {
        Self::start_kind(BalancerKind::Nginx, port, gateways, apis).await
    }

    /// Starts one on 127.0.0.1 and `port`. Both lists must not be empty; nobody needs to listen there
    /// yet. An error when the port is taken.
    pub async fn start_kind<N: Copy + Into<BalancedNode>>(
        kind: BalancerKind,
        port: u16,
        gateways: &[N],
        apis: &[N],
    ) -> Result<Self> {
        Self::start_in(None, kind, port, &backends(gateways), &backends(apis)).await
    }

    pub(crate) async fn start_in(
        logs: Option<&Path>,
        kind: BalancerKind,
        port: u16,
        gateways: &[BalancedNode],
        apis: &[BalancedNode],
    ) -> Result<Self> {
        let scratch = Scratch::new("balancer")?;
        let folder = scratch.path();
        // Started by root, its workers run as the distribution's user for it.
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let logs = logs.unwrap_or(folder);
        let (process, metrics) = match kind {
            BalancerKind::Nginx => {
                (nginx::start(folder, logs, address, gateways, apis).await?, None)
            }
            BalancerKind::Haproxy => {
                let (process, metrics) =
                    haproxy::start(folder, logs, address, gateways, apis).await?;
                (process, Some(metrics))
            }
        };
        Ok(Self { process, kind, address, metrics, scratch })
    }

    /// Which program it is.
    pub fn kind(&self) -> BalancerKind {
        self.kind
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same address as a base URL, `http://host:port`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where `/metrics` is; nginx has none.
    pub fn metrics(&self) -> Option<SocketAddr> {
        self.metrics
    }

    /// For the process id and the log.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Puts other nodes behind it; open sockets stay, also those to nodes that are gone from the
    /// lists. It takes them up a moment later.
    pub async fn set_nodes<N: Copy + Into<BalancedNode>>(
        &self,
        gateways: &[N],
        apis: &[N],
    ) -> Result<()> {
        let (folder, gateways, apis) = (self.scratch.path(), backends(gateways), backends(apis));
        match self.metrics {
            None => nginx::reload(&self.process, folder, &gateways, &apis),
            Some(metrics) => {
                let conf = haproxy::conf(self.address, metrics, &gateways, &apis)?;
                haproxy::reload(&self.process, folder, &conf).await
            }
        }
    }

    /// Stops it; open connections are cut.
    pub async fn stop(&self) -> Result<()> {
        self.process.stop().await.map(drop)
    }
}

fn backends<N: Copy + Into<BalancedNode>>(nodes: &[N]) -> Vec<BalancedNode> {
    nodes.iter().map(|node| (*node).into()).collect()
}
