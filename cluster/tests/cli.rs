//! `--binaries`: the folder is used as it is, and a missing binary is told before anything starts.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use cluster::free_port;
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output},
};

#[test]
fn a_missing_binary_is_one_line_and_exit_code_64() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "api", "exit 9");
    let output = cluster_with(folder.path());
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(64), "{errors}");
    let missing = folder.path().join("gateway").display().to_string();
    assert!(
        errors.starts_with(&format!("error: {missing} is missing; build it with cargo build ")),
        "{errors}"
    );
    assert_eq!(errors.lines().count(), 1, "{errors}");
}

#[test]
fn binaries_that_are_given_run() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "api", "echo given; exit 9");
    put(folder.path(), "gateway", "exit 9");
    let output = cluster_with(folder.path());
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.starts_with("error: api-1 exited with code 9: given"), "{errors}");
}

#[test]
fn wrong_arguments_are_one_line_and_exit_code_64() {
    for (arguments, words) in [
        (["--gateways", "x"], "'--gateways <GATEWAYS>': it must be a whole number from 1 to 50"),
        (["--gateways", "0"], "it must be a whole number from 1 to 50"),
        (["--apis", "51"], "it must be a whole number from 1 to 50"),
        (["--port", "0"], "it must be a whole number from 1 to 65535"),
        (["--balancer", "apache"], "nginx, haproxy"),
        (["--gatways", "2"], "unexpected argument '--gatways'"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_cluster")).args(arguments).output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(64), "{errors}");
        assert!(errors.starts_with("error: ") && errors.contains(words), "{errors}");
        assert_eq!(errors.lines().count(), 1, "{errors}");
    }
}

#[test]
fn of_a_folder_of_logs_only_logs_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "api", "exit 9");
    put(folder.path(), "gateway", "exit 9");
    let logs = folder.path().join("logs");
    fs::create_dir(&logs).unwrap();
    let [old, others] = ["redis.log", "mine.txt"].map(|name| logs.join(name));
    for file in [&old, &others] {
        fs::write(file, "of before").unwrap();
    }
    cluster_with(folder.path());
    assert_eq!(fs::read_to_string(others).unwrap(), "of before");
    assert_ne!(fs::read_to_string(old).unwrap_or_default(), "of before");
}

fn cluster_with(binaries: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cluster"))
        .args(["--port", &free_port().to_string()])
        .args(["--binaries".as_ref(), binaries.as_os_str()])
        .args(["--state".as_ref(), binaries.join("state.json").as_os_str()])
        .output()
        .unwrap()
}

fn put(folder: &Path, name: &str, script: &str) {
    let path = folder.join(name);
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}
