//! The `gateway` binary: settings, listeners, signals.

use gateway::{
    Deps, Gateway,
    backend::stream::StreamBackend,
    settings::{Checked, Command, Settings},
    upgrade,
};
use platform::{
    admin,
    bus::Bus,
    files,
    lifecycle::Lifecycle,
    limit::Limiter,
    presence::Presence,
    redis::State,
    serve::{ServeConfig, bind, serve},
    settings::{COMMON_NEEDS, EXIT_FAILURE, fail, parse_with_sources, refuse},
    telemetry::{Logs, admin_router, log_routes, start_logs, start_metrics, trace},
};
use protocol::id::NodeId;
use std::{process::ExitCode, sync::Arc, time::Duration};

#[tokio::main]
async fn main() -> ExitCode {
    let (mut settings, in_force) = match parse_with_sources::<Settings>(&COMMON_NEEDS) {
        Ok(parsed) => parsed,
        Err(code) => return code,
    };
    match settings.command.clone().unwrap_or(Command::Serve) {
        Command::Serve => {}
        Command::Health => return admin::health(settings.admin_listen.0).await,
        Command::Log(command) => return command.run(settings.admin_listen.0).await,
    }
    let checked = settings.check().and_then(|checked| {
        let (logs, last_lines) = start_logs(&settings.log)?;
        settings.client.max_connections = files::room_for(settings.client.max_connections)?;
        Ok((checked, logs, last_lines))
    });
    let (mut checked, logs, _last_lines) = match checked {
        Ok(checked) => checked,
        Err(why) => return refuse(why),
    };
    checked.config.settings = in_force;
    match run(settings, checked, logs).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(format_args!("{error:#}"), EXIT_FAILURE),
    }
}

async fn run(settings: Settings, checked: Checked, logs: Logs) -> anyhow::Result<()> {
    let Checked { config, backend, redis } = checked;
    let lifecycle = Lifecycle::new();
    let delay = Duration::from_secs(settings.client.shutdown_delay_seconds);
    let finish = Duration::from_secs(settings.client.drain_seconds.saturating_add(10));
    lifecycle.stop_on_signals(delay, finish)?;
    let metrics = start_metrics(gateway::METRICS, &lifecycle).map_err(anyhow::Error::msg)?;
    let node = NodeId::random();
    let traces = trace::start(&settings.trace, "gateway", node).map_err(anyhow::Error::msg)?;
    let state = State::new(&redis.state)?;
    let deps = Deps {
        node,
        backend: Arc::new(StreamBackend::new(backend, &lifecycle)),
        presence: Presence::redis(state.clone(), Default::default()),
        limiter: Limiter::redis(state, Default::default()),
        bus: Bus::redis(redis.bus, node, &lifecycle),
        lifecycle: lifecycle.clone(),
    };
    let public = bind(settings.listen.0)?;
    let admin = bind(settings.admin_listen.0)?;
    let gateway = Gateway::start(deps, config, &settings.client);
    let listener = settings.client.listener();
    let routes = admin_router(metrics, gateway.ready()).merge(log_routes(logs, &lifecycle));
    lifecycle.spawn_background(serve(admin, routes, ServeConfig::admin(), lifecycle.clone()));
    lifecycle.spawn(serve(public, upgrade::router(gateway), listener, lifecycle.clone()));
    tracing::info!(%node, listen = %settings.listen, admin = %settings.admin_listen, "gateway is up");

    let left = lifecycle.finish(finish).await;
    traces.finish().await;
    tracing::info!(left, "gateway has stopped");
    Ok(())
}
