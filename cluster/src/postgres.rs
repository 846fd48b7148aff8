//! A private, throw-away PostgreSQL server, and fresh databases in it.

use crate::{Process, Program, installed, port::free_port, program::ChildUser, scratch::Scratch};
use anyhow::{Context, Result, bail};
use parking_lot::Mutex;
use std::{
    ffi::{OsStr, OsString},
    fs,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::sync::OnceCell;

/// About a second in practice; long for a machine that compiles beside it.
const START: Duration = Duration::from_secs(60);
/// Many tests at a time share a server, each with pools of its own.
const CONNECTIONS: u32 = 400;

/// Whether a commit must outlive a power failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// As in production: every commit is flushed to the disk.
    Durable,
    /// For tests: committed data survives a killed server, not a failing machine.
    Fast,
}

/// The server. It ends, and its data is removed, when this is dropped or its owner dies.
pub struct Postgres {
    process: Process,
    port: u16,
    programs: PathBuf,
    databases: AtomicU32,
    /// The names of databases that nobody needs any more.
    unneeded: Arc<Mutex<Vec<String>>>,
    scratch: Scratch,
}

/// A database of one test. After this is dropped, the next one that is made removes it: hundreds of tests would fill
/// the disk.
pub struct TestDatabase {
    url: String,
    name: String,
    unneeded: Arc<Mutex<Vec<String>>>,
}

impl TestDatabase {
    /// Where it is, for clients.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its name on the server.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        self.unneeded.lock().push(std::mem::take(&mut self.name));
    }
}

impl Postgres {
    /// Starts a fast server with no data in it on a free port of 127.0.0.1.
    pub async fn start() -> Result<Self> {
        Self::start_with(Durability::Fast).await
    }

    /// Starts a server with no data in it and waits until it takes connections.
    pub async fn start_with(durability: Durability) -> Result<Self> {
        Self::start_in(None, durability, None).await
    }

    /// Starts a standby of this server on a free port. From then on each commit waits until the standby has it,
    /// too. It only reads until it is promoted.
    pub async fn standby(&self) -> Result<Self> {
        self.standby_in(None).await
    }

    pub(crate) async fn standby_in(&self, logs: Option<&Path>) -> Result<Self> {
        let port = self.port.to_string();
        let copy = move |programs: &Path, data: &Path| {
            let mut command = Command::new(programs.join("pg_basebackup"));
            command.args(["-h", "127.0.0.1", "-p", &port, "-U", "postgres"]);
            command
                .args(["--checkpoint=fast", "--no-sync", "--write-recovery-conf", "-D"])
                .arg(data);
            command
        };
        let standby = Self::start_on("standby", logs, Durability::Fast, None, copy).await?;
        // After the copy was made, so that the standby waits for nobody once it is promoted.
        self.sql("ALTER SYSTEM SET synchronous_standby_names = '*'").await?;
        self.sql("SELECT pg_reload_conf()").await?;
        Ok(standby)
    }

    /// Makes a standby a server of its own that takes writes; returns when it does.
    pub async fn promote(&self) -> Result<()> {
        self.sql("SELECT pg_promote()").await
    }

    pub(crate) async fn start_in(
        logs: Option<&Path>,
        durability: Durability,
        cpu: Option<usize>,
    ) -> Result<Self> {
        let make = |programs: &Path, data: &Path| {
            let mut command = Command::new(programs.join("initdb"));
            // The server listens on loopback only, and its data does not outlive it.
            command.args(["--no-sync", "--auth=trust", "--username=postgres"]);
            command.args(["--encoding=UTF8", "--locale=C.UTF-8", "-D"]).arg(data);
            command
        };
        Self::start_on("postgres", logs, durability, cpu, make).await
    }

    /// Starts a server on the data that the command of `make` makes, from the folder of PostgreSQL's programs and
    /// the data's.
    async fn start_on(
        name: &str,
        logs: Option<&Path>,
        durability: Durability,
        cpu: Option<usize>,
        make: impl FnOnce(&Path, &Path) -> Command,
    ) -> Result<Self> {
        let programs = installed::postgres_folder()?;
        let user = installed::unprivileged_user()?;
        let scratch = Scratch::new("postgres")?;
        scratch.give_to(user)?;
        let data = scratch.path().join("data");
        let command = make(&programs, &data);
        tokio::task::spawn_blocking(move || run(command, user)).await??;
        let port = free_port();
        let logs = logs.unwrap_or(scratch.path());
        let mut program = Program::new(name, programs.join("postgres"), logs)
            .args(settings(&data, port, durability))
            .on_cpu(cpu)
            // Its immediate shutdown: ends at once and gives its shared memory back.
            .ends_by("QUIT");
        program.user = user;
        let process = Process::start(program)?;
        takes_connections(&process, &data).await?;
        let (databases, unneeded) = Default::default();
        Ok(Self { process, port, programs, databases, unneeded, scratch })
    }

    /// One fast server for all tests of this process, started by the first that asks. Nobody drops
    /// a static: the server notices when the process has ended.
    pub async fn shared() -> Result<&'static Self> {
        static SHARED: OnceCell<Postgres> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::start).await
    }

    /// The URL of a database by its name; `postgres` always exists.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// The URL of a database that is on this server and its standby, or the other way round, whichever takes writes.
    pub fn url_with(&self, other: &Self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{},127.0.0.1:{}/{database}", self.port, other.port)
    }

    /// Lets those who are connected go on, and takes no more writes: a server that was demoted.
    pub async fn demote(&self) -> Result<()> {
        self.sql("ALTER SYSTEM SET default_transaction_read_only = on").await?;
        self.sql("SELECT pg_reload_conf()").await
    }

    /// Makes an empty database.
    ///
    /// # Panics
    /// When the server does not answer: a test has nothing to go on with then.
    pub async fn create_database(&self) -> TestDatabase {
        match self.try_create_database().await {
            Ok(database) => database,
            Err(error) => panic!("{error:#}"),
        }
    }

    pub(crate) async fn try_create_database(&self) -> Result<TestDatabase> {
        let name = format!("db{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let unneeded = std::mem::take(&mut *self.unneeded.lock());
        // The pools of the test that owned it may be open still.
        let drops = unneeded.iter().map(|name| format!("DROP DATABASE {name} WITH (FORCE)"));
        // Nobody can connect to `template0`; a session in the template would make the copy fail.
        let create = format!("CREATE DATABASE {name} TEMPLATE template0");
        self.run(drops.chain([create])).await?;
        Ok(TestDatabase { url: self.url(&name), name, unneeded: Arc::clone(&self.unneeded) })
    }

    /// A database with all that this one has, to which nobody is connected.
    ///
    /// # Panics
    /// When somebody is.
    pub async fn create_copy(&self, of: &TestDatabase) -> TestDatabase {
        let name = format!("db{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let create = format!("CREATE DATABASE {name} TEMPLATE {}", of.name());
        if let Err(error) = self.run([create]).await {
            panic!("{error:#}");
        }
        TestDatabase { url: self.url(&name), name, unneeded: Arc::clone(&self.unneeded) }
    }

    /// Runs one statement in the database `postgres` as the superuser.
    pub async fn sql(&self, statement: &str) -> Result<()> {
        self.run([statement.to_owned()]).await
    }

    /// Runs statements one after the other, each in a transaction of its own. The error tells the end of the
    /// server's log, too: why it refused, or died.
    async fn run(&self, statements: impl IntoIterator<Item = String>) -> Result<()> {
        let mut command = tokio::process::Command::new(self.programs.join("psql"));
        command.args(["-X", "-q", "-v", "ON_ERROR_STOP=1"]);
        for statement in statements {
            command.args(["-c", &statement]);
        }
        let output = command.arg(self.url("postgres")).output().await.context("cannot run psql")?;
        if !output.status.success() {
            let error = String::from_utf8_lossy(&output.stderr);
            bail!("{}\n{}", error.trim(), self.process.log_tail());
        }
        Ok(())
    }

    /// The TCP port on 127.0.0.1; it stays the same over restarts.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// For signals (pause, resume), the process id and the log.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Stops the server: open transactions are rolled back, connections closed.
    pub async fn stop(&self) -> Result<()> {
        // TERM would wait until every client has disconnected.
        self.process.signal("INT");
        self.process.wait(START).await.map(drop)
    }

    /// Kills the server with SIGKILL; what was committed is there after a restart.
    pub async fn kill(&self) -> Result<()> {
        self.process.kill().await
    }

    /// Starts it again on the same port with its data and waits until it takes connections.
    pub async fn restart(&self) -> Result<()> {
        let data = self.scratch.path().join("data");
        let mut tries = 0;
        loop {
            self.process.restart()?;
            match takes_connections(&self.process, &data).await {
                Ok(()) => return Ok(()),
                // The sessions of a killed server need a moment to notice, and it does not start
                // beside them.
                Err(_) if tries < 10 => tries += 1,
                Err(error) => return Err(error),
            }
        }
    }
}

/// Runs a command as the server's user.
fn run(mut command: Command, user: Option<ChildUser>) -> Result<()> {
    if let Some(user) = user {
        command.uid(user.uid).gid(user.gid).current_dir("/");
    }
    let program = command.get_program().to_owned();
    let output = command.output().with_context(|| format!("cannot run {program:?}"))?;
    if !output.status.success() {
        bail!("{program:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

fn settings(data: &Path, port: u16, durability: Durability) -> Vec<OsString> {
    let mut args = vec!["-D".into(), data.into(), "-p".into(), port.to_string().into()];
    let mut set = |setting: &str| args.extend(["-c", setting].map(|text| OsStr::new(text).into()));
    set("listen_addresses=127.0.0.1");
    // No socket file: its folder differs by distribution and may not be ours to write.
    set("unix_socket_directories=");
    set(&format!("max_connections={CONNECTIONS}"));
    set("timezone=UTC");
    set("log_line_prefix=%m [%p] %d ");
    if durability == Durability::Durable {
        set("shared_buffers=128MB");
    } else {
        // Little, because tests run a dozen servers at a time.
        set("shared_buffers=32MB");
        // A commit is still written before it is confirmed, so it survives a killed server.
        set("fsync=off");
        set("full_page_writes=off");
        // Each database that a test makes is written to the log, too; what a standby may still need is kept.
        set("max_wal_size=64MB");
        set("min_wal_size=32MB");
        set("wal_keep_size=64MB");
    }
    args
}

/// The server writes its process id and its state into the first and eighth line of its lock file;
/// `pg_ctl` looks there too. A killed server leaves its file behind.
async fn takes_connections(process: &Process, data: &Path) -> Result<()> {
    let pid = process.pid().to_string();
    let pid = pid.as_str();
    process
        .wait_until(START, || async move {
            let text = fs::read_to_string(data.join("postmaster.pid"))
                .context("PostgreSQL has no lock file")?;
            let lines: Vec<&str> = text.lines().map(str::trim).collect();
            match (lines.first(), lines.get(7)) {
                (Some(&owner), Some(&"ready")) if owner == pid => Ok(()),
                (_, state) => bail!("PostgreSQL is in the state {state:?}"),
            }
        })
        .await
}
