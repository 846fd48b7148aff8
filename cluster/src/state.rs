//! The description of a running cluster for other programs: the contents of `state.json`.

use crate::{BalancerKind, Cluster, Node, Process};
use anyhow::{Context, Result};
use serde::Serialize;
use std::{fs, path::Path};

/// A running cluster, for scripts, load testers and fault injection.
#[derive(Debug, Serialize)]
pub struct ClusterState {
    /// The load balancer: where clients connect.
    pub url: String,
    /// The administrator that the apis created at their first start.
    pub admin_username: String,
    /// The password of the administrator.
    pub admin_password: String,
    /// The folder of the log files of all processes.
    pub logs: String,
    /// The URL of the apis' database, with its password.
    pub database_url: String,
    /// The URL of the Redis server.
    pub redis_url: String,
    /// All gateways, in the order they were started.
    pub gateways: Vec<GatewayState>,
    /// All apis, in the order they were started.
    pub apis: Vec<ApiState>,
    /// The Redis server.
    pub redis: Pid,
    /// The PostgreSQL server.
    pub postgres: Pid,
    /// The load balancer.
    pub balancer: BalancerState,
}

/// A running gateway.
#[derive(Debug, Serialize)]
pub struct GatewayState {
    /// The process id.
    pub pid: u32,
    /// The base URL for WebSocket clients.
    pub url: String,
    /// The base URL of the operators' endpoints.
    pub admin_url: String,
}

/// A running api.
#[derive(Debug, Serialize)]
pub struct ApiState {
    /// The process id.
    pub pid: u32,
    /// The base URL of the public listener.
    pub url: String,
    /// The base URL that gateways call.
    pub internal_url: String,
    /// The base URL of the operators' endpoints.
    pub admin_url: String,
}

/// The running load balancer.
#[derive(Debug, Serialize)]
pub struct BalancerState {
    /// The process id.
    pub pid: u32,
    /// Which program it is.
    pub kind: BalancerKind,
    /// Where its own `/metrics` is; not there for nginx, which has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics_url: Option<String>,
}

/// A server that is known by its process only.
#[derive(Debug, Serialize)]
pub struct Pid {
    /// The process id.
    pub pid: u32,
}

impl ClusterState {
    pub(crate) fn of(cluster: &Cluster) -> Self {
        let pid = |process: &Process| Pid { pid: process.pid() };
        Self {
            url: cluster.balancer().url(),
            admin_username: "admin".to_owned(),
            admin_password: cluster.admin_password().to_owned(),
            logs: cluster.logs().display().to_string(),
            database_url: cluster.database_url().to_owned(),
            redis_url: cluster.redis().url(),
            gateways: cluster.gateways().iter().map(GatewayState::of).collect(),
            apis: cluster.apis().iter().map(ApiState::of).collect(),
            redis: pid(cluster.redis().process()),
            postgres: pid(cluster.postgres().process()),
            balancer: BalancerState {
                pid: cluster.balancer().process().pid(),
                kind: cluster.balancer().kind(),
                metrics_url: cluster.balancer().metrics().map(|at| format!("http://{at}")),
            },
        }
    }

    /// Writes it as JSON. A reader sees all of it or nothing.
    pub fn write(&self, path: &Path) -> Result<()> {
        let unfinished = path.with_extension("json.unfinished");
        fs::write(&unfinished, serde_json::to_string_pretty(self)? + "\n")
            .and_then(|()| fs::rename(&unfinished, path))
            .with_context(|| format!("cannot write {}", path.display()))
    }
}

impl GatewayState {
    fn of(node: &Node) -> Self {
        Self {
            pid: node.process().pid(),
            url: format!("http://{}", node.address()),
            admin_url: format!("http://{}", node.admin()),
        }
    }
}

impl ApiState {
    fn of(node: &Node) -> Self {
        Self {
            pid: node.process().pid(),
            url: format!("http://{}", node.address()),
            internal_url: format!("http://{}", node.internal()),
            admin_url: format!("http://{}", node.admin()),
        }
    }
}
