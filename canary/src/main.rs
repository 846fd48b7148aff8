//! The `canary` binary: settings, the admin listener, signals.

use canary::{
    config::CanaryConfig,
    keeper::AccountKeeper,
    settings::{CanaryCommand, CanarySettings},
};
use platform::{
    admin,
    lifecycle::Lifecycle,
    serve::{ServeConfig, bind, serve},
    settings::{COMMON_NEEDS, EXIT_FAILURE, fail, parse, refuse},
    telemetry::{Logs, Ready, admin_router, log_routes, start_logs, start_metrics},
};
use std::{
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// On stopping: closing sockets, deleting the chat and signing out take a moment.
const FINISH: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() -> ExitCode {
    let settings = match parse::<CanarySettings>(&COMMON_NEEDS) {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    match settings.command.clone().unwrap_or(CanaryCommand::Watch) {
        CanaryCommand::Watch => {}
        CanaryCommand::Health => return admin::health(settings.admin_listen.0).await,
        CanaryCommand::Log(command) => return command.run(settings.admin_listen.0).await,
    }
    let checked = settings.check().and_then(|config| {
        let (logs, last_lines) = start_logs(&settings.log)?;
        Ok((config, logs, last_lines))
    });
    let (config, logs, _last_lines) = match checked {
        Ok(checked) => checked,
        Err(why) => return refuse(why),
    };
    match run(settings, config, logs).await {
        Ok(code) => code,
        Err(error) => fail(format_args!("{error:#}"), EXIT_FAILURE),
    }
}

async fn run(
    settings: CanarySettings,
    config: CanaryConfig,
    logs: Logs,
) -> anyhow::Result<ExitCode> {
    let lifecycle = Lifecycle::new();
    lifecycle.stop_on_signals(Duration::ZERO, FINISH)?;
    let metrics = start_metrics(canary::METRICS, &lifecycle).map_err(anyhow::Error::msg)?;
    canary::start_gauges();
    let listen = settings.admin_listen;
    let admin = bind(listen.0)?;
    let begun = Arc::new(AtomicBool::new(false));
    let routes = admin_router(metrics, ready(&begun, &lifecycle));
    let routes = routes.merge(log_routes(logs, &lifecycle));
    lifecycle.spawn_background(serve(admin, routes, ServeConfig::admin(), lifecycle.clone()));
    tracing::info!(admin = %listen, "canary is up");

    match lifecycle.unless_stopped(AccountKeeper::start(config.clone())).await {
        Some(Ok(keeper)) => canary::start(config, keeper, &lifecycle, begun),
        // Found out late, and still a wrong setting.
        Some(Err(wrong)) => return Ok(refuse(wrong)),
        None => {}
    }
    let left = lifecycle.finish(FINISH).await;
    tracing::info!(left, "canary has stopped");
    Ok(ExitCode::SUCCESS)
}

/// Ready means that it watches: a round has begun. How the rounds go is for the metrics to say;
/// restarting the canary because a gateway is unhealthy would only hide that.
fn ready(begun: &Arc<AtomicBool>, lifecycle: &Lifecycle) -> Ready {
    let (begun, lifecycle) = (Arc::clone(begun), lifecycle.clone());
    Arc::new(move || {
        let verdict = if lifecycle.is_stopping() {
            Err("stopping".to_owned())
        } else if !begun.load(Ordering::Relaxed) {
            Err("no round has begun yet: not signed in, or no gateway is connected".to_owned())
        } else {
            Ok(())
        };
        Box::pin(std::future::ready(verdict))
    })
}
