//! Puts the parts together in one process and serves them on one port: upgrades go to the gateway,
//! everything else to the api, as a load balancer would send them.

use crate::{
    direct::Direct,
    settings::{CheckedSettings, StandaloneSettings},
};
use anyhow::Context;
use api::{
    Api, Parts,
    accounts::admin,
    auth::passwords::random_secret,
    auth::tokens::Tokens,
    commands,
    config::Config,
    db::{Databases, Db, DbConfig},
    demo,
    lookalikes::ADMIN,
};
use axum::{Router, extract::Request, http::header};
use gateway::{Deps, Gateway, upgrade};
use platform::{
    bus::{self, Bus},
    lifecycle::Lifecycle,
    limit::{self, Limiter},
    metric::Metric,
    presence::{NodeKind, Presence, Reporting},
    serve::{self, ServeConfig, bind, serve},
    settings::{Secret, WrongSetting, reachable},
    telemetry::{self, Logs, Ready, admin_router, log_routes, start_metrics, trace},
    token,
};
use protocol::id::NodeId;
use std::{
    fs::{DirBuilder, File, OpenOptions, Permissions},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::Path,
    sync::Arc,
    time::Duration,
};
use tower::ServiceExt;

/// The metrics of the one process.
pub const METRICS: &[&[Metric]] = &[
    telemetry::METRICS,
    serve::METRICS,
    bus::METRICS,
    limit::METRICS,
    token::METRICS,
    api::metric::METRICS,
    gateway::metric::METRICS,
];

/// The database's name in the data folder.
pub const DATABASE: &str = "switchboard.db";

/// Makes the data folder, for its owner only, and takes it for this process: two on one database would not
/// hear each other's messages. It is free again when the file is dropped.
fn take_data_folder(data: &Path) -> Result<File, WrongSetting> {
    let wrong = |why: String| WrongSetting(format!("DATA: {why}"));
    let mut folder = DirBuilder::new();
    let made = folder.recursive(true).mode(0o700).create(data);
    made.map_err(|error| wrong(format!("cannot create {data:?}: {error}")))?;
    let file = File::create(data.join("lock"))
        .map_err(|error| wrong(format!("cannot write to {data:?}: {error}")))?;
    file.try_lock().map_err(|_| {
        wrong(format!("another switchboard runs on {data:?}; stop it or choose another --data"))
    })?;
    Ok(file)
}

/// All messages, emails and hashes of passwords are in the database: its owner's only, in whatever folder.
/// SQLite makes what stands beside it alike.
fn keep_private(database: &Path) -> io::Result<()> {
    let mut private = OpenOptions::new();
    let file = private.append(true).create(true).mode(0o600).open(database)?;
    file.set_permissions(Permissions::from_mode(0o600))
}

/// Runs until a signal. What can be wrong is tried before anything is made: the ports first, then the data
/// folder, then the administrator, whose password is told once.
pub async fn run(
    settings: StandaloneSettings,
    checked: CheckedSettings,
    logs: Logs,
) -> anyhow::Result<()> {
    let lifecycle = Lifecycle::new();
    let delay = Duration::from_secs(settings.client.shutdown_delay_seconds);
    // Ten seconds after the drain for frames and requests that are still on their way.
    let finish = Duration::from_secs(settings.client.drain_seconds.saturating_add(10));
    lifecycle.stop_on_signals(delay, finish)?;
    let node = NodeId::random();
    let traces = trace::start(&settings.trace, "switchboard", node).map_err(anyhow::Error::msg)?;
    let metrics = start_metrics(METRICS, &lifecycle).map_err(anyhow::Error::msg)?;
    let bus = Bus::local();
    let presence = Presence::local();
    let limiter = Limiter::local(Default::default());
    let parts = (bus.clone(), presence.clone(), limiter.clone());
    let public = bind(settings.listen.0)?;
    let admin = bind(settings.admin_listen.0)?;
    let open = reachable(public.local_addr()?);
    let file = settings.data.join(DATABASE);
    // A refused password must not leave a data folder behind.
    if !file.exists() {
        admin::check(None, settings.admin_password.as_ref()).await?;
    }
    // Held to the end of this function, after the last write.
    let _lock = take_data_folder(&settings.data)?;
    keep_private(&file).with_context(|| format!("cannot keep {file:?} private"))?;
    let api = start_api(&settings, &file, checked.api, parts, &lifecycle).await?;
    let deps = Deps {
        node,
        backend: Arc::new(Direct(api.clone())),
        bus,
        presence,
        limiter,
        lifecycle: lifecycle.clone(),
    };
    let gateway = Gateway::start(deps, checked.gateway, &settings.client);
    let reporting = Reporting { node, kind: NodeKind::Api };
    let keeping = reporting.keep(api.presence.clone(), lifecycle.clone(), || None);
    lifecycle.spawn_background(keeping);
    let ready = both(gateway.ready(), api::ready(&api, &lifecycle));
    let listener = settings.client.listener();
    let app = one_port(upgrade::router(gateway), api::router(api.clone()));
    let routes = admin_router(metrics, ready).merge(log_routes(logs, &lifecycle));
    // In the background: the operators' port answers until all other work has ended.
    lifecycle.spawn_background(serve(admin, routes, ServeConfig::admin(), lifecycle.clone()));
    lifecycle.spawn(serve(public, app, listener, lifecycle.clone()));
    tracing::info!("Switchboard is up: open http://{open}");

    let left = lifecycle.finish(finish).await;
    // Only now: running requests still use the database.
    api.close().await;
    traces.finish().await;
    tracing::info!(left, "stopped");
    Ok(())
}

async fn start_api(
    settings: &StandaloneSettings,
    file: &Path,
    config: Config,
    (bus, presence, limiter): (Bus, Presence, Limiter),
    lifecycle: &Lifecycle,
) -> anyhow::Result<Api> {
    let url = format!("sqlite:{}", file.display());
    let db = Db::connect(&url, &DbConfig::default())
        .await
        .with_context(|| format!("cannot open {file:?}"))?;
    admin::check(Some(&db), settings.admin_password.as_ref()).await?;
    db.migrate().await.context("cannot update the database schema")?;
    // Clients' requests have connections of their own, so they cannot starve the gateway's calls.
    let db = Databases::from(db);
    let people = db.apart(&DbConfig::default());
    let parts = Parts {
        db,
        people,
        bus,
        presence,
        limiter,
        tokens: Tokens::load_or_create(&settings.data.join("jwt.pem"))?,
    };
    let api = api::start(parts, config, lifecycle).await.map_err(commands::told)?;
    make_admin(settings, &api).await?;
    if settings.demo {
        commands::tell_demo(&demo::make(&api).await.map_err(commands::told)?);
    }
    Ok(api)
}

/// On the first start makes the administrator; a password nobody chose is printed, once, and before it
/// counts: if nobody can be told, nobody is made.
async fn make_admin(settings: &StandaloneSettings, api: &Api) -> anyhow::Result<()> {
    let chosen = settings.admin_password.is_some();
    let password = settings.admin_password.clone().unwrap_or_else(random_secret);
    let tell = |password: &Secret| match chosen {
        true => Ok(()),
        false => commands::administration::tell_password(ADMIN, password),
    };
    admin::create(api.db.home(), &api.passwords, password, tell).await.map_err(commands::told)?;
    Ok(())
}

/// What a balancer sends here needs both halves.
fn both(gateway: Ready, api: Ready) -> Ready {
    Arc::new(move || {
        let (gateway, api) = (gateway(), api());
        Box::pin(async move {
            gateway.await?;
            api.await
        })
    })
}

fn one_port(gateway: Router, api: Router) -> Router {
    Router::new().fallback(move |request: Request| {
        let upgrade = request
            .headers()
            .get(header::UPGRADE)
            .is_some_and(|to| to.as_bytes().eq_ignore_ascii_case(b"websocket"));
        let service = if upgrade { gateway.clone() } else { api.clone() };
        service.oneshot(request)
    })
}
