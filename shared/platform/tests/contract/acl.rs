//! The user of `deploy/redis/users.acl`: it may do all that Switchboard does, and nothing else.

use crate::{listener::Listener, soon, state::used};
use bytes::Bytes;
use cluster::Redis;
use platform::{
    bus::Bus,
    lifecycle::Lifecycle,
    limit::{Limiter, LimiterConfig, Rate},
    presence::{Here, NodeKind, NodeReport, Presence, PresenceConfig},
    redis::{RedisConfig, State},
    settings::Secret,
};
use protocol::{
    id::{ChatId, NodeId, UserId},
    relay::Channel,
    time::Timestamp,
};
use std::{collections::BTreeSet, time::Duration};
use uuid::Uuid;

const PASSWORD: &str = "geheim";

fn shipped_file() -> &'static str {
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/redis/users.acl")
}

/// As the shipped user.
fn config_of(server: &Redis) -> RedisConfig {
    let url = format!("redis://switchboard:{PASSWORD}@127.0.0.1:{}/1", server.port());
    let mut config = RedisConfig::new(&Secret::new(url)).unwrap();
    config.limits.probe_every = Duration::from_millis(50);
    config
}

/// The rules of the shipped user.
fn shipped() -> Vec<String> {
    let text = std::fs::read_to_string(shipped_file()).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("user switchboard ")).unwrap();
    line.split(' ').map(|rule| rule.replace("CHANGE-THIS-PASSWORD", PASSWORD)).collect()
}

/// A server, and its administrator's connection.
struct Guarded {
    server: Redis,
    administrator: redis::aio::MultiplexedConnection,
}

impl Guarded {
    async fn start() -> Self {
        let server = Redis::start().await.unwrap();
        let client = redis::Client::open(server.url()).unwrap();
        let administrator = client.get_multiplexed_async_connection().await.unwrap();
        Self { server, administrator }
    }

    async fn allow(&mut self, rules: &[String]) {
        let mut set = redis::cmd("ACL");
        set.arg("SETUSER").arg("switchboard").arg("reset").arg(rules);
        set.exec_async(&mut self.administrator).await.unwrap();
        let mut reset = redis::cmd("ACL");
        reset.arg("LOG").arg("RESET").exec_async(&mut self.administrator).await.unwrap();
    }

    async fn refusals(&mut self) -> String {
        let mut log = redis::cmd("ACL");
        let log: Vec<redis::Value> =
            log.arg("LOG").query_async(&mut self.administrator).await.unwrap();
        if log.is_empty() { String::new() } else { format!("{log:?}") }
    }
}

fn here(user: i64) -> Here {
    Here { user: UserId(user), sockets: 1, chats: vec![ChatId(1)] }
}

/// Everything that Switchboard asks of a server for presence and limits. Errors are found in the server's log.
async fn use_state(config: &RedisConfig) {
    let state = State::new(config).unwrap();
    let presence = |lease| {
        let config = PresenceConfig { lease, ..Default::default() };
        Presence::redis(state.clone(), config)
    };
    let (long, short) = (presence(Duration::from_secs(30)), presence(Duration::from_millis(1)));
    let (one, two) = (NodeId::random(), NodeId::random());
    let _ = long.renew(one, 1).await;
    let _ = long.enter(one, &[here(1), here(2)]).await;
    let _ = long.enter(two, &[here(2)]).await;
    let _ = long.online(&[UserId(1)]).await;
    let _ = long.online_page(UserId(0), 10).await;
    let _ = long.connections().await;
    let _ = long.leave(one, &[UserId(2)]).await;
    let _ = long.retire(two).await;
    let _ = long.dead().await;
    while let Ok(Some(_)) = long.sweep(two).await {}
    let report = NodeReport {
        node: one,
        kind: NodeKind::Api,
        version: String::new(),
        started_at: Timestamp::now(),
        reported_at: Timestamp::now(),
        draining: false,
        cores: None,
        memory_bytes: None,
        gateway: None,
    };
    let _ = short.report(&report).await;
    let _ = soon("the report ends", async {
        while !long.nodes().await.unwrap_or_default().is_empty() {}
    })
    .await;
    let question = Uuid::new_v4();
    let _ = long.answer(question, Bytes::from_static(b"answer")).await;
    let _ = long.answers(question).await;
    let limiter = Limiter::redis(state, LimiterConfig::default());
    let rate = Rate { per: Duration::from_secs(60), burst: 9 };
    let _ = limiter.try_take("key", &rate).await;
    let _ = limiter.try_take("key", &rate).await;
}

async fn use_bus(config: &RedisConfig) {
    let bus = Bus::redis(config.clone(), NodeId::random(), &Lifecycle::new());
    let mut listener = Listener::start(&bus).await;
    let chat = Channel::Chat(ChatId(1));
    for channel in [chat, Channel::User(UserId(1)), Channel::Control, Channel::Orders] {
        listener.add(&[channel]).await;
        listener.expect_delivery(&bus, channel).await;
    }
    listener.subscriber.remove(&[chat]);
    listener.add(&[Channel::Control]).await;
}

/// What a bus over a cluster says.
async fn use_shards(config: &RedisConfig) {
    let mut connection = State::new(config).unwrap().connection().await.unwrap();
    for channel in ["{tag}chat:1", "{tag}user:1", "{tag}control", "{tag}orders", "{tag}probe:1"] {
        let said = redis::cmd("SPUBLISH").arg(channel).arg("").exec_async(&mut connection).await;
        assert_eq!(said.err().map(|error| error.to_string()), None, "{channel}");
        for command in ["SSUBSCRIBE", "SUNSUBSCRIBE"] {
            let told = redis::cmd(command).arg(channel).exec_async(&mut connection).await;
            assert!(told.is_ok(), "{command} {channel}: {told:?}");
        }
    }
    let slots = redis::cmd("CLUSTER").arg("SLOTS").exec_async(&mut connection).await;
    assert!(slots.unwrap_err().to_string().contains("cluster support disabled"));
    // The key of a cluster's state.
    let get = redis::cmd("GET").arg("{state}limit:key").exec_async(&mut connection).await;
    assert!(get.is_ok(), "{get:?}");
}

#[tokio::test]
async fn the_shipped_user_may_do_all_that_is_done_and_no_more() {
    let mut guarded = Guarded::start().await;
    guarded.allow(&shipped()).await;
    let config = config_of(&guarded.server);
    redis::cmd("CONFIG").arg("RESETSTAT").exec_async(&mut guarded.administrator).await.unwrap();
    use_state(&config).await;
    use_bus(&config).await;
    use_shards(&config).await;
    assert_eq!(guarded.refusals().await, "");

    // No rule is there for nothing.
    let stats: String = redis::cmd("INFO")
        .arg("commandstats")
        .query_async(&mut guarded.administrator)
        .await
        .unwrap();
    let used: BTreeSet<&str> = stats
        .lines()
        .filter_map(|line| line.strip_prefix("cmdstat_")?.split_once(':').map(|(name, _)| name))
        .collect();
    for rule in shipped() {
        if let Some(command) = rule.strip_prefix('+') {
            assert!(used.contains(command), "nothing uses {command}: {used:?}");
        }
    }

    let mut connection = State::new(&config).unwrap().connection().await.unwrap();
    for command in [
        "GET elsewhere",
        "SET presence 1",
        "PUBLISH elsewhere x",
        "SUBSCRIBE chat",
        "SPUBLISH chat x",
        "KEYS *",
        "FLUSHALL",
        "CONFIG GET maxmemory",
        "ACL WHOAMI",
        "CLUSTER NODES",
        "CLIENT LIST",
        "PSUBSCRIBE *",
    ] {
        let words: Vec<&str> = command.split(' ').collect();
        let told = redis::cmd(words[0]).arg(&words[1..]).exec_async(&mut connection).await;
        assert_eq!(told.unwrap_err().code(), Some("NOPERM"), "{command}");
    }
}

#[tokio::test]
async fn the_shipped_file_is_one_that_a_server_takes() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("users.acl");
    let text = std::fs::read_to_string(shipped_file()).unwrap();
    std::fs::write(&file, text.replace("CHANGE-THIS-PASSWORD", PASSWORD)).unwrap();
    let server = Redis::start_with(&["--aclfile", &file.to_string_lossy()]).await.unwrap();
    let config = config_of(&server);
    used(&State::new(&config).unwrap(), 1).await.unwrap();
    // Nobody else comes in.
    let open = RedisConfig::new(&Secret::new(server.url())).unwrap();
    assert!(used(&State::new(&open).unwrap(), 1).await.is_err());
}

#[tokio::test]
async fn each_key_and_channel_of_the_shipped_user_is_missed() {
    let mut guarded = Guarded::start().await;
    let config = config_of(&guarded.server);
    for missing in shipped().iter().filter(|rule| rule.starts_with('~') && !rule.contains('{')) {
        let rules: Vec<String> = shipped().into_iter().filter(|rule| rule != missing).collect();
        guarded.allow(&rules).await;
        let _ = tokio::time::timeout(Duration::from_secs(2), use_state(&config)).await;
        assert_ne!(guarded.refusals().await, "", "without {missing}");
    }
    for missing in shipped().iter().filter(|rule| rule.starts_with('&')) {
        let rules: Vec<String> = shipped().into_iter().filter(|rule| rule != missing).collect();
        guarded.allow(&rules).await;
        let channel = missing[1..].replace("{*}", "{tag}").replace('*', "1");
        let command = if channel.contains('{') { "SSUBSCRIBE" } else { "SUBSCRIBE" };
        let mut connection = State::new(&config).unwrap().connection().await.unwrap();
        let told = redis::cmd(command).arg(&channel).exec_async(&mut connection).await;
        assert_eq!(told.unwrap_err().code(), Some("NOPERM"), "without {missing}");
    }
}

/// What Redis gives to a user unless it is told otherwise.
#[tokio::test]
async fn a_user_without_channels_hears_nothing_until_it_may() {
    let mut guarded = Guarded::start().await;
    let rules: Vec<String> = shipped().into_iter().filter(|rule| !rule.starts_with('&')).collect();
    guarded.allow(&rules).await;
    let mut config = config_of(&guarded.server);
    config.limits.backoff_longest = Duration::from_millis(200);
    let bus = Bus::redis(config, NodeId::random(), &Lifecycle::new());
    let mut listener = Listener::connecting(&bus);
    let chat = Channel::Chat(ChatId(1));
    listener.add(&[chat]).await;
    soon("the server refuses", async {
        while !guarded.refusals().await.contains("probe:") {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(!listener.subscriber.hears(chat));
    guarded.allow(&shipped()).await;
    listener.expect_up().await;
    listener.expect_delivery(&bus, chat).await;
}
