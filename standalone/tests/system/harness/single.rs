//! The `switchboard` binary as a private server on free ports with its own data folder. Dropping it
//! kills the process and removes the folder; nothing outlives the test binary.

use super::system::USUAL;
use api::auth::tokens::Tokens;
use cluster::{Process, Program, free_port};
use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

/// The administrator's password on the first start.
pub const ADMIN_PASSWORD: &str = "a password only for tests";

/// Well below a second in practice; long for a machine that compiles beside it.
const START: Duration = Duration::from_secs(60);

/// A running single process.
pub struct Single {
    pub process: Process,
    pub public: SocketAddr,
    pub admin: SocketAddr,
    folder: tempfile::TempDir,
}

impl Single {
    /// Starts it on an empty data folder, with these settings in its environment beside the usual
    /// ones. Returns when it is ready.
    pub async fn start(settings: &[(&str, &str)]) -> Self {
        Self::hosted("", settings).await
    }

    /// The same by a shell that runs these lines first: limits, pipes and disks as a host has them. `$DATA`
    /// is the data folder, and `"$@"` the command.
    pub async fn hosted(lines: &str, settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let (public, admin) = (local(free_port()), local(free_port()));
        let script = format!("{lines}\nexec \"$@\"");
        let program = Program::new("switchboard", "sh", folder.path())
            .args(["-c", &script, "host", env!("CARGO_BIN_EXE_switchboard")])
            .args(["--listen", &public.to_string(), "--admin-listen", &admin.to_string()])
            .env("DATA", folder.path().join("data").display())
            .env("ADMIN_PASSWORD", ADMIN_PASSWORD);
        let settings = [USUAL, settings].concat();
        let program = settings.iter().fold(program, |all, (name, value)| all.env(*name, value));
        let process = Process::start(program).expect("it starts");
        let single = Self { process, public, admin, folder };
        single.ready().await;
        single
    }

    /// Starts it again on the same folder and ports.
    pub async fn restart(&self) {
        self.process.restart().expect("it starts again");
        self.ready().await;
    }

    async fn ready(&self) {
        self.process.wait_ready(self.admin, START).await.expect("it gets ready");
    }

    /// What only it holds: the keys that sign its users' tokens.
    pub fn keys(&self) -> Tokens {
        Tokens::load_or_create(&self.data().join("jwt.pem")).expect("its keys")
    }

    /// Its data folder, as it sees it.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The folder of its logs: everything it printed.
    pub fn logs(&self) -> &Path {
        self.folder.path()
    }
}
