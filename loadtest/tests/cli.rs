//! The program itself: what it prints, writes and exits with.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

use cluster::{Cluster, ClusterOptions};
use loadtest::report::{Report, RunOutcome};
use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Output, Stdio},
};

fn loadtest(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadtest"));
    // Whatever the machine has set must not be taken.
    command.args(arguments).env_clear().stdin(Stdio::null());
    command
}

fn done(arguments: &[&str]) -> Output {
    loadtest(arguments).output().unwrap()
}

/// Exit code, stdout and stderr.
fn said(arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = done(arguments);
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn what_needs_no_server() {
    let (code, out, _) = said(&["--help"]);
    assert_eq!(code, Some(0));
    assert!(out.contains("loadtest run smoke --url") && out.contains("Exit codes:"), "{out}");

    let (code, out, _) = said(&["scenarios"]);
    assert_eq!((code, out.lines().count()), (Some(0), 11), "{out}");
    let (code, out, _) = said(&["scenarios", "fanout"]);
    assert!(code == Some(0) && out.contains("# Fan-out:"), "{out}");

    let (code, out, _) = said(&["validate", "smoke", "direct", "--set", "seed=5"]);
    assert_eq!(code, Some(0));
    assert!(out.starts_with("smoke: ok: 40 accounts, 40 chats, up to 40 connections"), "{out}");
}

#[test]
fn what_is_wrong_is_64_and_said() {
    let folder = tempfile::tempdir().unwrap();
    let bad = folder.path().join("bad.toml");
    fs::write(&bad, "name = \"bad\"\npeople = { acounts = 5 }\nphases = []\n").unwrap();
    let bad = bad.to_str().unwrap();
    let url = ["--url", "http://127.0.0.1:9"];
    let run = |more: &[&'static str]| [&["run", "smoke"][..], &url, more].concat();
    for (arguments, why) in [
        (vec!["validate", bad], "bad.toml:2:12: people.acounts: unknown key; did you mean"),
        (vec!["validate", "smoek"], "did you mean smoke?"),
        (vec!["scenarios", "smoek"], "did you mean smoke?"),
        (vec!["run", bad, "--url", "http://127.0.0.1:9"], "did you mean accounts?"),
        (vec!["run", "smoke"], "--url"),
        (run(&["--local-address", "10.0.0"]), "such as 10.0.0.5, without a port"),
        (run(&["--ca-file", "/nowhere"]), "--ca-file /nowhere: "),
        (vec!["run", "smoke", "--url", "https://a/b"], "https://host:port"),
        (vec!["run", "smoke", "--url", "nowhere"], "http://host:port"),
        (run(&["--threshold", "delivry.p99<1s"]), "did you mean delivery?"),
        (run(&["--threshold", "phase(x).sent>1"]), "there is no phase x"),
        (run(&["--threshold", "gateway.cpu<1"]), "needs --scrape gateway=URL"),
        (run(&["--scrape", "gateway"]), "gateway-1=http://"),
        (run(&["--run", "a b"]), "letters, digits or hyphens"),
        (run(&["--set", "phases.0.connections=900000"]), "hard limit on open files"),
        (run(&["--agents", "http://a:1,http://a:1"]), "listed twice"),
        (vec!["compare", bad, bad], "is not a report"),
        (vec!["nonsense"], "unrecognized subcommand"),
    ] {
        let (code, _, told) = said(&arguments);
        assert_eq!(code, Some(64), "{arguments:?}: {told}");
        assert!(told.contains(why), "{arguments:?}: {told}");
    }
}

#[test]
fn a_deployment_that_is_not_there_is_70() {
    // Nothing ever listens at the port for discarding.
    let (code, _, told) = said(&["run", "smoke", "--url", "http://127.0.0.1:9", "--quiet"]);
    assert_eq!(code, Some(70), "{told}");
    assert!(told.contains("does not answer"), "{told}");
    let nowhere = ["run", "smoke", "--url", "http://127.0.0.1:9", "--json", "/nowhere/a.json"];
    let (code, _, told) = said(&nowhere);
    assert_eq!(code, Some(70), "found before the run: {told}");
    assert!(told.contains("cannot write /nowhere/a.json"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_end_as_they_say() {
    let options = ClusterOptions { gateways: 1, apis: 1, ..ClusterOptions::default() };
    let cluster = Cluster::start(options).await.unwrap();
    let (url, password) = (cluster.balancer().url(), cluster.admin_password().to_owned());
    let folder = tempfile::tempdir().unwrap();
    let (aborted, stopped) = (folder.path().join("aborted"), folder.path().join("stopped"));
    let run = |out: &Path, more: &[&str]| {
        let mut command = loadtest(&["run", "smoke", "--url", &url]);
        let small =
            ["people.accounts=12", "phases.connect.connections=12", "phases.talk.duration=1h"];
        command.args(small.iter().flat_map(|set| ["--set", set])).arg("--out").arg(out).args(more);
        command.env("LOADTEST_ADMIN_PASSWORD", &password).stderr(Stdio::piped());
        command.spawn().unwrap()
    };

    // Two at once: most of their time is waiting until all is quiet.
    let abort = run(&aborted, &["--threshold", "sent<10", "--abort-on-fail", "--no-live"]);
    let mut stop = run(&stopped, &[]);
    let mut lines = BufReader::new(stop.stderr.take().unwrap()).lines();
    let mut before = lines.by_ref().map(Result::unwrap).inspect(|line| println!("{line}"));
    assert!(before.any(|line| line.contains("phase talk")), "it never came to the second phase");
    let pid = stop.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let told: Vec<String> = lines.map(Result::unwrap).collect();
    assert_eq!(stop.wait().unwrap().code(), Some(130), "{told:?}");
    assert!(told.iter().any(|line| line.starts_with("INTERRUPTED")), "{told:?}");
    let report = Report::read(&stopped.join("report.json")).unwrap();
    assert_eq!(report.outcome, RunOutcome::Interrupted);
    assert!(report.truth.is_sound(), "what was done is checked: {:?}", report.truth);

    let Output { status, stderr, .. } = abort.wait_with_output().unwrap();
    let told = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(99), "{told}");
    assert!(told.contains("stopped early: sent<10 can no longer be met"), "{told}");
    assert!(told.contains("FAIL sent<10") && !told.contains(&password), "{told}");
    let json = aborted.join("report.json");
    let report = Report::read(&json).unwrap();
    assert!(report.series.len() < 60, "it did not go on for an hour");
    for file in ["report.html", "junit.xml"] {
        assert!(fs::metadata(aborted.join(file)).unwrap().len() > 500, "{file}");
    }
    reports(&json, folder.path());
    cluster.stop().await.unwrap();
}

/// What is done with a report that was written.
fn reports(json: &Path, folder: &Path) {
    let (html, worse) = (folder.join("again.html"), folder.join("worse.json"));
    let json = json.to_str().unwrap();
    let (code, out, _) = said(&["report", json, "--html", html.to_str().unwrap()]);
    assert_eq!(code, Some(0), "it is shown again, not judged again");
    assert!(out.contains("FAIL sent<10"), "{out}");
    assert!(fs::read_to_string(&html).unwrap().starts_with("<!doctype html>"));

    assert_eq!(said(&["compare", json, json]).0, Some(0));
    let mut report = Report::read(Path::new(json)).unwrap();
    for sums in report.total.latencies.values_mut() {
        sums.p99 = sums.p99 * 3.0 + 50.0;
    }
    fs::write(&worse, report.to_json()).unwrap();
    let (code, out, _) = said(&["compare", json, worse.to_str().unwrap()]);
    assert_eq!(code, Some(99), "{out}");
    assert!(out.contains("WORSE"), "{out}");
}
