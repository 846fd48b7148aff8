//! `loadtest agent` as a process: settings, listener, logs, metrics, signals.

use super::{AgentSettings, routes::routes};
use crate::metric;
use platform::{
    admin, files,
    lifecycle::Lifecycle,
    serve::{ServeConfig, bind, serve},
    settings::{ListenAddr, Secret, fail, refuse},
    telemetry::{Ready, admin_router, start_logs, start_metrics},
};
use std::{process::ExitCode, sync::Arc, time::Duration};

/// On stopping: clients leave and what they recorded is packed, though nobody may come for it.
const FINISH: Duration = Duration::from_secs(10);

/// The exit code when the agent cannot listen.
const EXIT_SETUP: u8 = 70;

/// Serves coordinators until a signal. Exit code 0, 64 for settings that cannot work, 70 otherwise.
pub(crate) async fn run_agent(settings: &AgentSettings) -> ExitCode {
    let checked =
        settings.check().and_then(|secret| start_logs(&settings.log).map(|logs| (secret, logs)));
    let (secret, (_logs, _last_lines)) = match checked {
        Ok(checked) => checked,
        Err(why) => return refuse(why),
    };
    match until_stopped(settings.listen, secret).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(format_args!("{error:#}"), EXIT_SETUP),
    }
}

/// Asks an agent on this machine whether it can be reached: exit code 0 or 1.
pub(crate) async fn agent_health(listen: ListenAddr) -> ExitCode {
    admin::health(listen.0).await
}

async fn until_stopped(listen: ListenAddr, secret: Option<Secret>) -> anyhow::Result<()> {
    let lifecycle = Lifecycle::new();
    lifecycle.stop_on_signals(Duration::ZERO, FINISH)?;
    // Its clients' sockets; whether they are enough depends on the order.
    files::raise_limit();
    let metrics = start_metrics(metric::METRICS, &lifecycle).map_err(anyhow::Error::msg)?;
    let listener = bind(listen.0)?;
    // Also one that is busy: who waits for it waits for its answer to an order.
    let ready: Ready = Arc::new(|| Box::pin(std::future::ready(Ok(()))));
    let app = routes(secret, &lifecycle).merge(admin_router(metrics, ready));
    let config = ServeConfig { name: "internal", max_connections: 256, ..ServeConfig::default() };
    lifecycle.spawn(serve(listener, app, config, lifecycle.clone()));
    tracing::info!(%listen, "agent is up");
    let left = lifecycle.finish(FINISH).await;
    tracing::info!(left, "agent has stopped");
    Ok(())
}
