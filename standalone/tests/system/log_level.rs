//! The log level of running processes, changed as an operator does it: by the same binary, beside
//! the process. Who else may not, and that a change ends, is tried where it is written.

use crate::harness::{Mode, System, until};
use cluster::Process;
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Output,
};

#[tokio::test]
async fn a_gateway_logs_more_for_a_while() {
    let t = System::start(Mode::Cluster).await;
    let binary = Path::new(env!("CARGO_BIN_EXE_switchboard")).with_file_name("gateway");
    let gateway = t.gateway(0);
    changes(&binary, gateway.process(), gateway.admin()).await;
    let binary = binary.with_file_name("api");
    changes(&binary, t.api(0).process(), t.api(0).admin()).await;
}

#[tokio::test]
async fn the_one_process_does_too() {
    let t = System::single(&[]).await;
    changes(Path::new(env!("CARGO_BIN_EXE_switchboard")), &t.alone().process, t.alone().admin)
        .await;
}

async fn changes(binary: &Path, process: &Process, admin: SocketAddr) {
    let log = process.log().to_owned();
    assert!(!has(&log, "DEBUG"), "{} logs as it was told", process.name());
    assert_eq!(run(binary, admin, &[]).await, (0, "info".to_owned()));

    let (code, told) = run(binary, admin, &["debug", "--minutes", "3"]).await;
    assert_eq!((code, told.as_str()), (0, "debug\nin 3 min again: info"));
    until("a line of debugging", async || has(&log, "DEBUG").then_some(())).await;

    let (code, told) = run(binary, admin, &["debgu"]).await;
    assert_eq!(code, 64, "{told}");
    assert!(told.contains("\"debgu\" is no level"), "{told}");
    let (code, told) = run(binary, admin, &["debug", "--minutes", "1441"]).await;
    assert_eq!(code, 64, "{told}");
    assert_eq!(run(binary, admin, &["info"]).await, (0, "info".to_owned()));
}

/// The exit code of `BINARY log ARGUMENTS`, and what it says.
async fn run(binary: &Path, admin: SocketAddr, arguments: &[&str]) -> (i32, String) {
    let mut command = tokio::process::Command::new(binary);
    command.arg("log").args(arguments).env("ADMIN_LISTEN", admin.to_string());
    let Output { status, stdout, stderr } = command.output().await.unwrap();
    let text = String::from_utf8_lossy(if status.success() { &stdout } else { &stderr });
    (status.code().unwrap(), text.trim_end().to_owned())
}

fn has(log: &PathBuf, text: &str) -> bool {
    String::from_utf8_lossy(&std::fs::read(log).unwrap()).contains(text)
}
