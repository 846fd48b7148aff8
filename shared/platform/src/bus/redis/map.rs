//! Asks the servers of a cluster who owns which slot: at the start, every few seconds, and when something says that
//! the answer may be out of date, then again and again until it has changed or nothing says so any more.

use super::{
    super::metric,
    placed::Routes,
    placement::{Placement, ServerAddress},
};
use crate::{
    backoff::Backoff,
    redis::{RedisConnection, Seeds, Server, SlotOwners, slot_owners},
};
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use redis::{ErrorKind, RedisResult};
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::time::{self, Instant};

/// How often the servers are asked when nothing speaks for a change. A partition without a channel moves unheard.
const EVERY: Duration = Duration::from_secs(15);

/// How long after a doubt they are asked often: longer than the longest pause of a link that tries to connect, which
/// doubts each time.
const RESTLESS: Duration = Duration::from_secs(10);

/// The pauses meanwhile, from the first to the longest. A thousand nodes then ask each of three servers 1,000 to 2,000
/// times a second, which it answers easily.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));

/// Servers that are asked at once, because some may be away. The first answer counts.
const ASKED: usize = 3;

/// Keeps the routes of a cluster for ever.
pub(super) async fn keep(routes: Arc<Routes>, seeds: Seeds) {
    let mut map = Map { seeds, turn: 0 };
    let mut backoff = Backoff::new(PAUSES.0, PAUSES.1);
    let mut restless_until = Instant::now();
    let mut complained = false;
    loop {
        match map.read(&routes).await {
            Ok((placement, servers)) => {
                complained = false;
                if placement.has_holes() {
                    restless_until = Instant::now() + RESTLESS;
                }
                if placement != routes.now().placement {
                    backoff.reset();
                    tracing::info!(
                        servers = servers.len(),
                        "the slots of the Redis cluster have other owners"
                    );
                    routes.place(placement, servers);
                }
            }
            Err(error) => {
                metric::count_map_failure();
                restless_until = Instant::now() + RESTLESS;
                if !std::mem::replace(&mut complained, true) {
                    tracing::warn!(%error, "no server of the Redis cluster says who owns which slot");
                }
            }
        }
        if Instant::now() < restless_until {
            time::sleep(backoff.pause(rand::random())).await;
        } else {
            backoff.reset();
            // Apart, so that not all nodes ask at once.
            let pause = EVERY.mul_f64(0.75 + rand::random::<f64>() / 2.0);
            if time::timeout(pause, routes.doubted()).await.is_ok() {
                restless_until = Instant::now() + RESTLESS;
            }
        }
    }
}

struct Map {
    seeds: Seeds,
    /// Moves the servers that are asked.
    turn: usize,
}

impl Map {
    /// Asks the next few servers; those that own slots first.
    async fn read(
        &mut self,
        routes: &Routes,
    ) -> RedisResult<(Placement, Vec<(ServerAddress, Server)>)> {
        let now = routes.now();
        let mut owners: Vec<Server> = now.servers.values().map(|one| one.server.clone()).collect();
        let mut seeds = self.seeds.servers();
        self.turn = self.turn.wrapping_add(1);
        for servers in [&mut owners, &mut seeds] {
            let by = self.turn % servers.len().max(1);
            servers.rotate_left(by);
        }
        // One seed is always among them: all owners may be gone.
        owners.truncate(ASKED - 1);
        seeds.truncate(ASKED - owners.len());
        owners.append(&mut seeds);
        let mut answers: FuturesUnordered<_> =
            owners.iter().map(|server| ask(server, routes)).collect();
        let mut refusal = None;
        while let Some(answer) = answers.next().await {
            match answer {
                Ok(owners) => return Ok(self.placed(owners)),
                Err(error) => refusal = Some(error),
            }
        }
        let nobody = || (ErrorKind::Client, "no server was asked").into();
        Err(refusal.unwrap_or_else(nobody))
    }

    fn placed(&self, owners: SlotOwners) -> (Placement, Vec<(ServerAddress, Server)>) {
        let mut servers = HashMap::new();
        let mut ranges = Vec::new();
        for (slots, (host, port)) in owners {
            let server = self.seeds.server(&host, port);
            let address: ServerAddress = server.to_string().into();
            ranges.push((slots, Arc::clone(&address)));
            servers.insert(address, server);
        }
        let placement = Placement::cluster(&ranges);
        servers.retain(|address, _| placement.share(address).next().is_some());
        (placement, servers.into_iter().collect())
    }
}

async fn ask(server: &Server, routes: &Routes) -> RedisResult<SlotOwners> {
    let limits = &routes.limits;
    let nothing = |_| Ok::<(), ()>(());
    let RedisConnection { mut connection, .. } =
        server.connect(limits, limits.response_timeout, nothing).await?;
    let address = server.to_string();
    let host = address.rsplit_once(':').map_or(&*address, |(host, _)| host);
    slot_owners(&mut connection, host).await
}
