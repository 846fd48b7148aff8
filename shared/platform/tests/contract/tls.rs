//! TLS to Redis: whom it trusts, what it shows, and how it says what is wrong.

use crate::{listener::Listener, state::used};
use cluster::{Redis, RedisCluster, RedisSentinels, RedisTlsFiles, free_port};
use platform::{
    bus::Bus,
    lifecycle::Lifecycle,
    redis::{RedisArgs, RedisConfig, RedisTls, Server, State, Topology},
    settings::Secret,
};
use protocol::{
    id::{ChatId, NodeId},
    relay::Channel,
};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use std::{
    fs,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::net::TcpListener;

/// An authority, and what it signed for the server and for a client.
struct Papers {
    folder: TempDir,
    authority: String,
    client: (String, String),
}

impl Papers {
    fn for_host(host: &str) -> Self {
        Self::make(host, (2020, 2090))
    }

    fn make(host: &str, (from, until): (i32, i32)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        let sign = |name: &str| {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::new([name.to_owned()]).unwrap();
            params.not_before = date_time_ymd(from, 1, 1);
            params.not_after = date_time_ymd(until, 1, 1);
            (params.signed_by(&key, &issuer).unwrap().pem(), key.serialize_pem())
        };
        let (certificate, key) = sign(host);
        for (name, text) in [("ca", &authority), ("certificate", &certificate), ("key", &key)] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        Self { folder, authority, client: sign("client") }
    }

    /// What servers need.
    fn files(&self) -> RedisTlsFiles {
        let path = |name| self.folder.path().join(name);
        RedisTlsFiles { certificate: path("certificate"), key: path("key"), authority: path("ca") }
    }

    /// A server with these papers; `yes` or `no`: whether it wants to see some of its clients.
    async fn server(&self, wants_client: &str) -> (Redis, String) {
        let port = free_port().to_string();
        let path = |name| self.folder.path().join(name).display().to_string();
        let server = Redis::start_with(&[
            "--tls-port",
            &port,
            "--tls-cert-file",
            &path("certificate"),
            "--tls-key-file",
            &path("key"),
            "--tls-ca-cert-file",
            &path("ca"),
            "--tls-auth-clients",
            wants_client,
        ])
        .await;
        (server.unwrap(), format!("rediss://127.0.0.1:{port}"))
    }

    fn trusted(&self) -> RedisTls {
        RedisTls { authorities: Some(Secret::new(&*self.authority)), ..RedisTls::default() }
    }

    fn shown(&self) -> RedisTls {
        let (certificate, key) = &self.client;
        RedisTls {
            certificate: Some(Secret::new(&**certificate)),
            key: Some(Secret::new(&**key)),
            ..self.trusted()
        }
    }
}

fn config(url: &str, tls: &RedisTls) -> RedisConfig {
    RedisConfig::with_tls(&Secret::new(url), tls).unwrap()
}

/// What goes wrong with a connection, which must not take longer than connecting may.
async fn refusal(config: &RedisConfig) -> String {
    let Topology::One(server) = &config.topology else { panic!("one server") };
    refusal_of(server, config).await
}

async fn refusal_of(server: &Server, config: &RedisConfig) -> String {
    let begun = Instant::now();
    let on_push = |_: redis::PushInfo| Ok::<(), ()>(());
    let connected = server.connect(&config.limits, Duration::from_secs(1), on_push).await;
    let took = begun.elapsed();
    assert!(took < config.limits.connect_timeout + Duration::from_secs(1), "{took:?}");
    connected.err().map_or_else(String::new, |error| error.to_string())
}

#[tokio::test]
async fn a_certificate_must_be_the_servers_own_valid_and_of_the_authority() {
    let papers = Papers::for_host("127.0.0.1");
    let (_server, url) = papers.server("no").await;
    assert_eq!(refusal(&config(&url, &papers.trusted())).await, "");
    for (tls, words) in [
        (RedisTls::default(), "in REDIS_CA"),
        (Papers::for_host("127.0.0.1").trusted(), "certificate"),
    ] {
        let why = refusal(&config(&url, &tls)).await;
        assert!(why.contains(words), "{why}");
    }
    let renamed = url.replace("127.0.0.1", "localhost");
    let why = refusal(&config(&renamed, &papers.trusted())).await;
    assert!(why.contains("not valid for name"), "{why}");
    let old = Papers::make("127.0.0.1", (2020, 2021));
    let (_server, url) = old.server("no").await;
    let why = refusal(&config(&url, &old.trusted())).await;
    assert!(why.contains("expired"), "{why}");
}

#[tokio::test]
async fn a_server_that_wants_a_certificate_is_shown_one() {
    let papers = Papers::for_host("127.0.0.1");
    let (_server, url) = papers.server("yes").await;
    let why = refusal(&config(&url, &papers.trusted())).await;
    assert!(why.contains("REDIS_CERTIFICATE and REDIS_KEY"), "{why}");
    let strangers =
        RedisTls { authorities: papers.trusted().authorities, ..Papers::for_host("x").shown() };
    let why = refusal(&config(&url, &strangers)).await;
    assert!(why.contains("does not take REDIS_CERTIFICATE"), "{why}");
    serves(&config(&url, &papers.shown())).await;
}

/// Relays, and keeps state.
async fn serves(config: &RedisConfig) {
    let bus = Bus::redis(config.clone(), NodeId::random(), &Lifecycle::new());
    let mut listener = Listener::start(&bus).await;
    let chat = Channel::Chat(ChatId(1));
    listener.add(&[chat]).await;
    listener.expect_delivery(&bus, chat).await;
    let state = State::new(config).unwrap();
    used(&state, 2).await.unwrap();
}

/// Whoever names the servers, and the servers that are named, are asked with the same papers.
#[tokio::test]
async fn sentinels_and_what_they_name_are_asked_by_tls() {
    let papers = Papers::for_host("127.0.0.1");
    let servers = RedisSentinels::start_by_tls(Some(&papers.files())).await.unwrap();
    let url = servers.url();
    assert!(url.starts_with("rediss+sentinel://"), "{url}");
    for (tls, words) in [
        (RedisTls::default(), "in REDIS_CA"),
        (papers.trusted(), "REDIS_CERTIFICATE and REDIS_KEY"),
    ] {
        let why = refusal(&config(&url, &tls)).await;
        assert!(why.contains(words), "{why}");
    }
    let config = config(&url, &papers.shown());
    serves(&config).await;
    servers.servers()[0].kill().await.unwrap();
    servers.named(1).await.unwrap();
    serves(&config).await;
}

#[tokio::test]
async fn a_clusters_servers_are_asked_by_tls() {
    let papers = Papers::for_host("127.0.0.1");
    let servers = RedisCluster::start_by_tls(2, 0, Some(&papers.files())).await.unwrap();
    let url = servers.url();
    assert!(url.starts_with("rediss+cluster://"), "{url}");
    for (tls, words) in [
        (RedisTls::default(), "in REDIS_CA"),
        (papers.trusted(), "REDIS_CERTIFICATE and REDIS_KEY"),
    ] {
        let config = config(&url, &tls);
        let Topology::Cluster(seeds) = &config.topology else { panic!("a cluster") };
        for server in seeds.servers() {
            let why = refusal_of(&server, &config).await;
            assert!(why.contains(words), "{why}");
        }
    }
    serves(&config(&url, &papers.shown())).await;
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up() {
    let silent = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("rediss://{}", silent.local_addr().unwrap());
    let mut config = config(&url, &RedisTls::default());
    config.limits.connect_timeout = Duration::from_millis(300);
    assert!(refusal(&config).await.contains("timed out"));
}

#[test]
fn wrong_papers_are_told_before_anything_connects() {
    let papers = Papers::for_host("localhost");
    let other = Papers::for_host("localhost");
    let secret = |text: &str| Some(Secret::new(text));
    let (certificate, key) = (secret(&papers.client.0), secret(&papers.client.1));
    let good = RedisArgs { redis_url: secret("rediss://localhost"), ..RedisArgs::default() };
    let with = |change: &dyn Fn(&mut RedisArgs)| {
        let mut args = good.clone();
        change(&mut args);
        args.check().err().unwrap_or_default()
    };
    assert_eq!(with(&|_| {}), "");
    assert_eq!(
        with(&|args| {
            args.redis_certificate = certificate.clone();
            args.redis_key = key.clone();
            args.redis_ca = secret(&papers.authority);
        }),
        ""
    );
    for (words, change) in [
        (
            "REDIS_URL is missing",
            &(|args: &mut RedisArgs| args.redis_url = None) as &dyn Fn(&mut RedisArgs),
        ),
        ("REDIS_STATE_URL: not", &|args| args.redis_state_url = secret("localhost")),
        ("REDIS_CA_FILE", &|args| args.redis_ca = secret("/etc/ca.pem")),
        ("REDIS_KEY is missing", &|args| args.redis_certificate = certificate.clone()),
        ("REDIS_CERTIFICATE is missing", &|args| args.redis_key = key.clone()),
        ("REDIS_KEY_FILE", &|args| {
            args.redis_certificate = certificate.clone();
            args.redis_key = secret("geheim");
        }),
        ("REDIS_CERTIFICATE and REDIS_KEY:", &|args| {
            args.redis_certificate = certificate.clone();
            args.redis_key = secret(&other.client.1);
        }),
    ] {
        let why = with(change);
        assert!(why.contains(words) && !why.contains("geheim"), "{words}: {why}");
    }
}
