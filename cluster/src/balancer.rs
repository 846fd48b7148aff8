//! The load balancer of `deploy/nginx`, as shipped: only the port and the nodes are ours.

use crate::{Process, Program, programs, scratch::Scratch};
use anyhow::{Context, Result};
use std::{
    fmt::Write, fs, net::SocketAddr, os::unix::fs::PermissionsExt, path::Path, time::Duration,
};

/// Tens of milliseconds in practice; long for a machine that compiles beside it.
const START: Duration = Duration::from_secs(20);

/// nginx in front of gateways and apis. It ends when this is dropped or its owner dies.
pub struct Balancer {
    process: Process,
    address: SocketAddr,
    scratch: Scratch,
}

impl Balancer {
    /// Starts nginx on 127.0.0.1 and `port`. Both lists must not be empty; nobody needs to listen
    /// there yet. An error when the port is taken.
    pub async fn start(port: u16, gateways: &[SocketAddr], apis: &[SocketAddr]) -> Result<Self> {
        Self::start_in(None, port, gateways, apis).await
    }

    pub(crate) async fn start_in(
        logs: Option<&Path>,
        port: u16,
        gateways: &[SocketAddr],
        apis: &[SocketAddr],
    ) -> Result<Self> {
        let scratch = Scratch::new("nginx")?;
        let folder = scratch.path();
        // Started by root, its workers run as the distribution's user for it.
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/nginx");
        let conf = folder.join("nginx.conf");
        fs::copy(shipped.join("nginx.conf"), &conf).context("cannot copy deploy/nginx")?;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        // The shipped options with our address.
        let listen = fs::read_to_string(shipped.join("listen.conf"))?;
        fs::write(
            folder.join("listen.conf"),
            listen.replace("listen 8000", &format!("listen {address}")),
        )?;
        write_nodes(folder, gateways, apis)?;
        let program = Program::new("nginx", programs::find("nginx")?, logs.unwrap_or(folder))
            .args(["-p".as_ref(), folder.as_os_str(), "-c".as_ref(), conf.as_os_str()])
            // Killed, it would leave its workers behind.
            .ends_by("TERM");
        let process = Process::start(program)?;
        // Written when it has its port. An answer there might come from a server that had it before.
        let listens = || async { Ok(fs::metadata(folder.join("nginx.pid")).map(drop)?) };
        process.wait_until(START, listens).await?;
        Ok(Self { process, address, scratch })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// For the process id and the log.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Puts other nodes behind it; open sockets stay. It takes them up a moment later.
    pub fn set_nodes(&self, gateways: &[SocketAddr], apis: &[SocketAddr]) -> Result<()> {
        write_nodes(self.scratch.path(), gateways, apis)?;
        self.process.signal("HUP");
        Ok(())
    }

    /// Stops it; open connections are cut.
    pub async fn stop(&self) -> Result<()> {
        self.process.stop().await.map(drop)
    }
}

fn write_nodes(folder: &Path, gateways: &[SocketAddr], apis: &[SocketAddr]) -> Result<()> {
    // As in the shipped files, which say why.
    for (file, nodes, failures) in [
        ("gateways.conf", gateways, "max_fails=0"),
        ("apis.conf", apis, "max_fails=1 fail_timeout=1s"),
    ] {
        let mut text = String::new();
        for node in nodes {
            writeln!(text, "server {node} {failures};")?;
        }
        fs::write(folder.join(file), text)?;
    }
    Ok(())
}
