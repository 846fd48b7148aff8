//! The overlays of compose with several servers for Redis: what gateways and apis are told to look for is there, and each
//! server is confined, watched, and told the names of the others. That they start, and what happens when one dies, is the
//! business of scripts/check-containers.

use deploy::{
    compose::{Project, Service},
    known::root,
};
use platform::{
    redis::{RedisConfig, Topology},
    settings::Secret,
};
use std::{collections::BTreeSet, fs};

/// The names of the overlays.
const OVERLAYS: [&str; 2] = ["cluster", "sentinel"];

fn overlay(name: &str) -> Project {
    Project::read_file(&root().join("deploy/compose").join(name).with_extension("yml")).unwrap()
}

/// The services of the overlay that are servers of Redis.
fn servers(overlay: &Project) -> impl Iterator<Item = (&str, &Service)> {
    let all = overlay.services.iter().map(|(name, service)| (name.as_str(), service));
    all.filter(|(name, _)| !["gateway", "api"].contains(name))
}

/// A variable of a service, as words.
fn words(service: &Service, name: &str) -> Vec<String> {
    let value = service.environment().remove(name).flatten().unwrap_or_default();
    value.split_whitespace().map(str::to_owned).collect()
}

fn conf(name: &str) -> String {
    fs::read_to_string(root().join("deploy/redis").join(name)).unwrap()
}

#[test]
fn gateways_and_apis_look_for_the_servers_that_there_are() {
    for name in OVERLAYS {
        let overlay = overlay(name);
        let urls = ["gateway", "api"]
            .map(|ours| overlay.services[ours].environment()["REDIS_URL"].clone().unwrap());
        assert_eq!(urls[0], urls[1], "{name}");
        let config = RedisConfig::new(&Secret::new(&urls[0])).unwrap();
        let hosts = urls[0].split_once("://").unwrap().1.split('/').next().unwrap();
        let hosts: BTreeSet<&str> = hosts.split(',').collect();
        let all: BTreeSet<&str> = servers(&overlay).map(|(name, _)| name).collect();
        let expected = match config.topology {
            Topology::Cluster(_) => all,
            _ => all.into_iter().filter(|one| one.starts_with("sentinel-")).collect(),
        };
        assert_eq!(hosts, expected, "{name}");
    }
}

#[test]
fn a_majority_is_left_when_one_is_lost() {
    let (cluster, sentinel) = (overlay("cluster"), overlay("sentinel"));
    let count = |overlay: &Project, prefix: &str| {
        servers(overlay).filter(|(name, _)| name.starts_with(prefix)).count()
    };
    assert_eq!(count(&cluster, "redis"), 6, "three masters decide, each with a replica");
    assert_eq!((count(&sentinel, "redis"), count(&sentinel, "sentinel-")), (2, 3));
    assert!(conf("sentinel.conf").contains("\nsentinel monitor main redis 6379 2\n"));
}

#[test]
fn each_server_knows_its_own_name_and_those_of_all() {
    for name in OVERLAYS {
        let overlay = overlay(name);
        let all: BTreeSet<String> = servers(&overlay).map(|(name, _)| name.to_owned()).collect();
        for (server, service) in servers(&overlay) {
            assert_eq!(words(service, "NAME"), [server]);
            let told = [words(service, "SERVERS"), words(service, "SENTINELS")].concat();
            assert_eq!(BTreeSet::from_iter(told), all, "{name}: {server}");
            assert_eq!(words(service, "SERVERS")[0], "redis", "the first one begins");
        }
    }
}

/// What the folder of the work has may be lost with sentinels, and not in a cluster. A place to write it is needed, because
/// the rest is read-only.
#[test]
fn each_server_has_its_files_and_a_volume_of_its_own() {
    let project = Project::read(&root()).unwrap();
    for name in OVERLAYS {
        let overlay = overlay(name);
        let mut volumes = BTreeSet::new();
        for (server, service) in servers(&overlay) {
            let mut mounts = service.mounts();
            // The base has some for its own.
            if let Some(base) = project.services.get(server) {
                mounts.extend(base.mounts());
                // As `!reset` says, or there would be two things at one place.
                assert!(!base.list(&["tmpfs"]).is_empty() && service.list(&["tmpfs"]).is_empty());
                assert!(service.is_reset("tmpfs"), "{name}: {server}");
            }
            let data: Vec<_> = mounts.iter().filter(|mount| mount.target == "/data").collect();
            assert!(data.len() == 1 && !data[0].read_only, "{name}: {server}");
            assert!(volumes.insert(data[0].source.clone()), "{name}: {server} shares its volume");
            let script = &service.list(&["command"])[1];
            for mount in mounts.iter().filter(|mount| mount.target != "/data") {
                assert!(mount.read_only, "{server} could change {}", mount.source);
                assert!(root().join(&mount.source).is_file(), "{}", mount.source);
            }
            let there = |file: &str| mounts.iter().any(|mount| mount.target == file);
            assert!(there(script), "{server}: {script}");
            // What the script reads beside itself.
            let text = fs::read_to_string(root().join(script.replace("/etc", "deploy"))).unwrap();
            let wanted = match service.list(&["command"])[2].as_str() {
                "sentinel" => vec!["sentinel.conf"],
                "server" => vec!["redis.conf"],
                _ => vec!["redis.conf", "cluster.conf"],
            };
            for file in wanted {
                assert!(text.contains(&format!("\"$here/{file}\"")), "{script}: {file}");
                assert!(there(&format!("/etc/redis/{file}")), "{server}: {file}");
            }
        }
        assert_eq!(volumes, overlay.declared("volumes"), "{name}");
    }
}

#[test]
fn each_server_is_confined_watched_and_given_time() {
    let project = Project::read(&root()).unwrap();
    let redis = &project.services["redis"];
    for name in OVERLAYS {
        let overlay = overlay(name);
        for (server, service) in servers(&overlay) {
            assert!(!service.list(&["healthcheck", "test"]).is_empty(), "{name}: {server}");
            // What hands over takes 3 s and up to 8 more.
            let hands_over = server.starts_with("redis");
            let grace = service.seconds(&["stop_grace_period"]).unwrap();
            assert!(!hands_over || grace > 11, "{name}: {server}");
            if project.services.contains_key(server) {
                continue;
            }
            for same in ["image", "user", "read_only", "restart"] {
                assert_eq!(service.text(&[same]), redis.text(&[same]), "{name}: {server} {same}");
            }
            for same in ["cap_drop", "security_opt"] {
                assert_eq!(service.list(&[same]), redis.list(&[same]), "{name}: {server} {same}");
            }
            assert!(service.text(&["logging", "options", "max-size"]).is_some(), "{server}");
            let memory = ["deploy", "resources", "limits", "memory"];
            if server.starts_with("redis") {
                assert_eq!(service.text(&memory), redis.text(&memory), "{name}: {server}");
            }
            assert!(service.text(&memory).is_some(), "{name}: {server}");
            assert!(service.list(&["ports"]).is_empty(), "{name}: {server} is open to others");
        }
    }
}

/// Sentinels do not agree on a server whose name stands for nothing while it is away.
#[test]
fn names_stand_for_addresses_while_a_server_is_away() {
    let overlay = overlay("sentinel");
    let all: BTreeSet<String> = servers(&overlay)
        .map(|(name, service)| {
            let address = service.text(&["networks", "redis", "ipv4_address"]).unwrap();
            format!("{name}:{address}")
        })
        .collect();
    for (name, service) in servers(&overlay) {
        assert_eq!(BTreeSet::from_iter(service.list(&["extra_hosts"])), all, "{name}");
    }
    for ours in ["gateway", "api"] {
        assert_eq!(overlay.services[ours].networks(), ["redis"], "{ours}");
    }
}

/// Whoever waits for `redis`, as docker-compose.yml says, waits for all that it takes.
#[test]
fn nobody_starts_before_redis_is_whole() {
    let cluster = overlay("cluster");
    let others: BTreeSet<&str> =
        servers(&cluster).map(|(name, _)| name).filter(|name| *name != "redis").collect();
    let waits = cluster.services["redis"].waits_for();
    assert_eq!(waits.keys().map(String::as_str).collect::<BTreeSet<_>>(), others);
    let sentinel = overlay("sentinel");
    for ours in ["gateway", "api"] {
        let waits = sentinel.services[ours].waits_for();
        let sentinels = servers(&sentinel).map(|(name, _)| name);
        for name in sentinels.filter(|name| name.starts_with("sentinel-")) {
            assert_eq!(waits[name], "service_healthy", "{ours}");
        }
    }
}

/// The times that docs/operations.md promises.
#[test]
fn a_lost_primary_is_noticed_within_seconds() {
    assert!(conf("sentinel.conf").contains("\nsentinel down-after-milliseconds main 5000\n"));
    for line in ["cluster-node-timeout 5000", "cluster-require-full-coverage no"] {
        assert!(conf("cluster.conf").lines().any(|one| one == line), "{line}");
    }
}
