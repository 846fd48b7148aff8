//! What a process tells its operators: logs on stdout, metrics in the Prometheus format, and the
//! admin listener's `/livez`, `/readyz`, `/metrics`. What is measured is named where it happens.

use crate::lifecycle::Lifecycle;
use axum::{
    Router,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use clap::{Args, ValueEnum};
use futures_util::future::BoxFuture;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use std::{io::IsTerminal, sync::Arc, time::Duration};
use tracing_subscriber::EnvFilter;

/// How a process logs.
#[derive(Args, Clone, Debug)]
pub struct LogArgs {
    /// What to log: error, warn, info, debug, trace, or per module such as info,gateway=debug
    #[arg(long, env = "LOG", default_value = "info", global = true)]
    pub log: String,
    /// json: one object a line, for collectors; human: for people at a terminal
    #[arg(long, env = "LOG_FORMAT", default_value = "human", global = true)]
    pub log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Json,
    Human,
}

/// Starts logging to stdout. Once per process, before anything logs.
pub fn start_logs(args: &LogArgs) -> Result<(), String> {
    let filter = EnvFilter::try_new(&args.log)
        .map_err(|error| format!("LOG: {error}. Try LOG=info or LOG=info,gateway=debug"))?;
    let colours = std::io::stdout().is_terminal();
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours);
    match args.log_format {
        LogFormat::Json => logs.json().flatten_event(true).with_current_span(false).try_init(),
        LogFormat::Human => logs.with_target(false).try_init(),
    }
    .map_err(|error| format!("cannot start logging: {error}"))
}

/// Latencies from one millisecond (a local commit) to ten seconds (an outage).
const SECONDS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Counts of things in a batch, a fan-out or a queue.
const COUNTS: &[f64] = &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1e3, 2e3, 5e3, 1e4];

/// Installs the process's metrics recorder. Once per process, before anything is measured.
pub fn start_metrics(lifecycle: &Lifecycle) -> Result<PrometheusHandle, String> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), SECONDS)
        .and_then(|builder| builder.set_buckets_for_metric(Matcher::Suffix("_size".into()), COUNTS))
        .and_then(PrometheusBuilder::install_recorder)
        .map_err(|error| format!("cannot start metrics: {error}"))?;
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
    metrics::describe_gauge!("build_info", "Always 1; the version is in the label");
    metrics::gauge!("build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    Ok(handle)
}

/// Answers whether the process wants new work; the text says why not.
pub type Ready = Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// The admin listener's routes. `/livez` only says that the process turns: it never asks another
/// service, or an outage there would restart everything here.
pub fn admin_router(metrics: PrometheusHandle, ready: Ready) -> Router {
    Router::new()
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
                ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], metrics.render())
                    .into_response()
            }),
        )
}
