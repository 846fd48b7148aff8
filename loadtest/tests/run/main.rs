//! The engine against a real cluster: what it prepares, sends, breaks and reads back adds up.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod tls;

use cluster::{Cluster, ClusterOptions};
use loadtest::{
    engine::{self, Fault, Observer, RunEvent, RunOptions, UsageSource},
    measure::Op,
    prepare::{self, AdminCredentials, LoadTarget, Preparation, PreparedCast},
    report::{Report, RunOutcome},
    scenario::Scenario,
};
use platform::settings::Secret;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

/// Everything that a scenario can ask for, small. Thresholds on speed would test this machine.
const MIX: &str = r#"
name = "mix"
seed = 7
thresholds = ["lost==0", "sent>=150", "phase(busy).acked>0", "history.count>0"]

[people]
accounts = 30

[[chats]]
kind = "group"
count = 6
members = 5

[[chats]]
kind = "room"
count = 1
members = 30

[[phases]]
name = "connect"
duration = "1s"
connections = 50
warmup = true

[[phases]]
name = "busy"
duration = "3s"
messages = 60
edits = 5
deletes = 2
typing = 5
reads = 5
history = 5
reconnects = 3
churn = 1

[[phases]]
name = "closed"
duration = "500ms"
closed = { senders = 4, window = 2 }

[[phases]]
name = "shrink"
duration = "500ms"
connections = 20
messages = 20
"#;

/// Half of everybody is thrown out while the gateway is gone.
const FAULT: &str = r#"
name = "fault"
seed = 8
thresholds = ["lost==0"]

[people]
accounts = 20

[[chats]]
kind = "group"
count = 4
members = 5

[[phases]]
name = "connect"
duration = "500ms"
connections = 20

[[phases]]
name = "busy"
duration = "4s"
messages = 40
storm = 0.5

[[faults]]
name = "a word"
at = "1s"
run = "echo said; exit 3"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn runs_against_a_cluster_add_up() {
    let options = ClusterOptions { gateways: 1, apis: 1, ..ClusterOptions::default() };
    let cluster = Arc::new(Cluster::start(options).await.unwrap());
    let url = format!("http://{}", cluster.balancer().address());
    let target = LoadTarget {
        url: url.clone(),
        trust: Default::default(),
        admin: Some(AdminCredentials {
            username: "admin".to_owned(),
            password: Secret::new(cluster.admin_password()),
        }),
    };

    a_mix_adds_up(&cluster, &target).await;
    a_run_goes_on_when_the_gateway_dies(&cluster, &target).await;
    a_run_that_is_stopped_still_says_what_it_found(&target).await;
    tls::a_run_over_tls_adds_up(&target).await;
}

async fn a_mix_adds_up(cluster: &Cluster, target: &LoadTarget) {
    let mut options = prepared(MIX, "mix", target).await;
    let metrics = format!("http://{}/metrics", cluster.gateways()[0].admin());
    let api = cluster.apis()[0].process().pid();
    options.scrape = vec![
        ("gateway".to_owned(), UsageSource::Metrics(metrics)),
        ("api".to_owned(), UsageSource::Processes(vec![api])),
        ("nobody".to_owned(), UsageSource::Metrics("http://127.0.0.1:1/metrics".to_owned())),
    ];
    let (report, seen) = run(&options).await;

    adds_up(&report);
    assert_eq!(report.phases.len(), 4);
    // On a busy machine things happen in a later phase than they were due in.
    let connected: u64 =
        report.phases.iter().filter_map(|phase| phase.sums.counts.get("connected")).sum();
    let (counts, latencies) = (&report.total.counts, &report.total.latencies);
    let resumed = latencies[&Op::Resume].count;
    assert!(connected >= 53 + resumed && (5..=9).contains(&resumed), "{connected} {resumed}");
    // Due were 190 messages, 15 edits, 6 deletes and the loop's; who has written nothing edits nothing.
    assert!(counts["sent"] >= 190 + 8 && counts["pages"] >= 10, "{counts:?}");
    // Who is replaced or closed does not wait for its last answers.
    let missed = counts["sent"].checked_sub(counts["acked"]);
    assert!(missed.is_some_and(|missed| missed <= 30), "{counts:?}");
    // What was acknowledged is messages, of which 6 at most were deleted, and at most 21 changes.
    let truth = &report.truth;
    assert!(truth.acked < counts["acked"] && truth.acked + 21 >= counts["acked"], "{truth:#?}");
    assert!(truth.stored + 6 >= truth.acked, "{truth:#?}");
    let last = report.series.last().unwrap();
    assert_eq!(last.connections, 20);
    for name in ["gateway", "api"] {
        let used = report.targets[name];
        assert!(used.max_memory_bytes > 1e6, "{name}: {used:?}");
    }
    // Metrics tell whole CPU seconds, of which the gateway may not have used one.
    assert!(report.targets["api"].cpu_seconds > 0.0, "{:?}", report.targets);
    assert!(report.generator.cpu_seconds > 0.0 && report.generator.lag.count > 150);

    let phases = seen.iter().filter(|seen| matches!(seen, RunEvent::Phase(_))).count();
    let seconds = seen.iter().filter(|seen| matches!(seen, RunEvent::Second(_))).count();
    assert!(phases == 4 && seconds >= 5, "{phases} {seconds}");
    assert!(seen.iter().any(|seen| matches!(seen, RunEvent::Reading { chats: 7, of: 7 })));
}

async fn a_run_goes_on_when_the_gateway_dies(cluster: &Arc<Cluster>, target: &LoadTarget) {
    let mut options = prepared(FAULT, "fault", target).await;
    let killed = Arc::clone(cluster);
    let kill = Fault::call("kill -9", Duration::from_millis(1_500), move || {
        let cluster = Arc::clone(&killed);
        async move {
            let restarted = cluster.gateways()[0].restart().await;
            restarted.map_or_else(|why| why.to_string(), |()| "restarted".to_owned())
        }
    });
    options.faults.push(kill);
    let (report, _) = run(&options).await;

    adds_up(&report);
    let marks: Vec<_> =
        report.marks.iter().map(|m| (m.name.as_str(), m.outcome.as_str())).collect();
    assert_eq!(marks, [("a word", "exit 3: said"), ("kill -9", "restarted")]);
    let counts = &report.total.counts;
    assert!(counts["dropped"] > 0, "{counts:?}");
    // Nobody left before the end, as those do whom churn replaces: everything was answered.
    assert_eq!(counts["sent"], counts["acked"], "{counts:?}");
    let truth = &report.truth;
    assert_eq!((truth.acked, truth.stored), (counts["acked"], counts["acked"]), "{truth:#?}");
}

async fn a_run_that_is_stopped_still_says_what_it_found(target: &LoadTarget) {
    let options = prepared(FAULT, "stopped", target).await;
    let stop = options.stop.clone();
    let observer: Observer = Arc::new(move |progress| {
        if matches!(progress, RunEvent::Phase(0)) {
            stop.cancel();
        }
    });
    let report = engine::run(&options, observer).await.unwrap();
    assert_eq!(report.outcome, RunOutcome::Interrupted);
    assert_eq!(report.phases.len(), 1, "{:?}", report.phases);
    assert!(report.marks.is_empty(), "{:?}", report.marks);
}

async fn prepared(scenario: &str, run: &str, target: &LoadTarget) -> RunOptions {
    let scenario: Scenario = toml::from_str(scenario).unwrap();
    let plan = Preparation { scenario: &scenario, target, run, accounts: None };
    let PreparedCast { cast, .. } = prepare::prepare(plan, &|_| {}).await.unwrap();
    RunOptions::new(scenario, cast, &target.url, run)
}

async fn run(options: &RunOptions) -> (Report, Vec<RunEvent>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let observer: Observer = {
        let seen = Arc::clone(&seen);
        Arc::new(move |progress| seen.lock().unwrap().push(progress.clone()))
    };
    let report = engine::run(options, observer).await.unwrap();
    let seen = seen.lock().unwrap().clone();
    (report, seen)
}

/// Acknowledged, delivered and stored agree. A machine that is busy with other tests may make the
/// generator late, which says nothing of what it found.
fn adds_up(report: &Report) {
    let truth = &report.truth;
    assert!(truth.is_sound(), "{truth:#?}");
    assert!(truth.delivered > 0 && truth.delivered == truth.expected, "{truth:#?}");
    assert!(report.thresholds.iter().all(|threshold| threshold.ok), "{:?}", report.thresholds);
    assert!(matches!(report.outcome, RunOutcome::Passed | RunOutcome::GeneratorLimited));
}
