//! The links between a cluster's nodes and what they need, each to be broken by itself.

use crate::{LinkState, Node, Postgres, Redis, TestLink};
use anyhow::Result;
use std::net::SocketAddr;

/// What a link leads from and to. Nodes have the numbers of their order, from 0 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    /// From a gateway to an api's internal listener.
    GatewayApi(usize, usize),
    /// From a gateway to Redis.
    GatewayRedis(usize),
    /// From an api to Redis.
    ApiRedis(usize),
    /// From an api to PostgreSQL.
    ApiPostgres(usize),
}

/// All links of a cluster. Where there is none, a node goes straight to the server.
#[derive(Default)]
pub struct TestLinks(Vec<LinkBetween>);

struct LinkBetween {
    ends: Ends,
    server: SocketAddr,
    link: TestLink,
}

impl TestLinks {
    /// From now on these links are so.
    pub fn set(&self, which: impl Fn(Ends) -> bool, state: LinkState) {
        self.0.iter().filter(|one| which(one.ends)).for_each(|one| one.link.set(state));
    }

    /// From now on all are open.
    pub fn heal(&self) {
        self.set(|_| true, LinkState::Open);
    }

    pub(crate) async fn to_stores(
        gateways: usize,
        apis: usize,
        redis: &Redis,
        postgres: &Postgres,
    ) -> Result<Self> {
        let mut links = Self::default();
        for gateway in 0..gateways {
            links.add(Ends::GatewayRedis(gateway), local(redis.port())).await?;
        }
        for api in 0..apis {
            links.add(Ends::ApiRedis(api), local(redis.port())).await?;
            links.add(Ends::ApiPostgres(api), local(postgres.port())).await?;
        }
        Ok(links)
    }

    pub(crate) async fn add_to_apis(&mut self, gateways: usize, apis: &[Node]) -> Result<()> {
        for gateway in 0..gateways {
            for (api, node) in apis.iter().enumerate() {
                self.add(Ends::GatewayApi(gateway, api), node.internal()).await?;
            }
        }
        Ok(())
    }

    async fn add(&mut self, ends: Ends, server: SocketAddr) -> Result<()> {
        self.0.push(LinkBetween { ends, server, link: TestLink::to(server).await? });
        Ok(())
    }

    fn between(&self, ends: Ends) -> Option<&LinkBetween> {
        self.0.iter().find(|one| one.ends == ends)
    }

    /// Where the link is entered, if there is one.
    pub(crate) fn address(&self, ends: Ends) -> Option<SocketAddr> {
        self.between(ends).map(|one| one.link.address())
    }

    /// The setting that leads a node over its link, if there is one.
    pub(crate) fn redis_url(&self, ends: Ends) -> Option<(&'static str, String)> {
        self.address(ends).map(|address| ("REDIS_URL", format!("redis://{address}")))
    }

    /// The database by the link of this api, or as it is.
    pub(crate) fn database_url(&self, api: usize, url: &str) -> String {
        match self.between(Ends::ApiPostgres(api)) {
            Some(one) => url.replace(&one.server.to_string(), &one.link.address().to_string()),
            None => url.to_owned(),
        }
    }
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}
