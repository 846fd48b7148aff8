//! Asks sentinels which server is the primary: all of them at once, because any of them may be away, frozen, or behind.
//! What they name is for the caller to verify.

use super::{
    RedisLimits,
    access::Access,
    server::{Address, in_time},
};
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use parking_lot::Mutex;
use redis::{AsyncConnectionConfig, Client, ConnectionInfo, ErrorKind, RedisResult};
use std::{collections::HashMap, fmt, time::Duration};
use tokio::time::Instant;

/// How often the sentinels are asked whether they still name the server of a connection. It finds what nothing else
/// does: a primary that was cut off together with this process, and was replaced.
const ASK_AGAIN: Duration = Duration::from_secs(10);

/// The sentinels of one primary.
pub(super) struct Sentinels {
    /// How the server that they name is entered.
    pub(super) access: Access,
    name: String,
    sentinels: Vec<ConnectionInfo>,
    last: Mutex<Option<(Instant, Named)>>,
}

/// What most sentinels agree on, or the newest of what they say.
#[derive(Clone)]
pub(super) struct Named {
    pub(super) address: Address,
    /// More than half of the sentinels have been heard.
    by_most: bool,
}

impl Sentinels {
    pub(super) fn new(access: Access, name: String, sentinels: Vec<ConnectionInfo>) -> Self {
        Self { access, name, sentinels, last: Mutex::new(None) }
    }

    /// Asks all of them. The answer of the latest failover counts, as soon as more than half have answered; of fewer,
    /// once the others had their time.
    pub(super) async fn ask(&self, limits: &RedisLimits) -> RedisResult<Named> {
        let asked = self.sentinels.iter().map(|one| self.ask_one(one, limits.connect_timeout));
        let mut answers: FuturesUnordered<_> = asked.collect();
        // With the number of the failover that made it the primary.
        let (mut heard, mut newest, mut refusal) = (0, None::<(u64, Address)>, None);
        while 2 * heard <= self.sentinels.len()
            && let Some(answer) = answers.next().await
        {
            match answer {
                Ok((epoch, address)) => {
                    heard += 1;
                    if newest.as_ref().is_none_or(|(known, _)| *known < epoch) {
                        newest = Some((epoch, address));
                    }
                }
                Err(error) => refusal = Some(error),
            }
        }
        let Some((_, address)) = newest else {
            let nobody = || (ErrorKind::EmptySentinelList, "there is no sentinel").into();
            return Err(refusal.unwrap_or_else(nobody));
        };
        let named = Named { address, by_most: 2 * heard > self.sentinels.len() };
        *self.last.lock() = Some((Instant::now(), named.clone()));
        Ok(named)
    }

    /// Whether more than half of the sentinels have been heard lately, and name another server.
    pub(super) async fn name_another(&self, address: &Address, limits: &RedisLimits) -> bool {
        let last = self.last.lock().clone();
        let named = match last {
            Some((at, named)) if at.elapsed() < ASK_AGAIN => named,
            _ => match self.ask(limits).await {
                Ok(named) => named,
                Err(_) => return false,
            },
        };
        named.by_most && named.address != *address
    }

    async fn ask_one(&self, at: &ConnectionInfo, bound: Duration) -> RedisResult<(u64, Address)> {
        in_time(bound, async {
            let client = Client::open(at.clone())?;
            let config = AsyncConnectionConfig::new()
                .set_connection_timeout(Some(bound))
                .set_response_timeout(Some(bound));
            let mut sentinel = client.get_multiplexed_async_connection_with_config(&config).await?;
            let mut question = redis::pipe();
            question.cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(&self.name);
            question.cmd("SENTINEL").arg("MASTER").arg(&self.name);
            // The first is where to go, even while a failover ends; the second tells how new that is.
            let (address, facts): (Option<Address>, HashMap<String, String>) =
                question.query_async(&mut sentinel).await?;
            let unknown =
                || (ErrorKind::MasterNameNotFoundBySentinel, "a sentinel knows no such name");
            let epoch = facts.get("config-epoch").and_then(|epoch| epoch.parse().ok());
            Ok((epoch.unwrap_or(0), address.ok_or_else(unknown)?))
        })
        .await
    }
}

impl fmt::Display for Sentinels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name)?;
        for (number, sentinel) in self.sentinels.iter().enumerate() {
            write!(f, "{}{}", if number == 0 { " of " } else { "," }, sentinel.addr())?;
        }
        Ok(())
    }
}
