//! A commit that hangs: the database waits for a synchronous standby that does not answer, longer than
//! anybody waits for the database. Whoever is acknowledged in the end, everybody is shown the message.

use super::{PATIENCE, read_for};
use crate::harness::{
    Rest, System, User, until,
    want::{chat, member, message, renamed},
    within,
};
use protocol::chat::MemberChange;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::process::Command;

async fn sql(t: &System, statement: &str) -> String {
    let asked = Command::new("psql")
        .args(["-X", "-q", "-A", "-t", "-c", statement, t.database_url()])
        .output()
        .await
        .unwrap();
    assert!(asked.status.success(), "{asked:?}");
    String::from_utf8_lossy(&asked.stdout).trim().to_owned()
}

/// From now on commits wait.
async fn stall(t: &System) {
    sql(t, "ALTER SYSTEM SET synchronous_standby_names = 'nobody'").await;
    sql(t, "SELECT pg_reload_conf()").await;
    until("the server to know of its standby", async || {
        (sql(t, "SHOW synchronous_standby_names").await == "nobody").then_some(())
    })
    .await;
}

async fn until_something_waits(t: &System) {
    const WAITING: &str = "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    until("a commit to wait", async || (sql(t, WAITING).await == "t").then_some(())).await;
}

async fn release(t: &System) {
    sql(t, "ALTER SYSTEM RESET synchronous_standby_names").await;
    sql(t, "SELECT pg_reload_conf()").await;
}

/// Longer than a gateway waits for an answer; shorter than it tries.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the longer ones see more"]
async fn for_8_s() {
    stalled_for(Duration::from_secs(8)).await;
}

/// Longer than `changed` looks back by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn for_14_s() {
    stalled_for(Duration::from_secs(14)).await;
}

/// Longer than a gateway tries: senders are told that nothing is known, and send again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn for_30_s() {
    stalled_for(Duration::from_secs(30)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes as long as it says"]
async fn for_90_s() {
    stalled_for(Duration::from_secs(90)).await;
}

async fn stalled_for(time: Duration) {
    let t = System::own_cluster().await;
    let (ann, bob, cat) = (t.user("ann").await, t.user("bob").await, t.user("cat").await);
    let [team, posted, named, joined] = [
        ann.group("team", &[&bob]).await,
        ann.group("posted", &[&bob]).await,
        ann.group("named", &[&bob]).await,
        ann.group("joined", &[&bob]).await,
    ];
    let mut phone = ann.connect_to(0).await;
    let (mut other, mut away) = (bob.connect_to(1).await, bob.connect_to(0).await);
    let mut newcomer = cat.connect_to(1).await;
    phone.send(team, "before").await;
    for device in [&mut phone, &mut other, &mut away] {
        device.expect(message("before")).await;
    }
    stall(&t).await;
    let weather = async {
        until_something_waits(&t).await;
        // A connection begins while nothing can be committed.
        away.go_offline();
        away.come_back_at(1).await;
        read_for(&mut away, time).await;
        release(&t).await;
    };
    // Those who ask over REST do not wait for the answer, nor ask again.
    let (post, rename, add) = (
        ask(&ann, Method::POST, format!("/chats/{posted}/messages"), json!({ "text": "posted" })),
        ask(&ann, Method::PATCH, format!("/chats/{named}"), json!({ "name": "renamed" })),
        ask(&ann, Method::POST, format!("/chats/{joined}/members"), json!({ "user_id": cat.id })),
    );
    let reading = async { tokio::join!(read_for(&mut other, time), read_for(&mut newcomer, time)) };
    let all =
        async { tokio::join!(weather, phone.try_send(team, "held"), reading, post, rename, add) };
    let (_, sent, ..) = within(time + PATIENCE, "all to be told", all).await;
    assert!(sent.is_ok(), "{sent:?}");
    // Nothing more is said that could show anybody a hole.
    for device in [&mut phone, &mut other, &mut away] {
        device.expect(message("held")).await;
        device.expect(message("posted")).await;
        device.expect(renamed(named, "renamed")).await;
        device.expect(member(cat.id, MemberChange::Joined)).await;
    }
    newcomer.expect(chat(joined)).await;
}

async fn ask(user: &User, method: Method, path: String, body: Value) {
    let request = user.rest.request(method, &path).json(&body).timeout(Duration::from_secs(1));
    assert!(Rest::try_send(request).await.is_err(), "{path} was answered");
}
