//! A private PgBouncer between clients and a PostgreSQL server, as `docs/operations.md` says to set it.

use crate::{Postgres, Process, Program, installed, port::free_port, scratch::Scratch};
use anyhow::{Context, Result};
use std::{fs, process::Command, time::Duration};
use tokio::net::TcpStream;

/// Tens of milliseconds in practice; long for a machine that compiles beside it.
const START: Duration = Duration::from_secs(20);

/// Fewer than a test's clients have connections, so that clients take turns.
const SERVER_CONNECTIONS: u32 = 4;

/// The pooler. It ends when this is dropped, or when the process that owns it dies.
pub struct PgBouncer {
    process: Process,
    port: u16,
    by_transaction: bool,
    _scratch: Scratch,
}

impl PgBouncer {
    /// Starts one for all databases of a server, and waits until it takes connections. Before version 1.21 it knows no
    /// prepared statements of its clients; such a one gives each client a session.
    pub async fn start(server: &Postgres) -> Result<Self> {
        let path = installed::find("pgbouncer")?;
        let version =
            Command::new(&path).arg("--version").output().context("cannot run pgbouncer")?;
        let by_transaction = knows_statements(&String::from_utf8_lossy(&version.stdout));
        let user = installed::unprivileged_user()?;
        let scratch = Scratch::new("pgbouncer")?;
        scratch.give_to(user)?;
        let port = free_port();
        let file = scratch.path().join("pgbouncer.ini");
        fs::write(&file, settings(server.port(), port, by_transaction))?;
        let mut program = Program::new("pgbouncer", path, scratch.path()).args([&file]);
        program.user = user;
        let process = Process::start(program)?;
        let pooler = Self { process, port, by_transaction, _scratch: scratch };
        pooler.answers().await?;
        Ok(pooler)
    }

    /// The URL of a database by its name.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// Whether clients share its connections from transaction to transaction.
    pub fn is_by_transaction(&self) -> bool {
        self.by_transaction
    }

    /// The most connections that it opens to the server for a database.
    pub fn server_connections(&self) -> u32 {
        SERVER_CONNECTIONS
    }

    /// Has it read its settings again; clients go on.
    pub fn reload(&self) {
        self.process.signal("HUP");
    }

    /// Kills it and starts it again on the same port: all connections break off.
    pub async fn restart(&self) -> Result<()> {
        self.process.restart()?;
        self.answers().await
    }

    async fn answers(&self) -> Result<()> {
        let port = self.port;
        let connect = || async move {
            TcpStream::connect(("127.0.0.1", port)).await?;
            Ok(())
        };
        self.process.wait_until(START, connect).await
    }
}

/// `PgBouncer 1.21.0` and newer.
fn knows_statements(version: &str) -> bool {
    let numbers = version.split_whitespace().nth(1).and_then(|number| {
        let mut parts = number.split('.');
        Some((parts.next()?.parse::<u32>().ok()?, parts.next()?.parse::<u32>().ok()?))
    });
    numbers.is_some_and(|version| version >= (1, 21))
}

fn settings(server: u16, port: u16, by_transaction: bool) -> String {
    let mode = match by_transaction {
        true => format!(
            "pool_mode = transaction\nmax_prepared_statements = 256\n\
            default_pool_size = {SERVER_CONNECTIONS}\n"
        ),
        false => "pool_mode = session\ndefault_pool_size = 50\n".to_owned(),
    };
    format!(
        "[databases]\n* = host=127.0.0.1 port={server} user=postgres\n[pgbouncer]\n\
         listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n\
         max_client_conn = 200\nignore_startup_parameters = options,extra_float_digits\n{mode}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_ones_are_told_apart() {
        assert!(knows_statements("PgBouncer 1.24.1\nlibevent 2.1.12"));
        assert!(knows_statements("PgBouncer 1.21.0"));
        assert!(!knows_statements("PgBouncer 1.18.0"));
        assert!(!knows_statements("what?"));
    }
}
