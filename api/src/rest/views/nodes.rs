//! Running programs and open connections as administrators see them.

use crate::accounts::connections::{Connected, Connections};
use platform::presence::{NodeKind, NodeReport};
use protocol::{id::SessionId, orders::OpenConnection, time::Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

/// A running program.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Node)]
pub(crate) struct NodeView {
    /// Names this run of the program; also in its log, and the beginning of its connections' ids. In one process, the
    /// api and the gateway share it.
    #[schema(examples("5f0a7c1e9a512f6f0c9f4f11019adf3c"))]
    node: String,
    kind: NodeKind,
    #[schema(examples("0.5.0"))]
    version: String,
    started_at: Timestamp,
    /// When it described itself last.
    reported_at: Timestamp,
    /// It is stopping, and lets its clients go.
    draining: bool,
    /// Processor cores that it kept busy since its report before; `null` if the system does not tell.
    #[schema(examples(0.25))]
    cores: Option<f64>,
    /// Resident memory; `null` likewise.
    #[schema(examples(73_400_320))]
    memory_bytes: Option<u64>,
    /// A gateway's open connections; `null` for an api.
    #[schema(examples(1200))]
    connections: Option<u64>,
    /// How many a gateway takes.
    #[schema(examples(10_000))]
    max_connections: Option<u64>,
    /// Chats that somebody on the gateway watches.
    #[schema(examples(340))]
    chats: Option<u64>,
}

impl From<NodeReport> for NodeView {
    fn from(report: NodeReport) -> Self {
        let NodeReport {
            node,
            kind,
            version,
            started_at,
            reported_at,
            draining,
            cores,
            memory_bytes,
            gateway,
        } = report;
        Self {
            node: node.to_string(),
            kind,
            version,
            started_at,
            reported_at,
            draining,
            cores,
            memory_bytes,
            connections: gateway.map(|gateway| gateway.connections),
            max_connections: gateway.map(|gateway| gateway.max_connections),
            chats: gateway.map(|gateway| gateway.chats),
        }
    }
}

/// An open connection.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Connection)]
pub(crate) struct OpenConnectionView {
    /// As `ready` names it to the client.
    #[schema(examples("5f0a7c1e9a512f6f0c9f4f11019adf3c.17"))]
    id: String,
    /// The gateway that holds it.
    #[schema(examples("5f0a7c1e9a512f6f0c9f4f11019adf3c"))]
    node: String,
    /// The session whose token opened it.
    session_id: SessionId,
    since: Timestamp,
    /// The family of clients that it belongs to.
    #[schema(examples("native"))]
    dialect: String,
    /// The network that it comes from; empty if that is not known.
    #[schema(examples("192.0.2.0/24"))]
    network: String,
}

/// A person's connections.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Connections)]
pub(crate) struct ConnectionsView {
    items: Vec<OpenConnectionView>,
    /// Gateways that did not answer in time: there may be more connections.
    #[schema(examples("5f0a7c1e9a512f6f0c9f4f11019adf3c"))]
    silent_nodes: Vec<String>,
}

impl From<Connections> for ConnectionsView {
    fn from(connections: Connections) -> Self {
        let view = |Connected { node, connection }| {
            let OpenConnection { id, session_id, since, dialect, network } = connection;
            OpenConnectionView { id, node: node.to_string(), session_id, since, dialect, network }
        };
        Self {
            items: connections.found.into_iter().map(view).collect(),
            silent_nodes: connections.silent.iter().map(ToString::to_string).collect(),
        }
    }
}
