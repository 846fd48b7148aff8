//! The contracts of the bus, presence and limits: one suite over all kinds, in this process and
//! over private Redis servers, and what only Redis can get wrong.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

mod acl;
mod bus;
mod bus_cluster;
mod bus_redis;
mod bus_several;
mod churn;
mod figures;
mod limit;
mod listener;
mod nodes;
mod presence;
mod proxy;
mod sentinel;
mod state;
mod tls;
mod traffic;
mod upstream;

use platform::{
    redis::{RedisConfig, State, StateConnection},
    settings::Secret,
};
use std::{future::Future, time::Duration};

/// Long for anything that a test waits for, on a machine that compiles beside it.
const LONG: Duration = Duration::from_secs(20);

/// The future's output; panics when it hangs.
async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(LONG, future).await {
        Ok(output) => output,
        Err(_) => panic!("not in time: {what}"),
    }
}

/// A private server, and how to reach it.
async fn redis() -> (cluster::Redis, RedisConfig) {
    let server = cluster::Redis::start().await.unwrap();
    let config = RedisConfig::new(&Secret::new(server.url())).unwrap();
    (server, config)
}

/// A connection for the test's own commands.
async fn commands(config: &RedisConfig) -> StateConnection {
    soon("a connection to Redis", State::new(config).unwrap().connection()).await.unwrap()
}

/// Stops the server in its tracks, its connections open, and waits until it stands.
async fn pause(server: &cluster::Redis) {
    server.process().pause();
    let stat = format!("/proc/{}/stat", server.process().pid());
    let stopped = || std::fs::read_to_string(&stat).unwrap().contains(" T ");
    soon("the server stops", async {
        while !stopped() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
