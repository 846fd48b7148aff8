//! Switchboard's REST service: accounts, chats, messages, administration; the only owner of the
//! database. It holds no sockets.
//!
//! [`Api`] is what every service and route works with; [`router`] and [`internal_router`] are its
//! two faces; [`run`] serves them. Both the `api` binary and the one-process binary start here.

#![warn(missing_docs, unreachable_pub)]

pub mod accounts;
pub mod announcement;
pub mod audit;
pub mod auth;
mod avatars;
pub mod chats;
pub mod commands;
pub mod config;
mod conflict;
pub mod db;
pub mod demo;
pub mod error;
mod gateways;
mod http;
pub mod internal;
pub mod lobby;
pub mod lookalikes;
mod mail;
pub mod metric;
mod news;
mod parts;
mod post_queue;
pub mod rest;
pub mod retention;
pub mod settings;
mod state;

pub use post_queue::PostQueues;
pub use state::Api;

use crate::{
    auth::{ended::Ended, passwords::Passwords, tokens::Tokens},
    avatars::Avatars,
    config::Config,
    db::Databases,
    error::{Error, Result},
    mail::Mailer,
};
use axum::Router;
use http::Surroundings;
use platform::{
    bus::{self, Bus},
    lifecycle::Lifecycle,
    limit::{self, Limiter},
    metric::Metric,
    presence::Presence,
    serve::{self, ServeConfig},
    telemetry::{self, Ready},
    token,
};
use protocol::code::Code;
use std::{sync::Arc, time::Duration};
use tokio::net::TcpListener;

/// The metrics of the `api` binary.
pub const METRICS: &[&[Metric]] = &[
    telemetry::METRICS,
    serve::METRICS,
    bus::METRICS,
    limit::METRICS,
    token::METRICS,
    metric::METRICS,
];

/// What an [`Api`] is made of and shares with the rest of its process.
pub struct Parts {
    /// The databases; their schemas must be up to date.
    pub db: Databases,
    /// Connections for people's requests, from [`Databases::apart`].
    pub people: Databases,
    /// Carries what is published to the gateways.
    pub bus: Bus,
    /// Who is connected, as the gateways report it.
    pub presence: Presence,
    /// Counts of everything that is limited, shared by all apis.
    pub limiter: Limiter,
    /// Signs and verifies access tokens; the same keys in every api.
    pub tokens: Tokens,
}

/// Starts what runs beside the requests. Works while the database is away:
/// requests then fail with `unavailable`.
pub async fn start(parts: Parts, config: Config, lifecycle: &Lifecycle) -> Result<Api> {
    let Parts { db, people, bus, presence, limiter, tokens } = parts;
    let config = Arc::new(config);
    let ended = Ended::default();
    // Before the first request, or the first ones would each ask the database about their session. A
    // database that is away does not stop the start.
    if let Err(error) = ended.poll(db.home(), config.ended_capacity).await {
        tracing::warn!(%error, "cannot read yet which sessions ended");
    }
    lifecycle.spawn_background(db.clone().keep_measuring(people.clone()));
    lifecycle.spawn_background(ended.clone().keep_current(db.home().clone(), Arc::clone(&config)));
    for (place, server) in db.each().iter().enumerate() {
        lifecycle.spawn_background(chats::ordinals::keep_numbering(server.clone()));
        // Deleting takes the connections for people, so that gateways' calls never queue behind it.
        let tidying = retention::keep_tidy(people.clone(), place, Arc::clone(&config));
        lifecycle.spawn_background(tidying);
    }
    for place in 1..people.each().len() {
        lifecycle.spawn_background(db::people_copy::keep_copying(people.clone(), place));
    }
    let mailer = Mailer::new(&config.mail).map_err(error::fault)?;
    let avatars = Avatars::new(&config.avatars).map_err(|why| Error::new(Code::Internal, why))?;
    let passwords = Passwords::new(&config.passwords)?;
    let posts = PostQueues::new(&db, config.posts);
    let api = Api {
        db,
        people,
        bus,
        presence,
        limiter,
        tokens,
        passwords,
        mailer,
        avatars,
        ended,
        posts,
        config,
        lifecycle: lifecycle.clone(),
    };
    if api.avatars.are_kept() {
        let api = Api { db: api.people.clone(), ..api.clone() };
        lifecycle.spawn_background(accounts::avatar::keep_removing(api));
    }
    Ok(api)
}

/// What clients see: REST, and the page at `/`. For [`serve::serve`], which tells it the client's
/// address.
pub fn router(api: Api) -> Router {
    let surroundings = Surroundings {
        listener: "public",
        body_limit: api.config.body_limit,
        timeout: api.config.request_timeout,
        begins_traces: true,
    };
    let routes =
        rest::openapi::with_documents(rest::limited(&api)).merge(rest::files::web_client::routes());
    let routes = rest::cors::allow(surroundings.around(routes), &api.config);
    let posts = PostQueues::new(&api.people, api.config.posts);
    routes.with_state(Api { db: api.people.clone(), posts, ..api })
}

/// What gateways see, with the bearer secret of [`Config::internal_tokens`].
pub fn internal_router(api: Api) -> Router {
    let surroundings = Surroundings {
        listener: "internal",
        body_limit: api.config.internal_body_limit,
        timeout: api.config.request_timeout,
        // A gateway says with each call whether it is recorded; its polls never are.
        begins_traces: false,
    };
    let calls = internal::router(&api.config.internal_tokens, surroundings);
    surroundings.around(calls.merge(rest::keys())).with_state(api)
}

/// The api's three listeners, bound.
pub struct Listeners {
    /// For people's requests.
    pub public: TcpListener,
    /// For gateways' calls. Never reachable by clients.
    pub internal: TcpListener,
    /// For operators: health, metrics, the log level.
    pub admin: TcpListener,
}

/// Serves everything until the soft stop; the tasks are `lifecycle`'s. `admin` is the process's
/// admin router with [`ready`]; `public` says who the trusted proxies are, and how many connections it
/// may have; the internal listener may have a quarter of them beside.
pub fn run(
    api: &Api,
    listeners: Listeners,
    admin: Router,
    public: ServeConfig,
    lifecycle: &Lifecycle,
) {
    let Listeners { public: public_listener, internal, admin: admin_listener } = listeners;
    // Gateways are few, and each has some calls in flight.
    let max_connections = (public.max_connections / 4).max(1);
    let internal_config = ServeConfig { name: "internal", max_connections, ..Default::default() };
    let serve = |listener, app, config| serve::serve(listener, app, config, lifecycle.clone());
    lifecycle.spawn(serve(public_listener, router(api.clone()), public));
    lifecycle.spawn(serve(internal, internal_router(api.clone()), internal_config));
    lifecycle.spawn_background(serve(admin_listener, admin, ServeConfig::admin()));
}

/// Whether this process wants requests: the database answers and takes writes within a second, and
/// nothing asked it to stop.
pub fn ready(api: &Api, lifecycle: &Lifecycle) -> Ready {
    let (db, lifecycle) = (api.db.home().clone(), lifecycle.clone());
    Arc::new(move || {
        let (db, lifecycle) = (db.clone(), lifecycle.clone());
        Box::pin(async move {
            if lifecycle.is_stopping() {
                return Err("stopping".to_owned());
            }
            match tokio::time::timeout(Duration::from_secs(1), db.ping()).await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) => Err(format!("database: {error}")),
                Err(_) => Err("database: no answer within a second".to_owned()),
            }
        })
    })
}
