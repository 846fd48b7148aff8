//! Every pod: probes, time to stop, rights, memory, images, rollout, spread.

use super::{ALL, LOCAL, binary, text, yaml};
use deploy::{
    known::{self, root},
    kubernetes::{Container, Manifests, Workload, bytes, list, selects},
};
use gateway::config::Config;
use std::{collections::BTreeSet, fs, net::SocketAddr};

/// Those that a rollout must not be felt of; others may have a gap.
const SERVING: [&str; 3] = ["gateway", "api", "balancer"];

const KIB: u64 = 1024;
const MIB: u64 = 1 << 20;

fn each(mut look: impl FnMut(&Manifests, &Workload, &Container)) {
    for manifests in ALL.iter() {
        for workload in manifests.workloads() {
            for container in manifests.containers(&workload.pod).unwrap() {
                look(manifests, &workload, &container);
            }
        }
    }
}

/// Not the init container, and not what is there to try things out.
fn is_ours(workload: &Workload, container: &Container) -> bool {
    let stores = ["redis", "sentinel", "postgres"];
    container.name == workload.name && !stores.contains(&workload.name.as_str())
}

fn number(container: &Container, name: &str) -> u64 {
    container.plain(name).unwrap_or_else(|| panic!("no {name}")).parse().unwrap()
}

#[test]
fn probes_ask_the_admin_port_and_living_is_not_readiness() {
    each(|_, workload, container| {
        if !is_ours(workload, container) {
            return;
        }
        for (probe, path) in
            [("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")]
        {
            let asked = &container.spec[probe]["httpGet"];
            assert_eq!(
                (&asked["path"], &asked["port"]),
                (&path.into(), &"admin".into()),
                "{probe}"
            );
        }
        assert!(container.ports.contains_key("admin"), "{}", container.name);
        // A slow start, or a minute of silence, must not end a process that holds thousands of sockets.
        let patience = |probe: &str| {
            let of = |field: &str| container.spec[probe][field].as_u64().unwrap();
            of("periodSeconds") * of("failureThreshold")
        };
        assert!(patience("startupProbe") >= 30 && patience("livenessProbe") >= 60);
    });
}

#[test]
fn ports_are_those_that_the_code_and_the_files_listen_on() {
    let haproxy = fs::read_to_string(root().join("deploy/haproxy/haproxy.cfg")).unwrap();
    each(|_, workload, container| {
        let expected: BTreeSet<u64> = if let Some(binary) = binary(&container.name) {
            let command = known::command(binary).unwrap();
            let listens = known::settings(&command).into_iter().filter_map(|setting| {
                let name = setting.get_env()?.to_str()?;
                let address = setting.get_default_values().first()?.to_str()?;
                name.ends_with("LISTEN").then(|| address.parse::<SocketAddr>().unwrap())
            });
            listens.map(|address| address.port().into()).collect()
        } else if container.name == "balancer" {
            let binds = haproxy.lines().filter_map(|line| line.trim().strip_prefix("bind :"));
            binds.map(|bind| bind.split_whitespace().next().unwrap().parse().unwrap()).collect()
        } else {
            return;
        };
        let there: BTreeSet<u64> = container.ports.values().copied().collect();
        assert_eq!(there, expected, "{}", workload.name);
    });
}

#[test]
fn there_is_time_to_stop() {
    let file = fs::read_to_string(root().join("deploy/haproxy/haproxy.cfg")).unwrap();
    let hard_stop = file.lines().find_map(|line| line.trim().strip_prefix("hard-stop-after "));
    let minutes: u64 = hard_stop.unwrap().strip_suffix('m').unwrap().parse().unwrap();
    each(|_, workload, container| {
        if !is_ours(workload, container) {
            return;
        }
        let grace = workload.pod["terminationGracePeriodSeconds"].as_u64().unwrap();
        // What gateways and apis still get after their windows stands in their main.rs.
        let (needed, margin) = match container.name.as_str() {
            "gateway" => (number(container, "DRAIN_SECONDS") + 10, 5),
            "api" => (number(container, "DRAIN_SECONDS"), 5),
            "balancer" => {
                let sleep = &container.spec["lifecycle"]["preStop"]["sleep"]["seconds"];
                (sleep.as_u64().unwrap() + minutes * 60, 5)
            }
            _ => (10, 0),
        };
        // Endpoints and balancers notice within the delay: two questions of the readiness probe.
        let delay = match container.name.as_str() {
            "gateway" | "api" => number(container, "SHUTDOWN_DELAY_SECONDS"),
            _ => 0,
        };
        let probe = &container.spec["readinessProbe"];
        let noticed = probe["periodSeconds"].as_u64().unwrap() * 2;
        assert!(delay == 0 || delay > noticed, "{}", container.name);
        assert!(grace >= delay + needed + margin, "{}: {grace} s", container.name);
    });
    let api = api::config::Config::default();
    each(|_, _, container| {
        if container.name == "api" {
            assert!(number(container, "DRAIN_SECONDS") > api.request_timeout.as_secs());
        }
    });
}

#[test]
fn nobody_has_rights() {
    each(|_, workload, container| {
        let name = format!("{}/{}", workload.name, container.name);
        let pod = &workload.pod;
        assert_eq!(pod["automountServiceAccountToken"], false, "{name}");
        assert_eq!(pod["enableServiceLinks"], false, "{name}");
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{name}");
        assert!(pod["securityContext"]["runAsUser"].as_u64().unwrap() > 0, "{name}");
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault", "{name}");
        for shared in ["hostNetwork", "hostPID", "hostIPC"] {
            assert!(pod[shared].is_null(), "{name}");
        }
        let security = &container.spec["securityContext"];
        assert_eq!(security["allowPrivilegeEscalation"], false, "{name}");
        assert_eq!(security["readOnlyRootFilesystem"], true, "{name}");
        let dropped: Vec<_> = list(&security["capabilities"]["drop"]).collect();
        assert!(dropped.len() == 1 && *dropped[0] == "ALL", "{name}");
        assert!(security["capabilities"]["add"].is_null() && security["privileged"].is_null());
    });
}

#[test]
fn memory_is_reserved_and_cpu_is_not_withheld() {
    each(|_, _, container| {
        let resources = &container.spec["resources"];
        let of = |kind: &str, what: &str| resources[kind][what].clone();
        assert_eq!(of("requests", "memory"), of("limits", "memory"), "{}", container.name);
        assert!(of("requests", "cpu").is_string(), "{}", container.name);
        let memory = bytes(&text(&of("limits", "memory"))).unwrap();
        let cpu = of("limits", "cpu");
        if container.name != "api" {
            assert!(cpu.is_null(), "{}: a limit shows as late messages", container.name);
        }
        // The sums of the comments in the manifests, with the numbers of the code.
        let needed = match container.name.as_str() {
            "gateway" => {
                let config = Config::default();
                number(container, "MAX_CONNECTIONS") * (52 * KIB / 10 + 4 * KIB)
                    + 2_000 * config.feed.replay_bytes as u64
                    + 500 * config.max_outbox_bytes as u64
                    + 60 * MIB
            }
            "api" => {
                let config = api::config::Config::default();
                let cores: u64 = text(&cpu).parse().unwrap();
                (cores - 1) * 19 * MIB + 16 * config.internal_body_limit as u64 + 100 * MIB
            }
            "redis" => {
                let file = fs::read_to_string(root().join("deploy/redis/redis.conf")).unwrap();
                let most = file.lines().find_map(|line| line.strip_prefix("maxmemory "));
                let most: u64 = most.unwrap().strip_suffix("mb").unwrap().parse().unwrap();
                (most + 64) * MIB
            }
            _ => 0,
        };
        assert!(memory >= needed, "{}: {} MiB needed", container.name, needed / MIB);
    });
}

/// Ours are named as their binaries and the same everywhere; others' are those of compose.
#[test]
fn images_are_known_and_pinned() {
    let compose = yaml(&root().join("docker-compose.yml"));
    let services = compose["services"].as_mapping().unwrap();
    let theirs: BTreeSet<String> = services.values().map(|one| text(&one["image"])).collect();
    each(|manifests, workload, container| {
        let image = &container.image;
        let (path, tag) = image.rsplit_once(':').unwrap_or_else(|| panic!("{image} has no tag"));
        assert!(!tag.is_empty() && tag != "latest", "{image}");
        match binary(&workload.name) {
            Some(binary) => {
                assert!(path.ends_with(&format!("switchboard/{binary}")), "{image}");
                // What is built on the own machine is for trying out only.
                let own = LOCAL.contains(&manifests.overlay.as_str());
                assert_eq!(tag == "dev", own, "{image}");
            }
            None => assert!(theirs.contains(image), "{image} is not what compose runs"),
        }
    });
}

#[test]
fn rollouts_take_nobody_away_and_lost_machines_few() {
    for manifests in ALL.iter() {
        for workload in manifests.workloads() {
            if !SERVING.contains(&workload.name.as_str()) {
                continue;
            }
            let spec = &workload.object["spec"];
            assert_eq!(spec["strategy"]["rollingUpdate"]["maxUnavailable"], 0, "{}", workload.name);
            // Nodes are found by DNS, which remembers for up to 30 s; the balancer is not.
            let known_after = if workload.name == "balancer" { 10 } else { 30 };
            assert!(spec["minReadySeconds"].as_u64().unwrap() >= known_after, "{}", workload.name);
            let spreads: Vec<_> = list(&workload.pod["topologySpreadConstraints"]).collect();
            assert_eq!(spreads.len(), 2, "by zone and by host: {}", workload.name);
            for spread in spreads {
                assert_eq!(spread["whenUnsatisfiable"], "ScheduleAnyway");
                assert!(selects(&spread["labelSelector"], &workload.labels).unwrap());
            }
        }
    }
}
