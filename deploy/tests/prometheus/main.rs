//! A real Prometheus with the shipped configuration watches a cluster under load: everything is
//! scraped, every rule works, every query of the dashboards finds something, what processes say is
//! what their tables say. Then the relay falls silent, for one gateway and for all, and the canary is
//! the one who tells.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod apart;
mod ask;
mod client;
mod load;
mod scrape;
mod stack;

use deploy::{
    dashboards::{Dashboard, PanelQuery},
    known, registry,
};
use load::Load;
use serde_json::Value;
use stack::Stack;
use std::time::Duration;
use tokio::time::Instant;

/// Longer than anything takes that is waited for; long for a machine that compiles beside it.
const PATIENCE: Duration = Duration::from_secs(60);
/// What `$__rate_interval` would be over: some scrapes of a second each.
const RATE: &str = "10s";
/// How far back a dashboard looks: longer than all of this takes.
const RANGE: u64 = 600;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_watched_is_seen_and_a_silent_relay_is_noticed() {
    let stack = Stack::start().await;
    let load = Load::new(stack.cluster.balancer().address(), stack.cluster.gateways()[0].address());
    let load = load.await;
    let watch = async {
        every_target_is_up(&stack).await;
        a_gateway_is_replaced(&stack).await;
        the_load_does_its_part(&stack).await;
        let disasters = dashboards_show_something(&stack, queries()).await;
        every_rule_works(&stack).await;
        exporters_say_what_is_written_down(&stack).await;
        processes_say_what_their_tables_say(&stack).await;
        nobody_is_woken(&stack).await;
        a_gateway_cut_off_is_noticed(&stack).await;
        a_silent_relay_is_noticed(&stack).await;
        let never = dashboards_show_something(&stack, disasters).await;
        assert!(never.is_empty(), "nothing to see even in a disaster: {never:#?}");
    };
    tokio::select! {
        () = stack.apart.relay() => unreachable!("it carries until it is dropped"),
        () = load.run() => unreachable!("the load goes on until it is dropped"),
        () = watch => {}
    }
}

async fn every_target_is_up(stack: &Stack) {
    for (job, addresses) in &stack.targets {
        let up = format!("count(up{{job=\"{job}\"}} == 1) == {}", addresses.len());
        stack.prometheus.until(&up, PATIENCE).await;
    }
    // What was found is what there is.
    let targets = stack.prometheus.get("/api/v1/targets?state=active").await;
    let active = targets["data"]["activeTargets"].as_array().unwrap().len();
    assert_eq!(active, stack.targets.values().map(Vec::len).sum::<usize>());
    // The exporters reach what they speak for.
    for there in ["redis_up == 1", "pg_up == 1", "canary_connections == 3"] {
        stack.prometheus.until(there, PATIENCE).await;
    }
}

/// As a rolling update does it: drained, gone, back.
async fn a_gateway_is_replaced(stack: &Stack) {
    let gateway = &stack.cluster.gateways()[1];
    let draining = format!("gateway_draining{{instance=\"{}\"}} == 1", gateway.admin());
    gateway.process().terminate();
    stack.prometheus.until(&draining, PATIENCE).await;
    assert_eq!(gateway.process().wait(PATIENCE).await.unwrap(), 0);
    gateway.restart().await.unwrap();
    every_target_is_up(stack).await;
}

/// What should have happened by now: or the rest would look at zeros.
async fn the_load_does_its_part(stack: &Stack) {
    for happened in [
        r#"gateway_resumes_total{result="resumed"}"#,
        r#"gateway_resumes_total{result="other_epoch"}"#,
        r#"gateway_openings_total{result="refused"}"#,
        r#"gateway_closes_total{reason="slow_consumer"}"#,
        r#"gateway_closes_total{reason="bye"}"#,
        "gateway_rate_limited_total",
        r#"commands_total{result="committed"}"#,
        r#"logins_total{result="ok"}"#,
        r#"logins_total{result="wrong"}"#,
        "sessions_ended_total",
        "registrations_total",
        r#"http_requests_total{status="404"}"#,
        "gateway_write_wait_seconds_count",
        r#"canary_messages_total{result="delivered"}"#,
        r#"canary_signals_total{result="delivered"}"#,
    ] {
        stack.prometheus.until(&format!("sum({happened}) > 0"), PATIENCE).await;
    }
}

fn queries() -> Vec<PanelQuery> {
    let all = Dashboard::all().unwrap();
    all.iter().flat_map(Dashboard::queries).collect()
}

/// Every query gives something, at once or when a little more has happened; given back are those that
/// only have something to say when something is wrong.
async fn dashboards_show_something(stack: &Stack, mut queries: Vec<PanelQuery>) -> Vec<PanelQuery> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut empty = Vec::new();
        let now = stack.prometheus.now().await;
        for query in queries {
            let expr = query.with_variables(RATE).unwrap();
            let gave = match query.instant {
                true => stack.prometheus.query(&expr).await.map(|found| !found.is_empty()),
                false => stack.prometheus.gave(&expr, RANGE, now).await,
            };
            if !gave.unwrap_or_else(|error| panic!("{}: {error}", query.place)) {
                empty.push(query);
            }
        }
        queries = empty;
        if queries.iter().all(|query| tells_of_disasters(&query.expr)) {
            return queries;
        }
        assert!(Instant::now() < deadline, "nothing to see: {queries:#?}");
    }
}

/// Firing alerts, and what is down.
fn tells_of_disasters(expr: &str) -> bool {
    expr.contains("ALERTS") || expr.contains("up == 0")
}

async fn every_rule_works(stack: &Stack) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let rules = stack.prometheus.get("/api/v1/rules").await;
        let groups = rules["data"]["groups"].as_array().unwrap();
        let rules: Vec<&Value> =
            groups.iter().flat_map(|group| group["rules"].as_array().unwrap()).collect();
        let written = deploy::rules::all(&known::root()).unwrap().len();
        assert_eq!(rules.len(), written, "Prometheus has rules that were not loaded");
        let ill: Vec<_> = rules.iter().filter(|rule| rule["health"] != "ok").collect();
        if ill.is_empty() {
            return;
        }
        let failed = ill.iter().any(|rule| rule["health"] == "err");
        assert!(!failed && Instant::now() < deadline, "{ill:#?}");
    }
}

/// The list that rules and dashboards are checked with is true.
async fn exporters_say_what_is_written_down(stack: &Stack) {
    let mut missing = Vec::new();
    for metric in registry::foreign(&known::root()).unwrap() {
        let selector = format!("{}{{job=\"{}\"}}", metric.series, metric.job);
        let found = stack.prometheus.query(&selector).await.unwrap();
        let labelled = |label: &String| found.iter().any(|one| one.labels.contains_key(label));
        if found.is_empty() || !metric.labels.iter().all(labelled) {
            missing.push(metric);
        }
    }
    assert!(missing.is_empty(), "not exposed, or not with these labels: {missing:#?}");
}

async fn processes_say_what_their_tables_say(stack: &Stack) {
    let mut faults = Vec::new();
    for job in ["gateway", "api", "canary"] {
        let mut scrapes = Vec::new();
        for address in &stack.targets[job] {
            let answer = reqwest::get(format!("http://{address}/metrics")).await.unwrap();
            scrapes.push(answer.text().await.unwrap());
        }
        faults.extend(scrape::faults(job, &scrapes));
        faults.extend(scrapes.iter().filter_map(|text| scrape::lint(text)));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Whether requests are fast is not tried: that is this machine's doing, and it may compile beside.
async fn nobody_is_woken(stack: &Stack) {
    let pages = r#"ALERTS{severity="page", alertstate="firing", slo!="latency"}"#;
    let pages = stack.prometheus.query(pages).await.unwrap();
    assert!(pages.is_empty(), "{pages:#?}");
}

const LOST_SIGNALS: &str = r#"sum(canary_signals_total{result="lost"})"#;
const LATE_MESSAGES: &str = r#"sum(canary_messages_total{result="late"})"#;

/// Waits until a count is more than a few above what it was.
async fn grows(stack: &Stack, counter: &str, before: f64) {
    stack.prometheus.until(&format!("{counter} > {before} + 3"), PATIENCE).await;
}

async fn count(stack: &Stack, counter: &str) -> f64 {
    stack.prometheus.query(counter).await.unwrap()[0].value
}

/// Everything arrives again, and in time; and in all of this nothing was lost or doubled.
async fn the_canary_is_well(stack: &Stack) {
    for well in [
        "time() - max(canary_last_success_timestamp_seconds) < 3",
        r#"slo:budget_burn:ratio5m{slo="canary"} < 1"#,
        r#"slo:budget_burn:ratio5m{slo="signals"} < 1"#,
    ] {
        stack.prometheus.until(well, PATIENCE).await;
    }
    let harm = r#"sum(canary_messages_total{result=~"lost|repeated"})"#;
    assert_eq!(count(stack, harm).await, 0.0, "messages were lost or doubled");
}

/// One gateway hears nothing of the others, nor they of it. All others are well, and so are Redis and
/// the cut one's clients among themselves; its messages come by repair.
async fn a_gateway_cut_off_is_noticed(stack: &Stack) {
    let before = (count(stack, LOST_SIGNALS).await, count(stack, LATE_MESSAGES).await);
    stack.apart.cut();
    grows(stack, LOST_SIGNALS, before.0).await;
    grows(stack, LATE_MESSAGES, before.1).await;
    let others = format!("bus_up{{instance!=\"{}\"}} == 0", stack.apart.admin);
    let others = stack.prometheus.query(&others).await.unwrap();
    assert!(others.is_empty() && count(stack, "sum(redis_up)").await == 1.0, "{others:?}");
    stack.apart.heal();
    the_canary_is_well(stack).await;
}

/// Redis is frozen: its connections stand, and nothing comes. No node can tell that from a quiet time;
/// the canary can. Its messages arrive all the same, late, by repair.
async fn a_silent_relay_is_noticed(stack: &Stack) {
    let before = (count(stack, LOST_SIGNALS).await, count(stack, LATE_MESSAGES).await);
    stack.cluster.redis().process().pause();
    grows(stack, LOST_SIGNALS, before.0).await;
    grows(stack, LATE_MESSAGES, before.1).await;
    // The objectives' alerts: of what is late, and of what is lost.
    for (alert, severity) in
        [("CanaryMessageBudgetBurns", "page"), ("CanarySignalBudgetBurns", "ticket")]
    {
        let labels = format!("alertname=\"{alert}\", severity=\"{severity}\"");
        let firing = format!("ALERTS{{{labels}, alertstate=\"firing\"}}");
        stack.prometheus.until(&firing, PATIENCE).await;
        let told = format!("/api/v2/alerts?filter=alertname={alert}&filter=severity={severity}");
        let deadline = Instant::now() + PATIENCE;
        loop {
            let told = stack.alertmanager.get(&told).await;
            if told[0]["receivers"][0]["name"] == severity {
                break;
            }
            assert!(Instant::now() < deadline, "{alert}: {told:#}");
        }
    }

    stack.cluster.redis().process().resume();
    the_canary_is_well(stack).await;
}
