//! `deploy/haproxy` with our ports, and our nodes where the shipped file asks DNS for them.

use super::{BalancedNode, START};
use crate::{
    Process, Program, free_port,
    installed::{self, shipped},
};
use anyhow::{Context, Result, bail, ensure};
use std::{fmt::Write, fs, net::SocketAddr, path::Path};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
};

/// In the folder: the configuration, and where the master answers questions.
const CONF: &str = "haproxy.cfg";
const SOCKET: &str = "master.sock";

/// No proxy stands in front of it.
const NOBODY: &str = "255.255.255.255";

/// The process, and where its `/metrics` is.
pub(super) async fn start(
    folder: &Path,
    logs: &Path,
    address: SocketAddr,
    gateways: &[BalancedNode],
    apis: &[BalancedNode],
) -> Result<(Process, SocketAddr)> {
    let metrics = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let process = run(folder, logs, metrics, &conf(address, metrics, gateways, apis)?, &[]).await?;
    Ok((process, metrics))
}

/// Runs it with this configuration and environment.
pub(super) async fn run(
    folder: &Path,
    logs: &Path,
    metrics: SocketAddr,
    conf: &str,
    environment: &[(&str, String)],
) -> Result<Process> {
    let file = folder.join(CONF);
    fs::write(&file, conf)?;
    // A master that starts a new worker on SIGUSR2 and hands it the listening sockets, while the old
    // one keeps the open connections; -db: in the foreground.
    let program = Program::new("haproxy", installed::find("haproxy")?, logs)
        .args(["-W".as_ref(), "-db".as_ref(), "-f".as_ref(), file.as_os_str()])
        .args(["-S".as_ref(), folder.join(SOCKET).as_os_str()])
        // Ours has this name for the nodes, which are told of HAProxy, and another form.
        .env("TRUSTED_PROXIES", NOBODY)
        // Killed, it would leave its workers behind.
        .ends_by("TERM");
    let set = |program: Program, (name, value): &(&str, String)| program.env(*name, value);
    let process = Process::start(environment.iter().fold(program, set))?;
    process.wait_answer(metrics, "/livez", START).await?;
    // The worker serves, and the master ignores signals until it answers.
    process.wait_until(START, async || worker(folder).await.map(drop)).await?;
    Ok(process)
}

/// Lets a new worker serve with this configuration; the old one keeps its open connections.
pub(super) async fn reload(process: &Process, folder: &Path, conf: &str) -> Result<()> {
    fs::write(folder.join(CONF), conf)?;
    let old = worker(folder).await?;
    process.signal("USR2");
    // One at a time: a signal that finds the master at work is lost.
    let changed = || async {
        ensure!(worker(folder).await? != old, "the old worker still serves");
        Ok(())
    };
    process.wait_until(START, changed).await
}

/// The current worker's process id.
async fn worker(folder: &Path) -> Result<String> {
    let mut master = UnixStream::connect(folder.join(SOCKET)).await?;
    master.write_all(b"show proc\n").await?;
    master.shutdown().await?;
    let mut processes = String::new();
    master.read_to_string(&mut processes).await?;
    let worker = processes.lines().find(|line| line.split_whitespace().nth(1) == Some("worker"));
    let pid = worker.and_then(|line| line.split_whitespace().next());
    pid.map(str::to_owned).context("HAProxy has no worker")
}

/// The shipped configuration with our addresses and a line for each node.
pub(super) fn conf(
    address: SocketAddr,
    metrics: SocketAddr,
    gateways: &[BalancedNode],
    apis: &[BalancedNode],
) -> Result<String> {
    let mut text = String::new();
    for line in configuration_for(address, metrics)?.lines() {
        // The options of all servers stand in default-server; those of a template are about DNS.
        let nodes = match line.trim_start().strip_prefix("server-template ") {
            None => {
                writeln!(text, "{line}")?;
                continue;
            }
            Some(template) if template.starts_with("gateway ") => ("gateway", gateways),
            Some(template) if template.starts_with("api ") => ("api", apis),
            Some(template) => {
                bail!("haproxy.cfg has a server-template for unknown nodes: {template}")
            }
        };
        for (number, node) in nodes.1.iter().enumerate() {
            let (name, admin) = (nodes.0, node.admin.port());
            writeln!(text, "    server {name}{} {} port {admin}", number + 1, node.public)?;
        }
    }
    Ok(text)
}

/// The shipped configuration with our addresses.
pub(super) fn configuration_for(address: SocketAddr, metrics: SocketAddr) -> Result<String> {
    let shipped = shipped("haproxy/haproxy.cfg");
    let mut text = fs::read_to_string(&shipped)
        .with_context(|| format!("cannot read {}", shipped.display()))?;
    for (theirs, ours) in [("bind :8000 ", address), ("bind :8404 ", metrics)] {
        if text.matches(theirs).count() != 1 {
            bail!("haproxy.cfg must contain {theirs:?} exactly once");
        }
        text = text.replace(theirs, &format!("bind {ours} "));
    }
    Ok(text)
}
