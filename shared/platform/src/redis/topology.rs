//! The forms of `REDIS_URL`. It connects to nothing. A URL may carry a password, so no error repeats any of it.

use super::{
    access::{self, RedisAccess},
    guides::{GuideQuestion, Guides},
    server::Server,
    tls::RedisTls,
};
use crate::settings::Secret;
use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _};
use std::{borrow::Cow, fmt};

/// What stands behind a `REDIS_URL`.
#[derive(Clone, Debug)]
pub enum Topology {
    /// One server, or the primary that sentinels name.
    One(Server),
    /// Several servers, each for its share, in the order of the URL; at least two.
    Several(Vec<Server>),
    /// A cluster.
    Cluster(Seeds),
}

/// A cluster: servers that can be asked for all of it.
#[derive(Clone)]
pub struct Seeds {
    access: RedisAccess,
    nodes: Vec<(String, u16)>,
}

/// The text is no Redis URL of the form that it begins as, or the certificates cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidRedisUrl {
    /// Of one server, or none that is known.
    #[error("not a Redis URL; write it as redis://[[user]:password@]host[:port][/database]")]
    One,
    /// Of several servers.
    #[error(
        "not several Redis URLs; write them as redis://[[user]:password@]host[:port],redis://…, each whole"
    )]
    Several,
    /// Of sentinels.
    #[error(
        "not a URL of Redis sentinels; write it as \
         redis+sentinel://[[user]:password@]host[:port],host[:port]/name[?db=0], \
         where sentinels with a password of their own get &sentinel_user=…&sentinel_password=…"
    )]
    Sentinel,
    /// Of a cluster.
    #[error(
        "not a URL of a Redis cluster; write it as redis+cluster://[[user]:password@]host[:port],host[:port]"
    )]
    Cluster,
    /// `#insecure`.
    #[error("#insecure is not supported; give the authority's certificate in REDIS_CA")]
    Insecure,
    /// Certificates; the text names the setting.
    #[error("{0}")]
    Certificates(String),
}

/// One server each; they are separated by commas.
const ONE: [&str; 4] = ["redis://", "rediss://", "valkey://", "valkeys://"];
const SENTINEL: [&str; 2] = ["redis+sentinel", "rediss+sentinel"];
const CLUSTER: [&str; 2] = ["redis+cluster", "rediss+cluster"];

const SENTINEL_PORT: u16 = 26379;
const PORT: u16 = 6379;

impl Topology {
    /// Reads a URL of any form.
    pub fn new(url: &Secret, tls: &RedisTls) -> Result<Self, InvalidRedisUrl> {
        let by_tls = tls.address().map_err(InvalidRedisUrl::Certificates)?;
        let url = url.reveal().trim();
        let (scheme, rest) = url.split_once("://").ok_or(InvalidRedisUrl::One)?;
        let plain = ConnectionAddr::Tcp(String::new(), 0);
        let like = if scheme.starts_with("rediss") { &by_tls } else { &plain };
        if SENTINEL.contains(&scheme) {
            return sentinels(rest, like).ok_or(InvalidRedisUrl::Sentinel).map(Self::One);
        }
        if CLUSTER.contains(&scheme) {
            return Seeds::read(rest, like).ok_or(InvalidRedisUrl::Cluster).map(Self::Cluster);
        }
        let mut servers = Vec::new();
        let urls = each_url(url);
        for url in &urls {
            let server = match one(url, &by_tls) {
                Err(InvalidRedisUrl::One) if urls.len() > 1 => Err(InvalidRedisUrl::Several),
                server => server,
            };
            servers.push(server?);
        }
        match <[Server; 1]>::try_from(servers) {
            Ok([server]) => Ok(Self::One(server)),
            Err(servers) => Ok(Self::Several(servers)),
        }
    }
}

/// Separates them at commas before a scheme. Other commas belong to what is before them: a password may have some.
fn each_url(text: &str) -> Vec<String> {
    let mut urls: Vec<String> = Vec::new();
    for part in text.split(',') {
        match urls.last_mut() {
            Some(last) if !ONE.iter().any(|scheme| part.trim_start().starts_with(scheme)) => {
                last.push(',');
                last.push_str(part);
            }
            _ => urls.push(part.trim().to_owned()),
        }
    }
    urls
}

fn one(url: &str, by_tls: &ConnectionAddr) -> Result<Server, InvalidRedisUrl> {
    let info = url.into_connection_info().map_err(|_| InvalidRedisUrl::One)?;
    let address = match info.addr() {
        ConnectionAddr::Tcp(host, _) | ConnectionAddr::TcpTls { host, .. }
            if host.contains(',') =>
        {
            return Err(InvalidRedisUrl::Several);
        }
        ConnectionAddr::TcpTls { insecure: true, .. } => return Err(InvalidRedisUrl::Insecure),
        ConnectionAddr::TcpTls { host, port, .. } => access::at(by_tls, host, *port),
        address => address.clone(),
    };
    Ok(Server::fixed(RedisAccess::new(info.set_addr(address)).there()))
}

fn sentinels(rest: &str, like: &ConnectionAddr) -> Option<Server> {
    let UrlParts { userinfo, hosts, path, query } = UrlParts::of(rest)?;
    let name = path.filter(|name| is_name(name))?.to_owned();
    let (mut database, mut user, mut password) = (String::from("0"), None, None);
    // A plus is a plus here: passwords have some.
    let query = query.replace('+', "%2B");
    for (key, value) in url::form_urlencoded::parse(query.as_bytes()) {
        match &*key {
            "db" => database = value.into_owned(),
            "sentinel_user" => user = Some(value),
            "sentinel_password" => password = Some(value),
            _ => return None,
        }
    }
    if user.is_some() && password.is_none() {
        return None;
    }
    let access = RedisAccess::new(login(userinfo, database.parse().ok()?)?.set_addr(like.clone()));
    let at_sentinels = entered_as(login("", 0)?.set_addr(like.clone()), user, password);
    let at_sentinels = RedisAccess::new(at_sentinels);
    let sentinels = each_host(hosts, SENTINEL_PORT)?;
    let sentinels = sentinels.iter().map(|(host, port)| at_sentinels.at(host, *port)).collect();
    Some(Server::named(Guides::new(access, GuideQuestion::Primary(name), sentinels)))
}

fn entered_as(
    server: ConnectionInfo,
    user: Option<Cow<'_, str>>,
    password: Option<Cow<'_, str>>,
) -> ConnectionInfo {
    let mut login = server.redis_settings().clone();
    if let Some(user) = user {
        login = login.set_username(user);
    }
    if let Some(password) = password {
        login = login.set_password(password);
    }
    server.set_redis_settings(login)
}

impl Seeds {
    fn read(rest: &str, like: &ConnectionAddr) -> Option<Self> {
        let UrlParts { userinfo, hosts, path, query } = UrlParts::of(rest)?;
        // A cluster has one database.
        if !matches!(path, None | Some("" | "0")) || !query.is_empty() {
            return None;
        }
        let access = RedisAccess::new(login(userinfo, 0)?.set_addr(like.clone()));
        Some(Self { access, nodes: each_host(hosts, PORT)? })
    }

    /// The servers that the URL names: any of them knows all others.
    pub fn servers(&self) -> Vec<Server> {
        self.nodes.iter().map(|(host, port)| self.server(host, *port)).collect()
    }

    /// The server that owns a slot, whichever that is at the time.
    pub(super) fn owner(&self, slot: u16) -> Server {
        let seeds = self.nodes.iter().map(|(host, port)| self.access.at(host, *port));
        Server::named(Guides::new(self.access.clone(), GuideQuestion::Owner(slot), seeds.collect()))
    }

    /// The server at an address that the cluster named, entered like the seeds.
    pub fn server(&self, host: &str, port: u16) -> Server {
        Server::fixed(self.access.at(host, port))
    }
}

impl fmt::Debug for Seeds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.servers()).finish()
    }
}

/// The parts of a URL with several hosts, behind its scheme.
struct UrlParts<'a> {
    userinfo: &'a str,
    hosts: &'a str,
    path: Option<&'a str>,
    query: &'a str,
}

impl<'a> UrlParts<'a> {
    fn of(rest: &'a str) -> Option<Self> {
        if rest.contains('#') {
            return None;
        }
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (rest, path) = rest.split_once('/').map_or((rest, None), |(a, b)| (a, Some(b)));
        let (userinfo, hosts) = rest.rsplit_once('@').unwrap_or(("", rest));
        Some(Self { userinfo, hosts, path, query })
    }
}

/// The user, password and database of a URL without its hosts.
fn login(userinfo: &str, database: u32) -> Option<ConnectionInfo> {
    let at = if userinfo.is_empty() { "" } else { "@" };
    format!("redis://{userinfo}{at}host/{database}").into_connection_info().ok()
}

fn each_host(hosts: &str, port: u16) -> Option<Vec<(String, u16)>> {
    let host = |host: &str| {
        let host = host.trim();
        let with_port = host.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'));
        let url =
            if with_port { format!("redis://{host}") } else { format!("redis://{host}:{port}") };
        let info = url.into_connection_info().ok()?;
        match info.addr() {
            ConnectionAddr::Tcp(host, port) => Some((host.clone(), *port)),
            _ => None,
        }
    };
    hosts.split(',').map(host).collect()
}

/// What a sentinel takes for the name of a primary.
fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    !name.is_empty() && name.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Result<String, InvalidRedisUrl> {
        let topology = Topology::new(&Secret::new(url), &RedisTls::default())?;
        let printed = format!("{topology:?}");
        assert!(!printed.contains("geheim") && printed.contains("****"), "{printed}");
        Ok(printed)
    }

    #[test]
    fn every_form_is_read_and_prints_no_password() {
        for (url, expected) in [
            ("redis://:geheim@one:1/2", "One(****@one:1)"),
            ("redis://:geh,eim@one", "One(****@one:6379)"),
            ("rediss://user:geheim@[::1]:2", "One(****@::1:2)"),
            ("redis+unix:///run/redis.sock?pass=geheim", "One(****@/run/redis.sock)"),
            (
                "redis://:geheim@a,rediss://b:2, redis://:geh,eim@c",
                "Several([****@a:6379, ****@b:2, ****@c:6379])",
            ),
            (
                "redis+sentinel://u:geheim@a,b:2,[::1]/main?db=3&sentinel_password=geheim+",
                "One(****@main of a:26379,b:2,::1:26379)",
            ),
            ("rediss+sentinel://a/main.1", "One(****@main.1 of a:26379)"),
            ("redis+cluster://u:geheim@a,b:2", "Cluster([****@a:6379, ****@b:2])"),
            ("rediss+cluster://[::1]:7/0", "Cluster([****@::1:7])"),
        ] {
            assert_eq!(read(url).as_deref(), Ok(expected), "{url}");
        }
    }

    #[test]
    fn each_wrong_form_is_told_how_it_is_written() {
        use InvalidRedisUrl as Not;
        for (url, expected) in [
            ("", Not::One),
            ("localhost", Not::One),
            ("http://localhost", Not::One),
            ("redis://host:port", Not::One),
            ("rediss://", Not::One),
            ("redis://a,b", Not::Several),
            ("redis://a,redis://b:port", Not::Several),
            ("rediss://host#insecure", Not::Insecure),
            ("redis+sentinel://a,b", Not::Sentinel),
            ("redis+sentinel://a/", Not::Sentinel),
            ("redis+sentinel://a/main/0", Not::Sentinel),
            ("redis+sentinel://a,,b/main", Not::Sentinel),
            ("redis+sentinel://a/main?db=x", Not::Sentinel),
            ("redis+sentinel://a/main?sentinel_user=x", Not::Sentinel),
            ("redis+sentinel://a/main?else=x", Not::Sentinel),
            ("redis+cluster://a:port", Not::Cluster),
            ("redis+cluster://a/1", Not::Cluster),
            ("redis+cluster://a#insecure", Not::Cluster),
        ] {
            assert_eq!(read(url), Err(expected), "{url}");
        }
    }
}
