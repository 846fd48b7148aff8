//! A process's reports to its operators: logs on stdout ([`start_logs`]), traces ([`trace`]), metrics in the
//! Prometheus format, and the admin listener's `/livez`, `/readyz`, `/metrics` and `/log` ([`log_routes`]).
//! Tables list the metrics ([`crate::metric`]).

mod filter;
mod level;
mod lines;
mod logs;
mod process;
pub mod trace;

pub(crate) use self::process::usage;
pub use self::{
    filter::LogFilter,
    level::{LogCommand, Logs, log_routes},
    lines::LastLines,
    logs::{LogArgs, LogFormat, start_logs},
};

use crate::{
    lifecycle::Lifecycle,
    metric::{self, Metric, Values},
};
use axum::{
    Router,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use futures_util::future::BoxFuture;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use std::{sync::Arc, time::Duration};
use tokio::runtime::Handle;

/// Latencies from one millisecond (a local commit) to ten seconds (an outage).
pub const SECONDS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Counts of things in a batch, a fan-out or a queue.
pub const COUNTS: &[f64] =
    &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1e3, 2e3, 5e3, 1e4];

/// What every process says of itself. The `process_*` metrics are named by the conventions of Prometheus.
pub const METRICS: &[Metric] = &[
    metric::gauge(
        "switchboard_build_info",
        &[("version", Values::These(&[env!("CARGO_PKG_VERSION")]))],
        "Always 1. The label holds the running version",
    ),
    metric::gauge("tokio_workers", &[], "Worker threads of the runtime"),
    metric::gauge("tokio_tasks", &[], "Live tasks"),
    metric::gauge("tokio_waiting_tasks", &[], "Tasks waiting in the workers' shared queue"),
    metric::seconds("tokio_busy_seconds_total", "Total time that all workers spent running tasks"),
    metric::counter(
        "log_lines_dropped_total",
        &[],
        "Log lines dropped because stdout did not accept them",
    ),
    metric::seconds("process_cpu_seconds_total", "CPU time in user and system mode"),
    metric::gauge("process_open_fds", &[], "Open files and sockets"),
    metric::gauge("process_max_fds", &[], "Maximum number of open files and sockets"),
    metric::gauge("process_virtual_memory_bytes", &[], "Virtual memory"),
    metric::gauge("process_virtual_memory_max_bytes", &[], "Maximum virtual memory"),
    metric::gauge("process_resident_memory_bytes", &[], "Resident memory"),
    metric::gauge("process_start_time_seconds", &[], "Unix time when the process started"),
    metric::gauge("process_threads", &[], "Operating system threads"),
];

/// Installs the process's metrics recorder and starts the metrics of these tables. Once per process,
/// before anything is measured.
pub fn start_metrics(
    tables: &[&[Metric]],
    lifecycle: &Lifecycle,
) -> Result<PrometheusHandle, String> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), SECONDS)
        .and_then(|builder| builder.set_buckets_for_metric(Matcher::Suffix("_size".into()), COUNTS))
        .and_then(PrometheusBuilder::install_recorder)
        .map_err(|error| format!("cannot start metrics: {error}"))?;
    tables.iter().copied().for_each(metric::register);
    metrics::gauge!("switchboard_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    let upkeep = handle.clone();
    lifecycle.spawn_background(async move {
        // The recorder keeps samples until somebody drains them; a scrape that never comes must
        // not let them grow.
        let mut every = tokio::time::interval(Duration::from_secs(5));
        loop {
            every.tick().await;
            upkeep.run_upkeep();
        }
    });
    Ok(handle)
}

/// Measures the process and its runtime, for a scrape. Returns what is to follow the recorder's page: the
/// metrics of [`metric::Kind::Seconds`].
fn measure_process() -> String {
    let cpu = process::measure();
    let runtime = Handle::current().metrics();
    let workers = runtime.num_workers();
    metrics::gauge!("tokio_workers").set(workers as f64);
    metrics::gauge!("tokio_tasks").set(runtime.num_alive_tasks() as f64);
    metrics::gauge!("tokio_waiting_tasks").set(runtime.global_queue_depth() as f64);
    let busy: Duration =
        (0..workers).map(|worker| runtime.worker_total_busy_duration(worker)).sum();
    let seconds = |metric: &Metric| match metric.name {
        "process_cpu_seconds_total" => cpu.map(|cpu| cpu.as_secs_f64()),
        "tokio_busy_seconds_total" => Some(busy.as_secs_f64()),
        _ => None,
    };
    let line = |metric: &Metric| {
        let (name, kind, seconds) = (metric.name, metric.kind.as_str(), seconds(metric)?);
        Some(format!("# HELP {name} {}\n# TYPE {name} {kind}\n{name} {seconds}\n\n", metric.help))
    };
    METRICS.iter().filter_map(line).collect()
}

/// Answers whether the process wants new work; the text says why not.
pub type Ready = Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// What people find who expect a page at the admin listener.
const WELCOME: &str =
    "This port is for operators' programs: /livez, /readyz, /metrics. No page is here.\n";

/// The admin listener's routes. `/livez` only says that the process turns: it never asks another
/// service, or an outage there would restart everything here.
pub fn admin_router(metrics: PrometheusHandle, ready: Ready) -> Router {
    Router::new()
        .route("/", get(|| async { WELCOME }))
        .route("/livez", get(|| async { "ok\n" }))
        .route(
            "/readyz",
            get(move || async move {
                match ready().await {
                    Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
                    Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
                }
            }),
        )
        .route(
            "/metrics",
            get(move || async move {
                let exact = measure_process();
                let page = metrics.render() + &exact;
                ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], page).into_response()
            }),
        )
}
