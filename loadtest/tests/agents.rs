//! Two agents and a coordinator against a cluster: one run, as if one process had done it.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

use cluster::{Cluster, ClusterOptions};
use loadtest::{
    agent::{Crew, coordinate, routes},
    cast::Cast,
    engine::{Observer, RunEvent, RunOptions},
    measure::Count,
    prepare::{AdminCredentials, LoadTarget, Preparation, prepare},
    report::{Report, RunOutcome},
    scenario::Scenario,
};
use platform::{
    lifecycle::Lifecycle,
    serve::{ServeConfig, bind, serve},
    settings::Secret,
};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

/// Rooms whose members are on both agents, since people are dealt to them in turn.
const SCENARIO: &str = r#"
name = "two agents"
seed = 3
thresholds = ["errors==0", "lost==0"]

[people]
accounts = 12

[[chats]]
kind = "group"
count = 3
members = 6

[[phases]]
name = "connect"
duration = "1s"
connections = 12
warmup = true

[[phases]]
name = "talk"
duration = "2s"
messages = 20
"#;

async fn agent(secret: &Secret, lifecycle: &Lifecycle) -> String {
    let listener = bind(([127, 0, 0, 1], 0).into()).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let config = ServeConfig { name: "internal", ..ServeConfig::default() };
    let app = routes(Some(secret.clone()), lifecycle);
    lifecycle.spawn(serve(listener, app, config, lifecycle.clone()));
    url
}

async fn cast(cluster: &Cluster, url: &str, scenario: &Scenario) -> Cast {
    let password = Secret::new(cluster.admin_password());
    let admin = Some(AdminCredentials { username: "admin".to_owned(), password });
    let target = LoadTarget { url: url.to_owned(), trust: Default::default(), admin };
    let plan = Preparation { scenario, target: &target, run: "two", accounts: None };
    prepare(plan, &|_| ()).await.unwrap().cast
}

fn count(report: &Report, count: Count) -> u64 {
    report.total.counts.get(count.name()).copied().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_agents_are_one_run() {
    let options = ClusterOptions { gateways: 2, apis: 1, ..ClusterOptions::default() };
    let cluster = Cluster::start(options).await.unwrap();
    let url = cluster.balancer().url();
    let scenario: Scenario = toml::from_str(SCENARIO).unwrap();
    let cast = cast(&cluster, &url, &scenario).await;

    let (lifecycle, secret) = (Lifecycle::new(), Secret::new("0123456789abcdef"));
    let agents = [agent(&secret, &lifecycle).await, agent(&secret, &lifecycle).await];
    let crew = Crew::new(&agents, Some(&secret)).unwrap();
    let mut options = RunOptions::new(scenario, cast, &url, "two");
    options.tuning.quiet_apart = Duration::from_secs(1);
    let seconds: Arc<Mutex<Vec<(f64, u64)>>> = Arc::default();
    let heard = Arc::clone(&seconds);
    let observer: Observer = Arc::new(move |progress| {
        if let RunEvent::Second(second) = progress {
            heard.lock().unwrap().push((second.at, second.slice.connections));
        }
    });
    let report = coordinate(&options, &crew, observer).await.unwrap();

    // All of it shares this machine's cores, and then the generator may well be the limit.
    assert!(
        matches!(report.outcome, RunOutcome::Passed | RunOutcome::GeneratorLimited),
        "{:?} {:?} {:?}",
        report.outcome,
        report.truth,
        report.thresholds
    );
    assert_eq!(report.agents, 2);
    // As much as the scenario says, not half of it and not twice.
    let sent = count(&report, Count::Sent);
    assert!((30..=50).contains(&sent), "{sent}");
    assert_eq!(count(&report, Count::Acked), sent);
    // Everybody in a room of six has it, whichever agent the sender was on.
    let truth = &report.truth;
    assert_eq!((truth.acked, truth.stored, truth.lost), (sent, sent, 0), "{truth:?}");
    assert_eq!((truth.delivered, truth.devices), (truth.expected, 12), "{truth:?}");
    assert!(truth.delivered >= 6 * sent, "{truth:?}");
    // On one machine the ways are short.
    let uncertain = report.generator.clock_uncertainty_ms;
    assert!(uncertain > 0.0 && uncertain < 250.0, "{uncertain} ms");
    let seconds = seconds.lock().unwrap().clone();
    assert!(seconds.iter().any(|(_, connections)| *connections == 12), "{seconds:?}");
    assert!(seconds.is_sorted_by(|a, b| a.0 < b.0), "{seconds:?}");
    lifecycle.stop();
    cluster.stop().await.unwrap();
}
