//! Asks those who know which server it is: sentinels for a primary, a cluster's servers for the owner of a slot. All of
//! them are asked at once, because any may be away, frozen, or behind. What they name is for the caller to verify.

use super::{access::RedisAccess, limits::RedisLimits, slots::slot_owners, tls};
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use parking_lot::Mutex;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, ErrorKind, RedisError,
    RedisResult, aio::MultiplexedConnection,
};
use std::{collections::HashMap, fmt, time::Duration};
use tokio::time::{self, Instant};

/// How often sentinels are asked whether they still name the server of a connection. A primary that they replace while it
/// runs remains one for eight seconds more. Processes must not leave it seconds apart, because those that have left
/// hear nothing of those that have not. A thousand processes ask each sentinel a thousand times a second.
const ASK_SENTINELS: Duration = Duration::from_secs(1);

/// The same for the servers of a cluster, which refuse what they do not have. It finds what nothing else does: an owner
/// that was cut off together with this process, and was replaced.
const ASK_CLUSTER: Duration = Duration::from_secs(10);

/// How often, while the server does not answer: a quarter of the time in which a client should be live again.
const ASK_SOON: Duration = Duration::from_millis(500);

/// Who knows where a server is.
pub(super) struct Guides {
    /// How the server that they name is entered.
    pub(super) access: RedisAccess,
    question: GuideQuestion,
    guides: Vec<ConnectionInfo>,
    /// With its time, unless it is doubted.
    last: Mutex<Option<(Option<Instant>, NamedServer)>>,
}

/// What they are asked for.
pub(super) enum GuideQuestion {
    /// Sentinels: the primary of this name.
    Primary(String),
    /// Servers of a cluster: the owner of this slot.
    Owner(u16),
}

/// What most of them agree on, or the newest of what they say.
#[derive(Clone)]
pub(super) struct NamedServer {
    pub(super) address: Address,
    /// More than half of them have been heard.
    by_most: bool,
}

/// A host and a port.
pub(super) type Address = (String, u16);

/// The answer of one, with a number that grows with each failover.
type GuideAnswer = (u64, Address);

impl Guides {
    pub(super) fn new(
        access: RedisAccess,
        question: GuideQuestion,
        guides: Vec<ConnectionInfo>,
    ) -> Self {
        Self { access, question, guides, last: Mutex::new(None) }
    }

    /// Asks all of them. The newest answer counts, and of equally new ones the most frequent, as soon as more than half
    /// have answered; of fewer, once the others had their time.
    pub(super) async fn ask(&self, limits: &RedisLimits) -> RedisResult<NamedServer> {
        let asked = self.guides.iter().map(|one| self.ask_one(one, limits.connect_timeout));
        let mut answers: FuturesUnordered<_> = asked.collect();
        let (mut heard, mut refusal) = (Vec::<GuideAnswer>::new(), None);
        while 2 * heard.len() <= self.guides.len()
            && let Some(answer) = answers.next().await
        {
            match answer {
                Ok(answer) => heard.push(answer),
                Err(error) => refusal = Some(tls::advised(error)),
            }
        }
        let Some(address) = best(&heard) else {
            let nobody = || (ErrorKind::Client, "nobody named the server").into();
            return Err(refusal.unwrap_or_else(nobody));
        };
        let named = NamedServer { address, by_most: 2 * heard.len() > self.guides.len() };
        *self.last.lock() = Some((Some(Instant::now()), named.clone()));
        Ok(named)
    }

    /// How often they are to be asked while nothing is wrong.
    pub(super) fn ask_every(&self) -> Duration {
        match self.question {
            GuideQuestion::Primary(_) => ASK_SENTINELS,
            GuideQuestion::Owner(_) => ASK_CLUSTER,
        }
    }

    /// Whether more than half of them name another server, as they have been heard within `age` or are heard now.
    pub(super) async fn name_another(
        &self,
        address: &Address,
        age: Duration,
        limits: &RedisLimits,
    ) -> bool {
        let last = self.last.lock().clone();
        let named = match last {
            Some((Some(at), named)) if at.elapsed() < age => named,
            _ => match self.ask(limits).await {
                Ok(named) => named,
                Err(_) => return false,
            },
        };
        named.by_most && named.address != *address
    }

    /// Asks until another server is named. To be run beside what the server should answer soon.
    pub(super) async fn until_replaced(&self, address: &Address, limits: &RedisLimits) {
        loop {
            time::sleep(ASK_SOON).await;
            if self.name_another(address, ASK_SOON, limits).await {
                return;
            }
        }
    }

    /// The address that was named last.
    pub(super) fn last(&self) -> Option<Address> {
        self.last.lock().as_ref().map(|(_, named)| named.address.clone())
    }

    /// Whoever wants to know next asks.
    pub(super) fn doubt(&self) {
        if let Some((at, _)) = &mut *self.last.lock() {
            *at = None;
        }
    }

    async fn ask_one(&self, at: &ConnectionInfo, bound: Duration) -> RedisResult<GuideAnswer> {
        in_time(bound, async {
            let config = AsyncConnectionConfig::new()
                .set_connection_timeout(Some(bound))
                .set_response_timeout(Some(bound));
            let client = Client::open(at.clone())?;
            let mut guide = client.get_multiplexed_async_connection_with_config(&config).await?;
            match &self.question {
                GuideQuestion::Primary(name) => primary(&mut guide, name).await,
                GuideQuestion::Owner(slot) => owner(&mut guide, at, *slot).await,
            }
        })
        .await
    }
}

fn best(heard: &[GuideAnswer]) -> Option<Address> {
    let votes = |address: &Address| heard.iter().filter(|(_, other)| other == address).count();
    let best = heard.iter().max_by_key(|(epoch, address)| (*epoch, votes(address)));
    best.map(|(_, address)| address.clone())
}

async fn primary(sentinel: &mut MultiplexedConnection, name: &str) -> RedisResult<GuideAnswer> {
    let mut question = redis::pipe();
    question.cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(name);
    question.cmd("SENTINEL").arg("MASTER").arg(name);
    // The first is where to go, even while a failover ends; the second tells how new that is.
    let (address, facts): (Option<Address>, HashMap<String, String>) =
        question.query_async(sentinel).await?;
    let unknown = || (ErrorKind::MasterNameNotFoundBySentinel, "a sentinel knows no such name");
    let epoch = facts.get("config-epoch").and_then(|epoch| epoch.parse().ok());
    Ok((epoch.unwrap_or(0), address.ok_or_else(unknown)?))
}

async fn owner(
    server: &mut MultiplexedConnection,
    at: &ConnectionInfo,
    slot: u16,
) -> RedisResult<GuideAnswer> {
    let asked = match at.addr() {
        ConnectionAddr::Tcp(host, _) | ConnectionAddr::TcpTls { host, .. } => host,
        _ => "",
    };
    let mut owners = slot_owners(server, asked).await?.into_iter();
    let nobody = || (ErrorKind::Client, "the cluster has no owner of a slot");
    let (_, owner) = owners.find(|(slots, _)| slots.contains(&slot)).ok_or_else(nobody)?;
    Ok((0, owner))
}

impl fmt::Display for Guides {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.question {
            GuideQuestion::Primary(name) => write!(f, "{name} of ")?,
            GuideQuestion::Owner(slot) => write!(f, "the owner of slot {slot} of ")?,
        }
        for (number, guide) in self.guides.iter().enumerate() {
            write!(f, "{}{}", if number == 0 { "" } else { "," }, guide.addr())?;
        }
        Ok(())
    }
}

/// Bounds the whole of what may have several steps.
pub(super) async fn in_time<T>(
    bound: Duration,
    work: impl Future<Output = RedisResult<T>>,
) -> RedisResult<T> {
    let late = |_| Err(RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut)));
    time::timeout(bound, work).await.unwrap_or_else(late)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_failover_counts_and_then_the_most_votes() {
        let named = |heard: &[(u64, &str)]| {
            let heard: Vec<GuideAnswer> =
                heard.iter().map(|(epoch, host)| (*epoch, ((*host).to_owned(), 1))).collect();
            best(&heard).map(|(host, _)| host)
        };
        assert_eq!(named(&[]), None);
        assert_eq!(named(&[(1, "old"), (2, "new"), (1, "old")]), Some("new".to_owned()));
        assert_eq!(named(&[(0, "most"), (0, "one"), (0, "most")]), Some("most".to_owned()));
    }
}
