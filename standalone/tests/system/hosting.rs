//! The process as hosts run it: few open files, a pipe that nobody reads, a disk that is full, and people
//! who press Ctrl-C twice.

use crate::harness::{System, until, want::*, within};
use serde_json::json;
use std::{net::SocketAddr, path::PathBuf, process::Command, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

in_both_modes!(cpu_time_is_exact);

async fn page(admin: SocketAddr) -> String {
    reqwest::get(format!("http://{admin}/metrics")).await.unwrap().text().await.unwrap()
}

/// What a metric of it is.
async fn metric(t: &System, series: &str) -> f64 {
    value(&page(t.alone().admin).await, series)
}

fn value(page: &str, series: &str) -> f64 {
    let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {series} in {page}")).parse().unwrap()
}

/// How often it logged this.
fn logged(t: &System, text: &str) -> usize {
    String::from_utf8_lossy(&std::fs::read(t.alone().process.log()).unwrap()).matches(text).count()
}

async fn readiness(t: &System) -> u16 {
    reqwest::get(format!("http://{}/readyz", t.alone().admin)).await.unwrap().status().as_u16()
}

async fn cpu_time_is_exact(t: System) {
    for admin in t.admin_ports() {
        for series in ["process_cpu_seconds_total", "tokio_busy_seconds_total"] {
            until("a part of a second", async || {
                let page = page(*admin).await;
                assert_eq!(
                    page.matches(&format!("# TYPE {series} counter\n")).count(),
                    1,
                    "{page}"
                );
                (value(&page, series).fract() > 0.0).then_some(())
            })
            .await;
        }
    }
}

#[tokio::test]
async fn a_soft_limit_of_files_is_raised() {
    let t =
        System::hosted("ulimit -S -n 256; ulimit -H -n 4000", &[("MAX_CONNECTIONS", "3000")]).await;
    assert_eq!(metric(&t, "process_max_fds").await, 4_000.0);
    assert_eq!(metric(&t, "gateway_connections_limit").await, 3_000.0);
    assert_eq!(logged(&t, "open files"), 0);
}

#[tokio::test]
async fn clients_leave_operators_a_file() {
    let t = System::hosted("ulimit -n 300", &[]).await;
    let mut clients = Vec::new();
    for _ in 0..350 {
        clients.push(TcpStream::connect(t.front()).await.unwrap());
    }
    within(Duration::from_secs(3), "answers to operators", async {
        for _ in 0..50 {
            assert_eq!(readiness(&t).await, 200);
        }
    })
    .await;
    let mut last = String::new();
    clients.pop().unwrap().read_to_string(&mut last).await.unwrap();
    assert!(last.starts_with("HTTP/1.1 503"), "{last}");
    assert_eq!(
        logged(&t, "this process may open only 300 files, so it accepts 100 connections"),
        1
    );
    assert_eq!(metric(&t, "gateway_connections_limit").await, 100.0);
}

#[tokio::test]
async fn too_few_files_for_anybody_are_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let switchboard = env!("CARGO_BIN_EXE_switchboard");
    let script = "ulimit -n 100; exec \"$0\" --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0";
    let mut command = tokio::process::Command::new("sh");
    command.args(["-c", script, switchboard]).env("DATA", folder.path()).kill_on_drop(true);
    let output = within(Duration::from_secs(20), "it to refuse", command.output()).await.unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(64), "{error}");
    assert!(error.contains("100 open files") && error.contains("ulimit -H -n"), "{error}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_listener_that_cannot_accept_says_so_once() {
    let t = System::single(&[]).await;
    let limit = |files: &str| {
        let pid = t.alone().process.pid().to_string();
        let files = format!("--nofile={files}:");
        assert!(Command::new("prlimit").args(["--pid", &pid, &files]).status().unwrap().success());
    };
    // A connection that is there already, for new ones are what fails.
    let mut operator = TcpStream::connect(t.alone().admin).await.unwrap();
    let mut errors = async || {
        let ask = b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n";
        operator.write_all(ask).await.unwrap();
        let (mut page, mut some) = (Vec::new(), [0; 65_536]);
        loop {
            let length = operator.read(&mut some).await.unwrap();
            page.extend_from_slice(&some[..length]);
            let text = String::from_utf8_lossy(&page);
            // The last metric that takes no file to read.
            if text.contains("\ntokio_busy_seconds_total ") && text.ends_with("\n\n") {
                return value(&text, "listener_accept_errors_total{listener=\"public\"}");
            }
        }
    };
    assert_eq!(errors().await, 0.0);
    limit("5");
    let waiting = TcpStream::connect(t.front()).await.unwrap();
    until("it to have tried often", async || (errors().await >= 5.0).then_some(())).await;
    let open = std::fs::read_dir(format!("/proc/{}/fd", t.alone().process.pid())).unwrap().count();
    limit(&(open + 100).to_string());
    let again = "accepting connections again";
    until("it to accept again", async || (logged(&t, again) == 1).then_some(())).await;
    assert_eq!(logged(&t, "cannot accept connections"), 1);
    drop(waiting);
    t.rest().get("/health").await.ok();
}

#[tokio::test]
async fn a_pipe_that_nobody_reads_costs_log_lines_only() {
    // The process holds both ends of its stdout.
    let pipe = "mkfifo \"$DATA.pipe\"; exec 4<>\"$DATA.pipe\" >\"$DATA.pipe\"";
    let t = System::hosted(pipe, &[("LOG", "trace")]).await;
    let ann = t.user("ann").await;
    let dropped = until("lines to be dropped", async || {
        futures_util::future::join_all((0..20).map(|_| ann.rest.get("/me"))).await;
        Some(metric(&t, "log_lines_dropped_total").await).filter(|dropped| *dropped > 0.0)
    })
    .await;
    let mut phone = ann.connect().await;
    let chat = ann.room("square").await;
    phone.send(chat, "as ever").await;
    assert_eq!(readiness(&t).await, 200);
    assert!(metric(&t, "log_lines_dropped_total").await > dropped);
    t.alone().process.terminate();
    assert_eq!(t.alone().process.wait(Duration::from_secs(20)).await.unwrap(), 0);
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let minute = [("DRAIN_SECONDS", "60"), ("SHUTDOWN_DELAY_SECONDS", "60")];
    let t = System::single(&minute).await;
    let ann = t.user("ann").await;
    // Of several the last one is let go near the end of the minute.
    let _phones = [ann.connect().await, ann.connect().await, ann.connect().await];
    let process = &t.alone().process;
    process.terminate();
    let said =
        "letting clients go, for at most 130 s; press Ctrl-C or send SIGTERM again to stop at once";
    until("it to say what it does", async || (logged(&t, said) == 1).then_some(())).await;
    process.terminate();
    assert_eq!(process.wait(Duration::from_secs(10)).await.unwrap(), 0);
}

/// A file system of its own, of 6 MiB, which is gone with the process.
const SMALL_DISK: &str = "exec unshare --map-root-user --mount sh -c '
    mkdir -p \"$DATA\" && mount -t tmpfs -o size=6m tmpfs \"$DATA\" && exec \"$@\"' host \"$@\"";

#[cfg(target_os = "linux")]
#[tokio::test]
async fn after_a_full_disk_writing_works_again_without_a_restart() {
    let mut try_out = Command::new("unshare");
    let mount = ["--map-root-user", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"];
    if !try_out.args(mount).status().unwrap().success() {
        eprintln!("nobody may mount here: the api's tests of storage try it without a disk");
        return;
    }
    let t = System::hosted(SMALL_DISK, &[]).await;
    let ann = t.user("ann").await;
    let chat = ann.room("square").await;
    let messages = format!("/chats/{chat}/messages");
    let say = async |text: &str| ann.rest.post(&messages, json!({ "text": text })).await;
    say("before").await.ok();

    let pid = t.alone().process.pid();
    let filler = PathBuf::from(format!("/proc/{pid}/root{}", t.alone().data().join("f").display()));
    let full = std::fs::write(&filler, vec![0; 8 << 20]).unwrap_err();
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    // The first ones may fit into what the log has of space already.
    until("a message to be refused", async || {
        let answer = say(&"x".repeat(1_000)).await;
        (answer.status != 201).then(|| answer.refused(503, "unavailable"))
    })
    .await;
    for _ in 0..3 {
        say("meanwhile").await.refused(503, "unavailable");
    }
    until("it not to be ready", async || (readiness(&t).await == 503).then_some(())).await;
    let status = t.rest().get("/status").await;
    assert_eq!((status.status, &status.body["status"]), (503, &json!("degraded")));
    ann.rest.get(&messages).await.ok();

    std::fs::remove_file(&filler).unwrap();
    until("it to be ready again", async || (readiness(&t).await == 200).then_some(())).await;
    say("after").await.ok();
    let mut phone = ann.connect().await;
    phone.send(chat, "by socket").await;
    phone.expect(message("by socket")).await;
}
