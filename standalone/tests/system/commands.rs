//! What operators do on the command line of the one process, most of it while it runs.

use crate::harness::{PASSWORD, System, until};
use protocol::close::Close;
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output, Stdio},
};

const SWITCHBOARD: &str = env!("CARGO_BIN_EXE_switchboard");

fn on(data: &Path, arguments: &[&str]) -> Output {
    let command = Command::new(SWITCHBOARD).arg("--data").arg(data).args(arguments).output();
    command.expect("it runs")
}

#[track_caller]
fn done(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[track_caller]
fn assert_refused(output: &Output, why: &str) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && text.starts_with("error: "), "{output:?}");
    assert!(text.contains(why), "{text}");
}

/// What follows `password: `.
fn password_in(text: &str) -> &str {
    let line = text.lines().find_map(|line| line.strip_prefix("password: "));
    line.unwrap_or_else(|| panic!("no password in {text:?}"))
}

#[tokio::test]
async fn a_lost_password_is_no_end() {
    let t = System::single(&[]).await;
    let data = t.alone().data();
    let admin = t.admin().await;
    let mut socket = admin.socket().await;
    let password = done(&on(&data, &["admin", "password"]));
    // The sockets and tokens of before are dead within seconds, in the process that runs.
    socket.expect_close(Close::SessionEnded).await;
    until("the old token to be dead", async || {
        (admin.rest.get("/me").await.status == 401).then_some(())
    })
    .await;
    let admin = t.sign_in("admin", password_in(&password)).await;
    let log = admin.rest.get("/admin/audit").await.ok().to_string();
    assert!(log.contains("reset_password"), "{log}");
    let nobody = on(&data, &["admin", "password", "nobody"]);
    assert_refused(&nobody, "there is no account \"nobody\": find the name with `admin people");
    // And without a server.
    t.alone().process.kill().await.unwrap();
    let password = done(&on(&data, &["admin", "password"]));
    t.alone().restart().await;
    t.sign_in("admin", password_in(&password)).await;
}

#[tokio::test]
async fn people_are_found_blocked_and_signed_out_beside_a_running_server() {
    let t = System::single(&[]).await;
    let (data, ann) = (t.alone().data(), t.user("ann").await);
    let name = ann.username.as_str();
    let found = done(&on(&data, &["admin", "people", &name[1..]]));
    let row = found.lines().next().expect("a person");
    let columns: Vec<&str> = row.split('\t').collect();
    assert_eq!(columns[..4], [ann.id.to_string().as_str(), name, "user", "-"]);
    let admins = done(&on(&data, &["admin", "people", "--show", "admins"]));
    assert!(admins.lines().count() == 1 && admins.contains("\tadmin\tadmin\t"), "{admins}");
    let first = on(&data, &["admin", "people", "--limit", "1"]);
    assert!(String::from_utf8_lossy(&first.stderr).contains("add --before "), "{first:?}");

    assert_eq!(done(&on(&data, &["admin", "sessions", name])).lines().count(), 1);
    let mut socket = ann.socket().await;
    done(&on(&data, &["admin", "sessions", name, "--end"]));
    socket.expect_close(Close::SessionEnded).await;
    let mut socket = t.sign_in(name, PASSWORD).await.socket().await;
    done(&on(&data, &["admin", "block", name, "--reason", "spam"]));
    socket.expect_close(Close::Blocked).await;
    assert!(done(&on(&data, &["admin", "people", name])).contains("\tblocked\t"));
    done(&on(&data, &["admin", "unblock", name]));
    t.sign_in(name, PASSWORD).await;
    assert_refused(&on(&data, &["admin", "block", "admin"]), "admin is the last administrator");
    assert_refused(&on(&data, &["admin", "block", "nobody"]), "there is no account");
    let log = t.admin().await.rest.get("/admin/audit?limit=3").await.ok();
    let told: Vec<&str> = log["items"]
        .as_array()
        .expect("entries")
        .iter()
        .map(|entry| entry["action"].as_str().expect("an action"))
        .collect();
    assert_eq!(told, ["unblock_user", "block_user", "end_sessions"]);
    assert!(log["items"][1]["actor"].is_null() && log["items"][1]["reason"] == "spam");
}

#[tokio::test]
async fn administrators_are_made_and_unmade() {
    let t = System::single(&[]).await;
    let (data, ann) = (t.alone().data(), t.user("ann").await);
    let name = ann.username.as_str();
    assert_refused(&on(&data, &["admin", "demote", "admin"]), "the last administrator");
    done(&on(&data, &["admin", "promote", name]));
    assert!(done(&on(&data, &["admin", "promote", name])).contains("already"));
    let names = done(&on(&data, &["admin", "list"]));
    assert!(names.lines().any(|line| line == name) && names.contains("admin\n"), "{names}");
    // From the next sign-in on, and until it is taken away.
    assert_eq!(ann.rest.get("/admin/audit").await.status, 403);
    let ann = t.sign_in(name, PASSWORD).await;
    ann.rest.get("/admin/audit").await.ok();
    done(&on(&data, &["admin", "demote", name]));
    assert_eq!(ann.rest.get("/admin/audit").await.status, 403, "at once");
}

#[tokio::test]
async fn a_backup_of_a_running_server_is_all_of_it() {
    let t = System::single(&[]).await;
    let data = t.alone().data();
    let (ann, bob) = (t.user("ann").await, t.user("bob").await);
    let chat = ann.group("team", &[&bob]).await;
    for number in 0..20 {
        ann.post(chat, &format!("number {number}")).await;
    }
    let before = bob.connect().await.track.resume().unwrap().epoch;
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("switchboard.db");
    let said = done(&on(&data, &["backup", copy.to_str().unwrap()]));
    assert!(said.contains("20 messages") && said.contains("jwt.pem"), "{said}");
    assert_eq!(fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
    // Nothing is overwritten, and nothing is left of what cannot be.
    assert_refused(&on(&data, &["backup", copy.to_str().unwrap()]), "cannot create");
    let nowhere = folder.path().join("no/such/folder");
    assert_refused(&on(&data, &["backup", nowhere.to_str().unwrap()]), "cannot create");

    ann.post(chat, "after the backup").await;
    t.alone().process.kill().await.unwrap();
    for name in ["switchboard.db", "switchboard.db-wal", "switchboard.db-shm"] {
        let _ = fs::remove_file(data.join(name));
    }
    fs::copy(&copy, data.join("switchboard.db")).unwrap();
    done(&on(&data, &["restored"]));
    t.alone().restart().await;
    assert_eq!(bob.texts(chat).await.len(), 20, "with the sessions of before");
    let epoch = bob.connect().await.track.resume().unwrap().epoch;
    assert_ne!(epoch, before, "clients forget their places");
}

#[tokio::test]
async fn what_it_keeps_is_its_owners_alone() {
    let t = System::single(&[]).await;
    let data = t.alone().data();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    for file in fs::read_dir(&data).unwrap() {
        let file = file.unwrap();
        // What is in it is nobody's secret.
        if file.file_name() != "lock" {
            let owners = if file.path().is_dir() { 0o700 } else { 0o600 };
            assert_eq!(mode(&file.path()), owners, "{file:?}");
        }
    }
}

/// The password is told before it counts, or not at all.
#[tokio::test]
async fn an_administrator_whose_password_nobody_read_was_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut start = Command::new(SWITCHBOARD);
    start.arg("--data").arg(&data);
    start.args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
    start.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut unread = start.spawn().unwrap();
    drop(unread.stdout.take());
    let ended = unread.wait_with_output().unwrap();
    assert!(!ended.status.success(), "{ended:?}");
    assert_eq!(done(&on(&data, &["admin", "list"])), "", "nobody was made");
    let made = done(&on(&data, &["admin", "create"]));
    assert!(password_in(&made).len() > 20);
    assert_refused(&on(&data, &["admin", "create"]), "already exists");
}

#[tokio::test]
async fn a_folder_without_a_database_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for command in [&["admin", "list"][..], &["restored"], &["backup", "x"]] {
        assert_refused(&on(folder.path(), command), "no database");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "and nothing is made there");
}
