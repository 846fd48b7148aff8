//! `make cluster`: a private cluster for trying things out, load tests and fault injection.

use anyhow::{Context, Result, bail};
use clap::Parser;
use cluster::{BalancerKind, Cluster, ClusterOptions, Durability};
use std::{
    collections::BTreeSet,
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};
use tokio::signal::unix::{SignalKind, signal};

/// Starts a private Redis, PostgreSQL, apis, gateways and a load balancer, and stops them on
/// Ctrl-C. The apis and gateways inherit settings from the environment (GUESTS=true, LOG=debug, …).
#[derive(Parser)]
struct Args {
    /// The number of gateways
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=50))]
    gateways: u16,
    /// The number of apis
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=50))]
    apis: u16,
    /// The load balancer
    #[arg(long, value_enum, default_value_t)]
    balancer: BalancerKind,
    /// The port on 127.0.0.1 where clients connect
    #[arg(long, default_value_t = 8000)]
    port: u16,
    /// The file that lists all addresses while the cluster is ready; the logs go beside it
    #[arg(long, default_value = "target/cluster/state.json")]
    state: PathBuf,
    /// Runs the binaries in this folder instead of building them
    ///
    /// The folder must hold `api` and `gateway`, for example target/release after
    /// `cargo build --release --workspace --bin api --bin gateway --features otlp`.
    /// When one is missing, nothing starts and the exit code is 64.
    #[arg(long, value_name = "DIR")]
    binaries: Option<PathBuf>,
    /// The password of the user admin; random if not given
    #[arg(long, env = "ADMIN_PASSWORD", hide_env_values = true)]
    admin_password: Option<String>,
}

#[tokio::main]
#[expect(clippy::print_stderr, reason = "a program for the terminal")]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            cluster::exit_code(&error)
        }
    }
}

#[expect(clippy::print_stdout, reason = "a program for the terminal")]
async fn run(args: Args) -> Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    // Before minutes of building: the most likely reason why it cannot work.
    if let Err(error) = TcpListener::bind(("127.0.0.1", args.port)) {
        bail!("port {}: {error}. Choose another port with PORT=", args.port);
    }
    let folder = args.state.parent().context("--state must name a file in a folder")?;
    let logs = folder.join("logs");
    remove(&args.state)?;
    if logs.exists() {
        fs::remove_dir_all(&logs).context("cannot remove old logs")?;
    }
    let action = if args.binaries.is_some() { "Starting" } else { "Building and starting" };
    println!("{action}; logs are in {}", logs.display());
    let options = ClusterOptions {
        gateways: args.gateways.into(),
        apis: args.apis.into(),
        balancer: args.balancer,
        port: Some(args.port),
        durability: Durability::Durable,
        binaries: args.binaries,
        // An empty variable is one that nobody set.
        admin_password: args.admin_password.filter(|password| !password.is_empty()),
        logs: Some(logs),
        ..ClusterOptions::default()
    };
    let cluster = tokio::select! {
        cluster = Cluster::start(options) => cluster?,
        _ = interrupt.recv() => return Ok(()),
        _ = terminate.recv() => return Ok(()),
    };
    cluster.state().write(&args.state)?;
    welcome(&cluster, &args.state);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        () = report_deaths(&cluster) => {}
    }
    println!("Stopping; press Ctrl-C again to stop at once");
    remove(&args.state)?;
    tokio::select! {
        result = cluster.stop() => result,
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
    }
}

#[expect(clippy::print_stdout, reason = "a program for the terminal")]
fn welcome(cluster: &Cluster, state: &Path) {
    let all = cluster.state();
    println!("\nReady: {}", all.url);
    println!("  sign in    {} with {}", all.admin_username, all.admin_password);
    for (number, api) in all.apis.iter().enumerate() {
        println!("  api {:<6} {}  admin {}  pid {}", number + 1, api.url, api.admin_url, api.pid);
    }
    for (number, node) in all.gateways.iter().enumerate() {
        println!(
            "  gateway {:<2} {}  admin {}  pid {}",
            number + 1,
            node.url,
            node.admin_url,
            node.pid
        );
    }
    println!("  PostgreSQL {}", all.database_url);
    println!("  Redis      {}", all.redis_url);
    println!("  logs       {}", all.logs);
    println!("  state      {}", state.display());
    println!("Press Ctrl-C to stop everything.");
}

/// Says once for each process that it has ended; the cluster goes on without it. Never ends.
#[expect(clippy::print_stderr, reason = "a program for the terminal")]
async fn report_deaths(cluster: &Cluster) {
    let mut dead = BTreeSet::new();
    loop {
        tokio::time::sleep(Duration::from_millis(200)).await;
        for process in cluster.processes() {
            if let Ok(Some(code)) = process.exit_code()
                && dead.insert(process.pid())
            {
                eprintln!("!!! {} exited with code {code}", process.name());
                eprintln!("!!! its last log lines:\n{}", process.log_tail());
            }
        }
    }
}

fn remove(file: &Path) -> Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", file.display()))
        }
        _ => Ok(()),
    }
}
