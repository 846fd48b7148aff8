//! Running it: the admin port, stopping in order, coming back with everything.

use crate::harness::{Rest, System, want::*};
use protocol::close::Close;
use reqwest::Method;
use std::process::Command;

in_both_modes!(the_admin_port_answers, the_public_port_shows_nothing_internal);
behind_haproxy!(the_public_port_shows_nothing_internal);

async fn the_admin_port_answers(t: System) {
    assert!(!t.admin_ports().is_empty());
    let _phone = t.user("ann").await.connect().await;
    for admin in t.admin_ports() {
        let rest = Rest::new(format!("http://{admin}"));
        for path in ["/", "/livez", "/readyz"] {
            assert_eq!(rest.get(path).await.status, 200, "{admin}{path}");
        }
        let answer = rest.request(Method::GET, "/metrics").send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let text = answer.text().await.unwrap();
        assert!(text.contains("# TYPE "), "{admin}: {text}");
    }
}

async fn the_public_port_shows_nothing_internal(t: System) {
    for path in ["/metrics", "/internal/open", "/internal/post", "/internal/events"] {
        for origin in t.nodes().iter().chain([&t.front()]) {
            let rest = Rest::new(format!("http://{origin}"));
            let answer = rest.post(path, serde_json::json!({})).await;
            assert!(matches!(answer.status, 404 | 405), "{origin}{path}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn a_stop_sends_clients_on_and_loses_nothing() {
    let t = System::single(&[("DRAIN_SECONDS", "2")]).await;
    let (ann, bob) = (t.user("ann").await, t.user("bob").await);
    let chat = ann.group("team", &[&bob]).await;
    let mut phone = ann.connect().await;
    let mut socket = bob.socket().await;
    phone.send(chat, "before").await;
    phone.go_offline();

    t.alone().process.terminate();
    loop {
        if reconnect().of(&socket.frame().await).is_some() {
            break;
        }
    }
    socket.expect_close(Close::Restart).await;
    let code = t.alone().process.wait(std::time::Duration::from_secs(30)).await.unwrap();
    assert_eq!(code, 0);

    t.alone().restart().await;
    phone.come_back().await;
    phone.expect(caught_up(chat)).await;
    phone.send(chat, "after").await;
    assert_eq!(bob.texts(chat).await, ["before", "after"], "the history is still there");
}

#[tokio::test]
async fn a_crash_loses_nothing_acknowledged() {
    let t = System::single(&[]).await;
    let (ann, bob) = (t.user("ann").await, t.user("bob").await);
    let chat = ann.group("team", &[&bob]).await;
    let mut phone = ann.connect().await.returning();
    let mut other = bob.connect().await.returning();
    for number in 0..50 {
        phone.submit(chat, &format!("number {number}")).await;
    }
    while phone.track.acked.len() < 10 {
        phone.pump().await;
    }
    t.alone().process.kill().await.unwrap();
    t.alone().restart().await;
    while phone.track.in_flight() > 0 {
        phone.pump().await;
    }
    let stored = ann.messages(chat).await;
    assert_eq!(stored.len(), 50, "each once");
    let last = phone.track.acked.iter().map(|said| said.id).max().unwrap();
    other.reach(chat, last).await;
    assert_eq!(other.track.messages(), stored);
}

#[tokio::test]
async fn after_a_restored_backup_clients_load_everything_anew() {
    let t = System::own_cluster().await;
    let (ann, bob) = (t.user("ann").await, t.user("bob").await);
    let chat = ann.group("team", &[&bob]).await;
    let mut phone = bob.connect().await;
    ann.connect().await.send(chat, "from before").await;
    phone.expect(message("from before")).await;
    let seen = phone.track.cursors[&chat];
    phone.go_offline();
    phone.come_back().await;
    assert_eq!(phone.expect(caught_up(chat)).await, seen);
    phone.go_offline();

    t.api_command(&["restored"]).await;
    phone.come_back().await;
    assert_eq!(phone.expect(resync(chat)).await, seen);
    ann.connect().await.send(chat, "from now on").await;
    phone.expect(message("from now on")).await;
}

#[tokio::test]
async fn health_says_whether_a_process_wants_work() {
    let t = System::single(&[]).await;
    let admin = t.alone().admin.to_string();
    let health = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_switchboard"));
        command.args(["health", "--admin-listen", &admin]).output().unwrap()
    };
    assert!(health().status.success(), "{:?}", health());
    t.alone().process.kill().await.unwrap();
    let output = health();
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains(&admin) && error.contains("ADMIN_LISTEN"), "{error}");
}

#[test]
fn help_teaches_every_setting() {
    let output = Command::new(env!("CARGO_BIN_EXE_switchboard")).arg("--help").output().unwrap();
    assert!(output.status.success());
    let help = String::from_utf8_lossy(&output.stdout);
    for word in ["--listen", "--admin-listen", "--data", "DRAIN_SECONDS", "ADMIN_PASSWORD"] {
        assert!(help.contains(word), "{word} is not in the help:\n{help}");
    }
}
