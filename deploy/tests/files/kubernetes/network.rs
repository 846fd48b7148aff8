//! Names lead somewhere, and nobody may connect but those who must. The policies are read as a network
//! plugin does: to connect, the one side's egress and the other's ingress must allow it.

use super::{ALL, LOCAL, load, text};
use deploy::kubernetes::{Manifests, Workload, list, map, selects};
use serde_yaml_ng::Value;
use std::collections::BTreeSet;

/// A port of a workload, by number.
fn ports(manifests: &Manifests, workload: &Workload) -> Vec<(String, u64)> {
    let containers = manifests.containers(&workload.pod).unwrap();
    containers.into_iter().flat_map(|container| container.ports).collect()
}

/// The number of a port that may be given by name.
fn resolve(manifests: &Manifests, workload: &Workload, port: &Value) -> Option<u64> {
    let known = ports(manifests, workload);
    known
        .iter()
        .find(|(name, number)| *port == **name || *port == *number)
        .map(|(_, number)| *number)
}

/// The port of the Service of this name and the workload behind it, or nothing.
fn service(manifests: &Manifests, name: &str, port: u64) -> Option<Workload> {
    let found = manifests.get("Service", name)?;
    list(&found["spec"]["ports"]).find(|one| one["port"] == port)?;
    let workloads = manifests.workloads();
    workloads.into_iter().find(|workload| {
        map(&found["spec"]["selector"])
            .iter()
            // Which one of a set, if that is said, is redis.rs's business.
            .filter(|(label, _)| *label != "statefulset.kubernetes.io/pod-name")
            .all(|(label, value)| workload.labels.get(label) == Some(value))
    })
}

#[test]
fn services_lead_to_one_workload_and_its_ports() {
    for manifests in ALL.iter() {
        for found in manifests.of("Service") {
            let name = text(&found["metadata"]["name"]);
            for port in list(&found["spec"]["ports"]) {
                let number = port["port"].as_u64().unwrap();
                let workload = service(manifests, &name, number);
                let workload = workload.unwrap_or_else(|| panic!("{name} selects nothing"));
                // The same number on both sides: nobody has to remember two.
                let target = resolve(manifests, &workload, &port["targetPort"]);
                assert_eq!(target, Some(number), "{name}");
            }
            let headless = found["spec"]["clusterIP"] == "None";
            assert_eq!(headless, name.ends_with("-nodes") || name == "postgres", "{name}");
        }
    }
}

/// The `host:port` of every address in a setting's value, URL or not.
fn addresses(value: &str) -> Vec<(String, u64)> {
    let (scheme, rest) = value.split_once("://").unwrap_or(("", value));
    let default = match scheme {
        "postgres" => 5432,
        "redis+sentinel" => 26379,
        "redis+cluster" => 6379,
        _ => 80,
    };
    let one = |host: &str| match host.split_once(':') {
        Some((host, port)) => (host.to_owned(), port.parse().unwrap()),
        None => (host.to_owned(), default),
    };
    let hosts = rest.split('/').next().unwrap().rsplit('@').next().unwrap();
    hosts.split(',').map(one).collect()
}

#[test]
fn addresses_in_settings_exist() {
    let mut seen = BTreeSet::new();
    for manifests in ALL.iter() {
        for workload in manifests.workloads() {
            for container in manifests.containers(&workload.pod).unwrap() {
                for name in
                    ["API_URL", "GATEWAY_URL", "REDIS_URL", "DATABASE_URL", "GATEWAYS", "APIS"]
                {
                    let Some(value) = container.plain(name) else { continue };
                    for (host, port) in addresses(value) {
                        if host.ends_with("example.com") {
                            continue;
                        }
                        // HAProxy's resolver has no search domains.
                        let short = host.strip_suffix(".switchboard.svc.cluster.local");
                        assert_eq!(short.is_some(), container.name == "balancer", "{name}: {host}");
                        let short = short.unwrap_or(&host);
                        // A pod's name before its Service's; see redis.rs.
                        let short = short.rsplit('.').next().unwrap();
                        let target = service(manifests, short, port);
                        let target = target.unwrap_or_else(|| panic!("{name}: no {host}:{port}"));
                        assert!(may(manifests, &workload, &target, port), "{name}: {host}:{port}");
                        seen.insert(name);
                    }
                }
            }
        }
    }
    assert_eq!(seen.len(), 6, "{seen:?}");
}

#[test]
fn ways_in_lead_to_services() {
    let mut seen = 0;
    for manifests in ALL.iter() {
        let rules =
            |kind: &'static str| manifests.of(kind).flat_map(|one| list(&one["spec"]["rules"]));
        for path in rules("Ingress").flat_map(|rule| list(&rule["http"]["paths"])) {
            let backend = &path["backend"]["service"];
            let found = manifests.get("Service", &text(&backend["name"])).unwrap();
            let mut ports = list(&found["spec"]["ports"]);
            assert!(ports.any(|port| port["name"] == backend["port"]["name"]), "{backend:?}");
            seen += 1;
        }
        for rule in rules("HTTPRoute") {
            // Upgrades to the gateways, the rest to the apis, and no balancer between.
            let upgrade = list(&rule["matches"])
                .flat_map(|one| list(&one["headers"]))
                .any(|header| header["name"] == "Upgrade" && header["value"] == "websocket");
            for backend in list(&rule["backendRefs"]) {
                let (name, port) = (text(&backend["name"]), backend["port"].as_u64().unwrap());
                let target = service(manifests, &name, port).unwrap();
                assert_eq!(target.name, if upgrade { "gateway" } else { "api" });
                assert_eq!(resolve(manifests, &target, &"public".into()), Some(port));
            }
            assert!(manifests.workload("balancer").is_none());
            seen += 1;
        }
    }
    assert_eq!(seen, 3, "an Ingress with one path, a route with two rules");
}

/// The longest silence that the way in allows is above twice the gateways' ping.
#[test]
fn an_idle_socket_outlives_the_way_in() {
    let heartbeat = gateway::config::Config::default().heartbeat.as_secs();
    let api = api::config::Config::default().request_timeout.as_secs();
    for manifests in ALL.iter() {
        for ingress in manifests.of("Ingress") {
            for direction in ["read", "send"] {
                let name = format!("nginx.ingress.kubernetes.io/proxy-{direction}-timeout");
                let seconds = text(&ingress["metadata"]["annotations"][name.as_str()]);
                assert!(seconds.parse::<u64>().unwrap() > (2 * heartbeat).max(api));
            }
        }
    }
}

fn policies<'a>(manifests: &'a Manifests, workload: &Workload, direction: &str) -> Vec<&'a Value> {
    let of = manifests.of("NetworkPolicy").map(|policy| &policy["spec"]);
    of.filter(|spec| {
        list(&spec["policyTypes"]).any(|one| *one == *direction)
            && selects(&spec["podSelector"], &workload.labels).unwrap()
    })
    .collect()
}

/// Whether one side's policies allow a connection. Peers outside of the cluster, and pods of other
/// namespaces, are none of the workloads here.
fn side(policies: &[&Value], rules: &str, peers: &str, other: &Workload, port: &[Value]) -> bool {
    if policies.is_empty() {
        return true;
    }
    policies.iter().flat_map(|spec| list(&spec[rules])).any(|rule| {
        let to = rule[peers].is_null()
            || list(&rule[peers]).any(|peer| {
                peer["namespaceSelector"].is_null()
                    && peer["podSelector"].is_mapping()
                    && selects(&peer["podSelector"], &other.labels).unwrap()
            });
        let by = rule["ports"].is_null()
            || list(&rule["ports"])
                .any(|one| one["protocol"] == "TCP" && port.contains(&one["port"]));
        to && by
    })
}

/// Whether pods of the one workload may connect to this port of the other's.
fn may(manifests: &Manifests, from: &Workload, to: &Workload, port: u64) -> bool {
    let name = ports(manifests, to).into_iter().find(|(_, number)| *number == port);
    let names = [Value::from(port), name.map_or(Value::Null, |(name, _)| name.into())];
    // Names on the way out are not known to every plugin, so they do not count here.
    side(&policies(manifests, from, "Egress"), "egress", "to", to, &names[..1])
        && side(&policies(manifests, to, "Ingress"), "ingress", "from", from, &names)
}

#[test]
fn nobody_may_connect_but_those_who_must() {
    for manifests in ALL.iter() {
        let mut allowed = BTreeSet::new();
        let workloads = manifests.workloads();
        for from in &workloads {
            for to in &workloads {
                for (name, port) in ports(manifests, to) {
                    if may(manifests, from, to, port) {
                        allowed.insert(format!("{} → {} {name}", from.name, to.name));
                    }
                }
            }
        }
        let mut expected = vec!["gateway → api internal"];
        for (part, connections) in [
            ("balancer", &["gateway public", "gateway admin", "api public", "api admin"][..]),
            ("canary", &["gateway public", "api public"]),
            ("loadtest", &["balancer public"]),
        ] {
            if manifests.workload(part).is_some() {
                let of_part = connections.iter().map(|to| format!("{part} → {to}").leak() as &str);
                expected.extend(of_part);
            }
        }
        if LOCAL.contains(&manifests.overlay.as_str()) {
            expected.extend([
                "gateway → redis redis",
                "api → redis redis",
                "api → postgres postgres",
            ]);
        }
        match manifests.overlay.as_str() {
            "cluster" => expected.extend(["redis → redis redis", "redis → redis gossip"]),
            "sentinel" => expected.extend([
                "gateway → sentinel sentinel",
                "api → sentinel sentinel",
                "sentinel → sentinel sentinel",
                "sentinel → redis redis",
                "redis → sentinel sentinel",
                "redis → redis redis",
            ]),
            _ => {}
        }
        let expected: BTreeSet<_> = expected.into_iter().map(str::to_owned).collect();
        assert_eq!(allowed, expected, "{}", manifests.overlay);
    }
}

/// Whether PostgreSQL is in the cluster or not.
#[test]
fn only_the_api_may_reach_postgres() {
    for manifests in ALL.iter() {
        for workload in manifests.workloads() {
            let policies = policies(manifests, &workload, "Egress");
            assert!(!policies.is_empty(), "{} may go anywhere", workload.name);
            let mut rules = policies.iter().flat_map(|spec| list(&spec["egress"]));
            let reaches = rules.any(|rule| {
                rule["ports"].is_null()
                    || list(&rule["ports"]).any(|one| {
                        one["port"].is_null() || one["port"] == 5432 || !one["endPort"].is_null()
                    })
            });
            assert_eq!(reaches, workload.name == "api", "{}", workload.name);
        }
    }
}

#[test]
fn every_selector_chooses_somebody() {
    for manifests in ALL.iter() {
        for policy in manifests.of("NetworkPolicy") {
            let name = text(&policy["metadata"]["name"]);
            let spec = &policy["spec"];
            let mut selectors = vec![&spec["podSelector"]];
            for (rules, peers) in [("ingress", "from"), ("egress", "to")] {
                for peer in list(&spec[rules]).flat_map(|rule| list(&rule[peers])) {
                    if peer["namespaceSelector"].is_null() && peer["podSelector"].is_mapping() {
                        selectors.push(&peer["podSelector"]);
                    }
                }
            }
            for selector in selectors {
                let chosen = manifests.selected(selector).unwrap();
                // Its pods are there while it runs only.
                let a_run = selects(selector, &load::run().labels).unwrap();
                let gone = manifests.workload("balancer").is_none()
                    && selector["matchLabels"]["app.kubernetes.io/name"] == "balancer";
                assert!(gone || a_run || !chosen.is_empty(), "{name}: {selector:?}");
            }
        }
    }
}
