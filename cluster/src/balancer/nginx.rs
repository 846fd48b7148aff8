//! `deploy/nginx` with our port and nodes.

use super::{BalancedNode, START};
use crate::{
    Process, Program,
    installed::{self, shipped},
};
use anyhow::{Context, Result};
use std::{
    fmt::Write,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

pub(super) async fn start(
    folder: &Path,
    logs: &Path,
    address: SocketAddr,
    gateways: &[BalancedNode],
    apis: &[BalancedNode],
) -> Result<Process> {
    write(folder, address, gateways, apis)?;
    run(folder, logs).await
}

/// Writes the configuration into the folder; the path of nginx.conf.
pub(super) fn write(
    folder: &Path,
    address: SocketAddr,
    gateways: &[BalancedNode],
    apis: &[BalancedNode],
) -> Result<PathBuf> {
    let shipped = shipped("nginx");
    let conf = folder.join("nginx.conf");
    fs::copy(shipped.join("nginx.conf"), &conf).context("cannot copy deploy/nginx")?;
    // The shipped options with our address.
    let listen = fs::read_to_string(shipped.join("listen.conf"))?;
    fs::write(
        folder.join("listen.conf"),
        listen.replace("listen 8000", &format!("listen {address}")),
    )?;
    write_nodes(folder, gateways, apis)?;
    Ok(conf)
}

/// Runs it with the configuration in the folder.
pub(super) async fn run(folder: &Path, logs: &Path) -> Result<Process> {
    let conf = folder.join("nginx.conf");
    let program = Program::new("nginx", installed::find("nginx")?, logs)
        .args(["-p".as_ref(), folder.as_os_str(), "-c".as_ref(), conf.as_os_str()])
        // Killed, it would leave its workers behind.
        .ends_by("TERM");
    let process = Process::start(program)?;
    // Written when it has its port. An answer there might come from a server that had it before.
    let listens = || async { Ok(fs::metadata(folder.join("nginx.pid")).map(drop)?) };
    process.wait_until(START, listens).await?;
    Ok(process)
}

pub(super) fn reload(
    process: &Process,
    folder: &Path,
    gateways: &[BalancedNode],
    apis: &[BalancedNode],
) -> Result<()> {
    write_nodes(folder, gateways, apis)?;
    process.signal("HUP");
    Ok(())
}

fn write_nodes(folder: &Path, gateways: &[BalancedNode], apis: &[BalancedNode]) -> Result<()> {
    // As in the shipped files, which say why.
    for (file, nodes, failures) in [
        ("gateways.conf", gateways, "max_fails=0"),
        ("apis.conf", apis, "max_fails=1 fail_timeout=1s"),
    ] {
        let mut text = String::new();
        for node in nodes {
            writeln!(text, "server {} {failures};", node.public)?;
        }
        fs::write(folder.join(file), text)?;
    }
    Ok(())
}
