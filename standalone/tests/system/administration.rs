//! Administration over many nodes: who is alive, who is connected where, closing connections, and telling everybody
//! something.

use crate::harness::{Dial, Socket, System, User, until, within};
use platform::settings::EXIT_USAGE;
use protocol::{close::Close, frames::ServerFrame};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

in_both_modes!(
    nodes_describe_themselves,
    connections_are_seen_and_closed_wherever_they_are,
    every_gateway_tells_its_settings,
);

async fn nodes(t: &System, admin: &User) -> Vec<Value> {
    let gateways = t.nodes().len();
    until("every node to be listed", async || {
        let nodes = admin.rest.get("/admin/nodes").await.ok()["items"].take();
        let nodes = nodes.as_array().expect("nodes").clone();
        let of = |kind: &str| nodes.iter().filter(|node| node["kind"] == kind).count();
        (of("gateway") >= gateways && of("api") >= t.rests().len()).then_some(nodes)
    })
    .await
}

async fn nodes_describe_themselves(t: System) {
    let admin = t.admin().await;
    for node in nodes(&t, &admin).await {
        let gateway = node["kind"] == "gateway";
        assert_eq!(node["connections"].is_u64(), gateway, "{node}");
        assert_eq!(node["max_connections"].is_u64() && node["chats"].is_u64(), gateway, "{node}");
        assert!(node["memory_bytes"].as_u64() > Some(1 << 20), "{node}");
        assert_eq!(
            (&node["draining"], &node["version"]),
            (&json!(false), &json!(env!("CARGO_PKG_VERSION")))
        );
    }
}

async fn every_gateway_tells_its_settings(t: System) {
    let admin = t.admin().await;
    for node in nodes(&t, &admin).await.iter().filter(|node| node["kind"] == "gateway") {
        let name = node["node"].as_str().expect("a name");
        let settings = admin.rest.get(&format!("/admin/settings?node={name}")).await.ok();
        let all = settings["items"].as_array().expect("settings");
        let of = |name: &str| all.iter().find(|one| one["name"] == name);
        let most = of("MAX_CONNECTIONS").expect("a setting of gateways");
        assert_eq!(most["value"], node["max_connections"].to_string(), "{node}");
        for secret in ["INTERNAL_TOKEN", "ADMIN_PASSWORD"].into_iter().filter_map(of) {
            assert!(["****", ""].contains(&secret["value"].as_str().expect("a value")), "{secret}");
        }
    }
    let nobody = uuid::Uuid::nil();
    admin.rest.get(&format!("/admin/settings?node={nobody}")).await.refused(404, "not_found");
}

async fn connections(admin: &User, user: &User) -> Value {
    admin.rest.get(&format!("/admin/users/{}/connections", user.id)).await.ok()
}

async fn close(admin: &User, user: &User, query: &str) -> Value {
    admin.rest.delete(&format!("/admin/users/{}/connections?{query}", user.id)).await.ok()
}

async fn on_each_gateway(t: &System, user: &User) -> Vec<Socket> {
    let mut sockets = Vec::new();
    for node in t.nodes() {
        let mut socket = Dial::new(*node).open().await.expect("the upgrade");
        socket.hello(Some(&user.token), None).await;
        sockets.push(socket);
    }
    sockets
}

async fn connections_are_seen_and_closed_wherever_they_are(t: System) {
    let (admin, ann, bob) = (t.admin().await, t.user("ann").await, t.user("bob").await);
    nodes(&t, &admin).await;
    assert_eq!(connections(&admin, &ann).await, json!({"items": [], "silent_nodes": []}));
    let mut sockets = on_each_gateway(&t, &ann).await;
    let mut others = on_each_gateway(&t, &bob).await;
    let mut window = ann.window(0, "/ws").await;
    let found = connections(&admin, &ann).await;
    let items = found["items"].as_array().expect("connections");
    assert_eq!(items.len(), sockets.len() + 1, "{found}");
    assert_eq!(found["silent_nodes"], json!([]));
    for one in items {
        let name = one["id"].as_str().expect("a name");
        assert!(name.starts_with(one["node"].as_str().expect("a node")), "{one}");
        assert_eq!(one["network"], "127.0.0.0/24", "not the address");
    }
    let native: Vec<&Value> = items.iter().filter(|one| one["dialect"] == "native").collect();
    assert_eq!(native.len(), sockets.len());

    // One, and no other.
    let closed = close(
        &admin,
        &ann,
        &format!("connection={}", native[0]["id"].as_str().unwrap_or_default()),
    )
    .await;
    assert_eq!(closed["items"], json!([native[0]]));
    let left = connections(&admin, &ann).await;
    assert_eq!(left["items"].as_array().map(Vec::len), Some(items.len() - 1));
    // All; the session goes on.
    close(&admin, &ann, "reason=a%20runaway%20script").await;
    for socket in &mut sockets {
        socket.expect_close(Close::Disconnected).await;
    }
    window.expect_close(Close::Disconnected).await;
    ann.rest.get("/me").await.ok();
    on_each_gateway(&t, &ann).await;
    for socket in &mut others {
        socket.expect_alive().await;
    }
    let log = admin.rest.get(&format!("/admin/audit?user={}", ann.username)).await.ok();
    let told: Vec<&str> = log["items"]
        .as_array()
        .expect("entries")
        .iter()
        .filter_map(|entry| entry["action"].as_str())
        .collect();
    let looked = "read_connections";
    assert_eq!(told, ["disconnect", looked, "disconnect", looked, looked]);
    assert_eq!(log["items"][0]["reason"], "a runaway script");
    admin.rest.get("/admin/users/999999999/connections").await.refused(404, "user_not_found");
}

/// A frame other than those of a chat.
async fn announced(socket: &mut Socket) -> Option<String> {
    loop {
        if let ServerFrame::Announcement { announcement } = socket.frame().await {
            return announcement.map(|one| one.text);
        }
    }
}

fn in_ready(ready: &ServerFrame) -> Option<&str> {
    let ServerFrame::Ready { announcement, .. } = ready else { panic!("{ready:?}") };
    announcement.as_ref().map(|one| one.text.as_str())
}

async fn everybody_is_told(t: System) {
    let (admin, ann) = (t.admin().await, t.user("ann").await);
    let mut sockets = on_each_gateway(&t, &ann).await;
    let announce = async |body: Value| admin.rest.put("/admin/announcement", body).await;
    let made = announce(json!({"text": " Back at ten. ", "hours": 1})).await.ok();
    assert_eq!((&made["text"], made["ends_at"].is_string()), (&json!("Back at ten."), true));
    within(Duration::from_secs(1), "everybody is told", async {
        for socket in &mut sockets {
            assert_eq!(announced(socket).await.as_deref(), Some("Back at ten."));
        }
    })
    .await;
    for node in t.nodes() {
        let mut late = Dial::new(*node).open().await.expect("the upgrade");
        assert_eq!(in_ready(&late.hello(Some(&ann.token), None).await), Some("Back at ten."));
    }
    announce(json!({"text": ""})).await.invalid("text");
    announce(json!({"text": "x".repeat(301)})).await.invalid("text");
    announce(json!({"text": "x", "hours": 745})).await.invalid("hours");
    for _ in 0..2 {
        let withdrawn = admin.rest.delete("/admin/announcement").await;
        assert_eq!(withdrawn.status, 204);
    }
    for socket in &mut sockets {
        assert_eq!(announced(socket).await, None, "it was withdrawn");
    }
    let current = admin.rest.get("/admin/announcement").await.ok();
    assert_eq!(current, json!({"announcement": null}));
    let log = admin.rest.get("/admin/audit?limit=2").await.ok();
    assert_eq!(log["items"][0]["action"], "withdraw_announcement");
    assert_eq!(
        (&log["items"][1]["action"], &log["items"][1]["reason"]),
        (&json!("announce"), &json!("Back at ten."))
    );
}

#[tokio::test]
async fn everybody_is_told_in_one_process() {
    everybody_is_told(System::single(&[]).await).await;
}

#[tokio::test]
async fn everybody_is_told_by_all_gateways() {
    everybody_is_told(System::own_cluster().await).await;
}

/// Nobody hears the bus of a command: gateways find it when they ask what changed.
#[tokio::test]
async fn everybody_is_told_from_the_command_line() {
    let t = System::single(&[]).await;
    let ann = t.user("ann").await;
    let mut socket = ann.socket().await;
    let data = t.alone().data();
    let command = |arguments: &[&str]| {
        let program = env!("CARGO_BIN_EXE_switchboard");
        let mut command = std::process::Command::new(program);
        command.arg("--data").arg(&data).arg("admin").args(arguments).output().expect("it runs")
    };
    assert!(command(&["announce", "Back at ten."]).status.success());
    assert_eq!(announced(&mut socket).await.as_deref(), Some("Back at ten."));
    assert!(command(&["withdraw"]).status.success());
    assert_eq!(announced(&mut socket).await, None);
    let nothing = command(&["withdraw"]);
    assert_eq!(String::from_utf8_lossy(&nothing.stdout), "nothing was announced\n");
    let wrong = command(&["announce"]);
    assert_eq!(wrong.status.code(), Some(i32::from(EXIT_USAGE)));
}

#[tokio::test]
async fn the_settings_in_force_are_told_without_secrets() {
    let t = System::single(&[("GUESTS", "false")]).await;
    let admin = t.admin().await;
    let settings = admin.rest.get("/admin/settings").await.ok();
    let of = |name: &str| {
        let all = settings["items"].as_array().expect("settings");
        let one = all.iter().find(|one| one["name"] == name).unwrap_or_else(|| panic!("no {name}"));
        (one["value"].clone(), one["source"].clone())
    };
    assert_eq!(of("GUESTS"), (json!("false"), json!("environment")));
    assert_eq!(of("ADMIN_PASSWORD"), (json!("****"), json!("environment")));
    assert_eq!(of("DEMO").1, "default");
    assert_eq!(of("LISTEN").1, "command_line");
    assert!(!settings.to_string().contains(t.admin_password()), "{settings}");
    let asked =
        admin.rest.request(Method::HEAD, "/admin/settings").send().await.expect("an answer");
    assert_eq!(asked.status(), 200);
}
