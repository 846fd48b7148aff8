//! Several servers of Redis in the cluster: each pod is known by a name that it keeps, and everybody is told all of them.

use super::{ALL, text};
use deploy::{
    compose::Project,
    known::root,
    kubernetes::{Container, EnvValue, Manifests, Workload, list, map},
};
use platform::{
    redis::{RedisConfig, Topology},
    settings::Secret,
};

/// The overlays, and the names of the overlays of compose that have the same.
const SEVERAL: [&str; 2] = ["cluster", "sentinel"];

fn overlay(name: &str) -> &'static Manifests {
    ALL.iter().find(|manifests| manifests.overlay == name).unwrap()
}

/// The sets of servers, with their only container.
fn sets(manifests: &Manifests) -> Vec<(Workload, Container)> {
    let sets = ["redis", "sentinel"].into_iter().filter_map(|name| manifests.workload(name));
    sets.map(|set| {
        let container = manifests.containers(&set.pod).unwrap().pop().unwrap();
        (set, container)
    })
    .collect()
}

/// The pods of a set.
fn pods(set: &Workload) -> Vec<String> {
    let replicas = set.object["spec"]["replicas"].as_u64().unwrap();
    (0..replicas).map(|number| format!("{}-{number}", set.name)).collect()
}

/// What they are called by others: in a cluster by the set's Service, with sentinels each by one of its own.
fn names(overlay: &str, set: &Workload) -> Vec<String> {
    let service = text(&set.object["spec"]["serviceName"]);
    let behind = if overlay == "cluster" { format!(".{service}") } else { String::new() };
    pods(set).into_iter().map(|pod| pod + &behind).collect()
}

#[test]
fn gateways_and_apis_look_for_the_pods_that_there_are() {
    for name in SEVERAL {
        let manifests = overlay(name);
        let gateway = manifests.workload("gateway").unwrap();
        let container = manifests.containers(&gateway.pod).unwrap().pop().unwrap();
        let url = container.plain("REDIS_URL").unwrap();
        let asked = match RedisConfig::new(&Secret::new(url)).unwrap().topology {
            Topology::Cluster(_) => "redis",
            _ => "sentinel",
        };
        let hosts = url.split_once("://").unwrap().1.split('/').next().unwrap();
        assert!(hosts.split(',').eq(names(name, &manifests.workload(asked).unwrap())), "{url}");
    }
}

#[test]
fn each_server_knows_its_own_name_and_those_of_all() {
    for name in SEVERAL {
        let manifests = overlay(name);
        for (set, container) in sets(manifests) {
            let pod = EnvValue::Pod("metadata.name".to_owned());
            if name == "cluster" {
                let service = text(&set.object["spec"]["serviceName"]);
                assert_eq!(container.env["POD"], pod);
                assert_eq!(container.plain("NAME"), Some(&*format!("$(POD).{service}")));
                // Only what comes before can be referred to.
                let order: Vec<String> =
                    list(&container.spec["env"]).map(|one| text(&one["name"])).collect();
                assert_eq!(order[..2], ["POD", "NAME"]);
            } else {
                assert_eq!(container.env["NAME"], pod);
            }
            for (variable, of) in [("SERVERS", "redis"), ("SENTINELS", "sentinel")] {
                let Some(of) = manifests.workload(of) else { continue };
                let told = container.plain(variable).unwrap().split_whitespace();
                assert!(told.eq(names(name, &of)), "{name}: {} {variable}", set.name);
            }
            // They must find each other to become ready, and so before and all at once.
            assert_eq!(set.object["spec"]["podManagementPolicy"], "Parallel");
        }
    }
    let cluster = overlay("cluster").workload("redis").unwrap();
    let env = overlay("cluster").containers(&cluster.pod).unwrap().pop().unwrap().env;
    assert_eq!(env["ADDRESS"], EnvValue::Pod("status.podIP".to_owned()));
}

/// They look each other up before they are ready; sentinels also those that are away, whose names must stand for something.
#[test]
fn names_lead_to_the_pods_that_have_them() {
    for name in SEVERAL {
        let manifests = overlay(name);
        for (set, _) in sets(manifests) {
            for (pod, called) in pods(&set).iter().zip(names(name, &set)) {
                let service = called.rsplit('.').next().unwrap();
                let found = &manifests.get("Service", service).unwrap()["spec"];
                assert_eq!(found["publishNotReadyAddresses"], true, "{service}");
                let selector = map(&found["selector"]);
                assert!(set.labels.iter().all(|(label, value)| selector[label] == *value));
                let one = selector.get("statefulset.kubernetes.io/pod-name");
                if name == "cluster" {
                    assert_eq!((&found["clusterIP"], one), (&"None".into(), None), "{service}");
                } else {
                    assert!(found["clusterIP"].is_null(), "{service} would lose its address");
                    assert_eq!(one, Some(pod), "{service}");
                }
            }
        }
    }
}

/// The same commands, asked for in the same way, with the time that it takes to hand over.
#[test]
fn servers_run_and_are_watched_as_in_compose() {
    for name in SEVERAL {
        let file = root().join("deploy/compose").join(name).with_extension("yml");
        let compose = Project::read_file(&file).unwrap();
        for (set, container) in sets(overlay(name)) {
            let like = if set.name == "redis" { "redis" } else { "sentinel-1" };
            let like = &compose.services[like];
            let words = |value| list(value).map(text).collect::<Vec<String>>();
            assert_eq!(words(&container.spec["command"]), like.list(&["command"]));
            let asked = words(&container.spec["readinessProbe"]["exec"]["command"]);
            let health = like.list(&["healthcheck", "test"]);
            assert_eq!(asked.last(), health.last(), "{name}: {}", set.name);
            let grace = set.pod["terminationGracePeriodSeconds"].as_u64().unwrap();
            assert!(set.name == "sentinel" || grace > 11, "3 s, and up to 8 more");
        }
    }
}

/// A server of a cluster that forgets who it is can only come back as another one.
#[test]
fn servers_of_a_cluster_keep_their_folder() {
    let set = overlay("cluster").workload("redis").unwrap();
    let [claim] = &list(&set.object["spec"]["volumeClaimTemplates"]).collect::<Vec<_>>()[..] else {
        panic!("one volume")
    };
    let container = overlay("cluster").containers(&set.pod).unwrap().pop().unwrap();
    let mut mounts = list(&container.spec["volumeMounts"]);
    let mount = mounts.find(|mount| mount["name"] == claim["metadata"]["name"]).unwrap();
    assert_eq!(mount["mountPath"], "/data");
    assert_eq!(set.pod["securityContext"]["fsGroup"], 65532, "or it could not write there");
}
