//! Where the gateways are: the addresses of their names, looked up again and again, because gateways
//! come and go. It connects to none of them.

use crate::config::CanaryConfig;
use platform::settings::ServerUrl;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Duration,
};
use tokio::{net::lookup_host, sync::watch, time::timeout};

/// A resolver that does not answer for so long counts as failed.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(3);

/// Gateways by address, with the authority to ask each by.
pub type Gateways = BTreeMap<SocketAddr, String>;

/// Looks the names up now and once in each interval, for as long as somebody wants to know.
pub async fn run(config: CanaryConfig, found: watch::Sender<Gateways>) {
    let mut known = vec![BTreeSet::new(); config.gateways.len()];
    let mut every = tokio::time::interval(config.interval);
    let mut sampled = false;
    while !found.is_closed() {
        every.tick().await;
        for (target, known) in config.gateways.iter().zip(&mut known) {
            refresh(target, known).await;
        }
        let all = merged(&config.gateways, &known);
        if sampled != (all.len() > config.max_gateways) {
            sampled = !sampled;
            let (found, watched) = (all.len(), all.len().min(config.max_gateways));
            tracing::warn!(
                found,
                watched,
                "the number of gateways crossed the largest number that is watched"
            );
        }
        let chosen = choose(&found.borrow(), all, config.max_gateways);
        // Only a change wakes the watch.
        found.send_if_modified(|before| {
            let changed = *before != chosen;
            *before = chosen;
            changed
        });
    }
}

/// What was known stays when the resolver fails: that a name is not found says nothing of gateways
/// that work.
async fn refresh(target: &ServerUrl, known: &mut BTreeSet<SocketAddr>) {
    let (host, port) = (target.host(), target.port());
    let answer = timeout(LOOKUP_TIMEOUT, lookup_host((host, port))).await;
    let failed = match answer {
        Ok(Ok(addresses)) => match one_family(addresses) {
            found if !found.is_empty() => {
                *known = found;
                return;
            }
            _ => "it has no addresses".to_owned(),
        },
        Ok(Err(error)) => error.to_string(),
        Err(_) => "no answer".to_owned(),
    };
    tracing::debug!(host, failed, "cannot look up");
}

/// The addresses of one gateway each: a name's addresses of version 6 are left out where it has some
/// of version 4, because they lead to the same gateways.
fn one_family(addresses: impl Iterator<Item = SocketAddr>) -> BTreeSet<SocketAddr> {
    let all: BTreeSet<SocketAddr> = addresses.collect();
    let v4: BTreeSet<SocketAddr> = all.iter().filter(|one| one.is_ipv4()).copied().collect();
    if v4.is_empty() { all } else { v4 }
}

/// Each address once, with the first name that led to it.
fn merged(targets: &[ServerUrl], known: &[BTreeSet<SocketAddr>]) -> Gateways {
    let mut all = Gateways::new();
    for (target, addresses) in targets.iter().zip(known) {
        for address in addresses {
            all.entry(*address).or_insert_with(|| target.authority().to_owned());
        }
    }
    all
}

/// At most `max` of those found: those watched before stay, so that connections last, and chance
/// fills up.
fn choose(before: &Gateways, mut found: Gateways, max: usize) -> Gateways {
    while found.len() > max {
        let new: Vec<SocketAddr> =
            found.keys().filter(|address| !before.contains_key(address)).copied().collect();
        let among = if new.is_empty() { found.keys().copied().collect() } else { new };
        found.remove(&among[rand::random_range(0..among.len())]);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn numbered(range: std::ops::Range<u16>) -> Gateways {
        range.map(|port| (SocketAddr::from(([10, 0, 0, 1], port)), "g".to_owned())).collect()
    }

    fn target(host: &str, port: u16) -> ServerUrl {
        format!("http://{host}:{port}").parse().unwrap()
    }

    #[test]
    fn a_gateway_with_addresses_of_both_versions_is_one() {
        let both = ["[::1]:1", "127.0.0.1:1", "127.0.0.1:1", "10.0.0.7:1"].map(address);
        let v4 = BTreeSet::from(["10.0.0.7:1", "127.0.0.1:1"].map(address));
        assert_eq!(one_family(both.into_iter()), v4);
        let v6 = ["[::1]:1", "[::2]:1"].map(address);
        assert_eq!(one_family(v6.into_iter()), BTreeSet::from(v6));
    }

    #[test]
    fn an_address_that_two_names_have_is_one_gateway() {
        let targets = [target("a", 1), target("b", 1)];
        let known = [
            BTreeSet::from([address("10.0.0.1:1")]),
            BTreeSet::from([address("10.0.0.1:1"), address("10.0.0.2:1")]),
        ];
        let all = merged(&targets, &known);
        let expected = [("10.0.0.1:1", "a:1"), ("10.0.0.2:1", "b:1")];
        let expected = expected.map(|(at, name)| (address(at), name.to_owned()));
        assert_eq!(all, Gateways::from(expected));
    }

    #[test]
    fn of_too_many_the_watched_ones_stay() {
        assert_eq!(choose(&numbered(0..0), numbered(0..5), 5), numbered(0..5));
        let first = choose(&numbered(0..0), numbered(0..100), 50);
        assert_eq!(first.len(), 50);
        assert_eq!(choose(&first, numbered(0..100), 50), first);
        let fewer = choose(&first, numbered(0..100), 49);
        assert!(fewer.len() == 49 && fewer.keys().all(|one| first.contains_key(one)));
        let gone = choose(&numbered(0..2), numbered(1..4), 2);
        assert!(gone.len() == 2 && gone.contains_key(&address("10.0.0.1:1")));
    }

    #[tokio::test]
    async fn a_name_that_is_not_found_keeps_its_addresses() {
        let mut known = BTreeSet::new();
        refresh(&target("127.0.0.1", 81), &mut known).await;
        assert_eq!(known, BTreeSet::from([address("127.0.0.1:81")]));
        refresh(&target("localhost", 81), &mut known).await;
        assert_eq!(known, BTreeSet::from([address("127.0.0.1:81")]), "one of the two versions");
        refresh(&target("does-not-exist.invalid", 81), &mut known).await;
        assert_eq!(known, BTreeSet::from([address("127.0.0.1:81")]));
    }
}
