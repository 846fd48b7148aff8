//! `make cluster`: a private cluster for trying things out, load tests and fault injection.

use anyhow::{Context, Result, bail};
use clap::Parser;
use cluster::{BalancerKind, Cluster, ClusterOptions, Durability};
use std::{
    collections::BTreeSet,
    fs,
    net::TcpListener,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};
use tokio::signal::unix::{SignalKind, signal};

/// Starts a private Redis, PostgreSQL, apis, gateways and a load balancer, and stops them on
/// Ctrl-C. The apis and gateways inherit settings from the environment (GUESTS=true, LOG=debug, …).
#[derive(Parser)]
struct Args {
    /// How many gateways hold the clients' WebSockets, 1 to 50. With two or more you can stop or kill
    /// one and watch its clients resume at another one
    #[arg(long, default_value_t = 2, value_parser = |text: &str| whole(text, 1..=50))]
    gateways: u16,
    /// How many apis share the database and the REST requests, 1 to 50
    #[arg(long, default_value_t = 2, value_parser = |text: &str| whole(text, 1..=50))]
    apis: u16,
    /// The load balancer in front of them
    #[arg(long, value_enum, default_value_t)]
    balancer: BalancerKind,
    /// The port on 127.0.0.1 where clients connect
    #[arg(long, default_value_t = 8000, value_parser = |text: &str| whole(text, 1..=u16::MAX))]
    port: u16,
    /// The file that lists all addresses while the cluster is ready; the logs go into the folder
    /// `logs` beside it
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
    let args = match arguments() {
        Ok(args) => args,
        Err(code) => return code,
    };
    match run(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            cluster::exit_code(&error)
        }
    }
}

/// The command line. `Err` is what the program should exit with: the help was printed, or one line on stderr
/// said what is wrong, as all programs of Switchboard do.
#[expect(clippy::print_stderr, reason = "a program for the terminal")]
fn arguments() -> Result<Args, ExitCode> {
    Args::try_parse().map_err(|error| {
        if !error.use_stderr() {
            let _ = error.print();
            return ExitCode::SUCCESS;
        }
        let text = error.to_string();
        let wrong = text.lines().take_while(|line| !line.is_empty()).map(str::trim);
        eprintln!("{} (see --help)", wrong.collect::<Vec<_>>().join(" "));
        ExitCode::from(cluster::EXIT_USAGE)
    })
}

fn whole(text: &str, range: RangeInclusive<u16>) -> Result<u16, String> {
    let number = text.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| {
        format!("it must be a whole number from {} to {}", range.start(), range.end())
    })
}

#[expect(clippy::print_stdout, reason = "a program for the terminal")]
async fn run(args: Args) -> Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    // Before minutes of building: the most likely reason why it cannot work.
    if let Err(error) = TcpListener::bind(("127.0.0.1", args.port)) {
        bail!(
            "cannot listen on 127.0.0.1:{}: {error}. Choose another port: --port, or make cluster PORT=…",
            args.port
        );
    }
    let folder = args.state.parent().context("--state must name a file in a folder")?;
    let logs = folder.join("logs");
    remove(&args.state)?;
    remove_logs(&logs)?;
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

/// Removes the logs of the last cluster, and nothing else that may be in a folder of this name.
fn remove_logs(logs: &Path) -> Result<()> {
    let Ok(entries) = fs::read_dir(logs) else { return Ok(()) };
    let files = entries.flatten().map(|entry| entry.path());
    files
        .filter(|file| file.extension().is_some_and(|extension| extension == "log"))
        .try_for_each(|file| remove(&file))
}

fn remove(file: &Path) -> Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", file.display()))
        }
        _ => Ok(()),
    }
}
