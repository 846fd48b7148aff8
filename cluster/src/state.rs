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
    pub admin_username: String,
    pub admin_password: String,
    /// The folder of the log files of all processes.
    pub logs: String,
    pub database_url: String,
    pub redis_url: String,
    pub gateways: Vec<GatewayState>,
    pub apis: Vec<ApiState>,
    pub redis: Pid,
    pub postgres: Pid,
    pub balancer: BalancerState,
}

#[derive(Debug, Serialize)]
pub struct GatewayState {
    pub pid: u32,
    pub url: String,
    pub admin_url: String,
}

#[derive(Debug, Serialize)]
pub struct ApiState {
    pub pid: u32,
    pub url: String,
    pub internal_url: String,
    pub admin_url: String,
}

#[derive(Debug, Serialize)]
pub struct BalancerState {
    pub pid: u32,
    pub kind: BalancerKind,
    /// Where its own `/metrics` is; not there for nginx, which has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics_url: Option<String>,
}

#[derive(Debug, Serialize)]
pub struct Pid {
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
