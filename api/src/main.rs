//! The `api` binary: settings, listeners, signals.

use api::{
    Api, Listeners, Parts,
    accounts::admin,
    commands,
    db::{ConnectError, Db},
    ready,
    settings::{ApiCommand, COMMAND_NEEDS, CheckedApi, Settings},
};
use platform::{
    admin as admin_listener,
    bus::Bus,
    files,
    lifecycle::Lifecycle,
    limit::Limiter,
    presence::{NodeKind, Presence, Reporting},
    redis::State,
    serve::{ServeConfig, bind},
    settings::{EXIT_FAILURE, Secret, WrongSetting, fail, parse_with_sources, refuse},
    telemetry::{Logs, admin_router, log_routes, start_logs, start_metrics, trace},
};
use protocol::id::NodeId;
use std::{process::ExitCode, time::Duration};

#[tokio::main]
async fn main() -> ExitCode {
    let (settings, in_force) = match parse_with_sources::<Settings>(COMMAND_NEEDS) {
        Ok(parsed) => parsed,
        Err(code) => return code,
    };
    let (logs, _last_lines) = match start_logs(&settings.log) {
        Ok(started) => started,
        Err(why) => return refuse(why),
    };
    let result = match settings.command.clone().unwrap_or(ApiCommand::Serve) {
        ApiCommand::Health => return admin_listener::health(settings.admin_listen.0).await,
        ApiCommand::Log(command) => return command.run(settings.admin_listen.0).await,
        ApiCommand::Secrets { folder } => commands::secrets::make(&folder),
        ApiCommand::Serve => {
            let checked = settings.check().and_then(|checked| {
                let most = ServeConfig::default().max_connections;
                // The internal listener has a quarter of the public one's.
                Ok((checked, (files::room_for(most + most / 4)? * 4 / 5).max(1)))
            });
            match checked {
                Ok((mut checked, most)) => {
                    checked.config.settings = in_force;
                    serve(settings, checked, most, logs).await
                }
                Err(why) => return refuse(why),
            }
        }
        ApiCommand::Migrate => commands::migrate(&settings).await,
        ApiCommand::Divide => commands::divide(&settings).await,
        ApiCommand::Restored => commands::restored(&settings).await,
        ApiCommand::Demo => commands::make_demo(&settings).await,
        ApiCommand::Admin(command) => commands::administer(&settings, &command).await,
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<ConnectError>() || error.is::<WrongSetting>() => refuse(error),
        Err(error) => fail(format_args!("{error:#}"), EXIT_FAILURE),
    }
}

async fn serve(
    settings: Settings,
    checked: CheckedApi,
    max_connections: usize,
    logs: Logs,
) -> anyhow::Result<()> {
    let CheckedApi { config, redis, tokens } = checked;
    let lifecycle = Lifecycle::new();
    let delay = Duration::from_secs(settings.shutdown_delay_seconds);
    let finish = Duration::from_secs(settings.drain_seconds);
    lifecycle.stop_on_signals(delay, finish)?;
    let metrics = start_metrics(api::METRICS, &lifecycle).map_err(anyhow::Error::msg)?;
    let db = commands::open(&settings).await?;
    let state = State::new(&redis.state)?;
    let node = NodeId::random();
    let traces = trace::start(&settings.trace, "api", node).map_err(anyhow::Error::msg)?;
    let starting = async {
        commands::await_schema(&db, &settings).await?;
        // Not before the schema is there: who connects to a port that is open expects an answer.
        let listeners = Listeners {
            public: bind(settings.listen.0)?,
            internal: bind(settings.internal_listen.0)?,
            admin: bind(settings.admin_listen.0)?,
        };
        let parts = Parts {
            people: db.apart(&settings.database()),
            db: db.clone(),
            presence: Presence::redis(state.clone(), Default::default()),
            limiter: Limiter::redis(state, Default::default()),
            bus: Bus::redis(redis.bus, node, &lifecycle),
            tokens,
        };
        let api = api::start(parts, config, &lifecycle).await.map_err(commands::told)?;
        ensure_administrator(db.home(), &api, settings.admin_password).await?;
        let trusted_proxies = settings.trusted_proxies.iter().flatten().copied().collect();
        let public = ServeConfig { max_connections, trusted_proxies, ..ServeConfig::default() };
        let ready = ready(&api, &lifecycle);
        let routes = admin_router(metrics, ready).merge(log_routes(logs, &lifecycle));
        let reporting = Reporting { node, kind: NodeKind::Api };
        let keeping = reporting.keep(api.presence.clone(), lifecycle.clone(), || None);
        lifecycle.spawn_background(keeping);
        api::run(&api, listeners, routes, public, &lifecycle);
        tracing::info!(%node, listen = %settings.listen, internal = %settings.internal_listen,
            admin = %settings.admin_listen, "api is up");
        anyhow::Ok(api)
    };
    let api = lifecycle.unless_stopped(starting).await.transpose()?;

    let left = lifecycle.finish(finish).await;
    match api {
        Some(api) => api.close().await,
        None => db.close().await,
    }
    traces.finish().await;
    tracing::info!(left, "api has stopped");
    Ok(())
}

/// Makes the administrator where the settings have its password; without one, says so when there is none.
async fn ensure_administrator(db: &Db, api: &Api, password: Option<Secret>) -> anyhow::Result<()> {
    match password {
        Some(password) => {
            let made = admin::create(db, &api.passwords, password, |_| Ok(()))
                .await
                .map_err(commands::told)?;
            tracing::info!(made, "the administrator's account is in place");
        }
        None if !admin::exists(db).await.map_err(commands::told)? => {
            tracing::warn!("there is no administrator: run `api admin create`");
        }
        None => {}
    }
    Ok(())
}
