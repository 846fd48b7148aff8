//! The load tester's own metrics in the Prometheus format, for people who watch a run on a dashboard beside
//! the servers'. The report uses exact figures; these are the last second's.

use crate::{
    engine::{Observer, RunEvent},
    measure::{Count, Op, Slice, add_kind},
    report::build::latency_sums,
    scenario::Scenario,
};
use parking_lot::Mutex;
use platform::{
    lifecycle::Lifecycle,
    metric::{Metric, Name, Values, counter, gauge},
    serve::{self, ServeConfig, Until},
    telemetry,
};
use std::{collections::BTreeMap, io, net::SocketAddr, sync::Arc};

/// The metrics of a load tester's process.
pub const METRICS: &[&[Metric]] = &[telemetry::METRICS, serve::METRICS, OWN];

const KINDS: Name = ("kind", Values::Bounded("at most 50 observed kinds, and `other`"));

/// Its own among them.
pub const OWN: &[Metric] = &[
    gauge("loadtest_connections", &[], "Ready connections"),
    counter("loadtest_sent_total", &[], "Messages, edits and deletes sent"),
    counter("loadtest_acked_total", &[], "Messages, edits and deletes acknowledged"),
    counter("loadtest_delivered_total", &[], "Numbered events received by devices"),
    counter(
        "loadtest_ephemeral_total",
        &[],
        "Typing signals, presence updates and read marks received",
    ),
    counter("loadtest_received_bytes_total", &[], "Bytes of WebSocket frames received"),
    counter("loadtest_transmitted_bytes_total", &[], "Bytes of WebSocket frames sent"),
    counter(
        "loadtest_connected_total",
        &[],
        "Connections that became ready, including resumed ones",
    ),
    counter("loadtest_dropped_total", &[], "Connections that ended unintentionally"),
    counter(
        "loadtest_skipped_total",
        &[],
        "Actions that were due but not started because no device could do them",
    ),
    counter("loadtest_history_pages_total", &[], "Pages of history read over REST"),
    counter("loadtest_errors_total", &[KINDS], "Errors from the servers or the network, by kind"),
    counter("loadtest_closes_total", &[KINDS], "Connections closed, by code and reason"),
    gauge(
        "loadtest_latency_seconds",
        &[
            ("op", Values::From(op_names)),
            ("quantile", Values::These(&["0.5", "0.95", "0.99", "1"])),
        ],
        "Latencies in the last second, measured from the scheduled time. lag is the load tester's own delay",
    ),
    gauge(
        "loadtest_phase_info",
        &[("phase", Values::Bounded("the scenario's phases"))],
        "1 for the current phase, 0 for the others",
    ),
];

fn op_names() -> Vec<&'static str> {
    Op::ALL.iter().map(|op| op.name()).collect()
}

fn total(count: Count) -> &'static str {
    match count {
        Count::Sent => "loadtest_sent_total",
        Count::Acked => "loadtest_acked_total",
        Count::Delivered => "loadtest_delivered_total",
        Count::Ephemeral => "loadtest_ephemeral_total",
        Count::BytesIn => "loadtest_received_bytes_total",
        Count::BytesOut => "loadtest_transmitted_bytes_total",
        Count::Connected => "loadtest_connected_total",
        Count::Dropped => "loadtest_dropped_total",
        Count::Skipped => "loadtest_skipped_total",
        Count::Pages => "loadtest_history_pages_total",
    }
}

/// Serves `/metrics`, `/livez` and `/readyz` until the lifecycle ends. Once a process, before the run;
/// an error is one sentence. Returns where it listens.
pub async fn listen(listen: SocketAddr, lifecycle: &Lifecycle) -> Result<SocketAddr, String> {
    let cannot = |error: io::Error| format!("no metrics: {error}");
    let listener = serve::bind(listen).map_err(cannot)?;
    let at = listener.local_addr().map_err(cannot)?;
    let handle = telemetry::start_metrics(METRICS, lifecycle)?;
    let ready: telemetry::Ready = Arc::new(|| Box::pin(std::future::ready(Ok(()))));
    let routes = telemetry::admin_router(handle, ready);
    let config = ServeConfig { name: "metrics", until: Until::End, ..ServeConfig::default() };
    lifecycle.spawn_background(serve::serve(listener, routes, config, lifecycle.clone()));
    Ok(at)
}

/// Keeps the metrics up to date with a run. Without [`listen`] before, it does nothing.
pub fn observer(scenario: &Scenario) -> Observer {
    let phases: Vec<String> = scenario.phases.iter().map(|phase| phase.name.clone()).collect();
    let kinds = Mutex::new([BTreeMap::new(), BTreeMap::new()]);
    Arc::new(move |progress| match progress {
        RunEvent::Phase(now) => {
            for (place, phase) in phases.iter().enumerate() {
                let value = f64::from(u8::from(place == *now));
                metrics::gauge!("loadtest_phase_info", "phase" => phase.clone()).set(value);
            }
        }
        RunEvent::Second(second) => {
            measured(&second.slice);
            let mut kinds = kinds.lock();
            let [errors, closes] = &mut *kinds;
            add_kinds("loadtest_errors_total", errors, &second.slice.errors);
            add_kinds("loadtest_closes_total", closes, &second.slice.closes);
        }
        RunEvent::Mark(_)
        | RunEvent::Settling { .. }
        | RunEvent::Reading { .. }
        | RunEvent::Checking => {}
    })
}

fn measured(slice: &Slice) {
    metrics::gauge!("loadtest_connections").set(slice.connections as f64);
    for (count, n) in &slice.counts {
        metrics::counter!(total(*count)).increment(*n);
    }
    for (op, latency) in slice.latencies.iter().filter(|(_, latency)| !latency.0.is_empty()) {
        let sums = latency_sums(latency);
        let quantiles =
            [("0.5", sums.p50), ("0.95", sums.p95), ("0.99", sums.p99), ("1", sums.max)];
        for (quantile, millis) in quantiles {
            let labels = [("op", op.name()), ("quantile", quantile)];
            metrics::gauge!("loadtest_latency_seconds", &labels).set(millis / 1e3);
        }
    }
}

/// Counts by kind, over the whole run no more kinds than in a second.
fn add_kinds(
    metric: &'static str,
    so_far: &mut BTreeMap<String, u64>,
    more: &BTreeMap<String, u64>,
) {
    more.iter().for_each(|(kind, n)| add_kind(so_far, kind, *n));
    for (kind, n) in so_far {
        metrics::counter!(metric, "kind" => kind.clone()).absolute(*n);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{engine::PartSlice, measure::Latency, report::sample::sample};
    use platform::metric::Kind;

    #[test]
    fn every_count_has_a_metric_named_by_the_conventions() {
        for count in Count::ALL.iter().copied() {
            let name = total(count);
            assert!(OWN.iter().any(|metric| metric.name == name), "{name}");
        }
        for Metric { name, kind, .. } in OWN {
            assert!(name.starts_with("loadtest_"), "{name}");
            assert_eq!(name.ends_with("_total"), *kind == Kind::Counter, "{name}");
        }
    }

    #[tokio::test]
    async fn a_scrape_shows_the_run() {
        let lifecycle = Lifecycle::new();
        let at = listen("127.0.0.1:0".parse().unwrap(), &lifecycle).await.unwrap();
        let observer = observer(&sample().scenario);
        let mut latency = Latency::default();
        latency.record(20_000);
        let slice = Slice {
            connections: 7,
            counts: BTreeMap::from([(Count::Sent, 3)]),
            latencies: BTreeMap::from([(Op::Delivery, latency)]),
            errors: (0..60).map(|n| (format!("error {n:02}"), 1)).collect(),
            closes: BTreeMap::new(),
        };
        let second = Arc::new(PartSlice { at: 1.0, seconds: 1.0, slice, cpu: 0.1 });
        observer(&RunEvent::Phase(1));
        observer(&RunEvent::Second(Arc::clone(&second)));
        observer(&RunEvent::Second(second));
        let path = "/metrics";
        let asked = platform::admin::ask(at, axum::http::Method::GET, path, "").await;
        let (_, text) = asked.unwrap();
        for line in [
            "loadtest_connections 7",
            "loadtest_sent_total 6",
            "loadtest_skipped_total 0",
            "loadtest_errors_total{kind=\"error 00\"} 2",
            "loadtest_errors_total{kind=\"other\"} 22",
            "loadtest_phase_info{phase=\"steady\"} 1",
            "loadtest_phase_info{phase=\"ramp\"} 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        let latency = "loadtest_latency_seconds{op=\"delivery\",quantile=\"0.99\"} 0.02";
        assert!(text.contains(latency), "{text}");
        lifecycle.stop();
    }
}
