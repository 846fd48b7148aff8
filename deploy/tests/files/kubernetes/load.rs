//! A run of the load tester, which nobody renders: `kubectl create -f` makes it beside the agents of the
//! overlay `load`, and it must fit them.

use super::{ALL, settings::command_line, text, yaml};
use clap::Parser as _;
use deploy::{
    known::root,
    kubernetes::{Manifests, Workload, list, selects},
};
use std::collections::BTreeSet;

/// The coordinator's Job.
pub(super) fn run() -> Workload {
    Workload::of(&yaml(&root().join("k8s/components/loadtest/run.yaml")))
}

fn overlay() -> &'static Manifests {
    ALL.iter().find(|manifests| manifests.overlay == "load").unwrap()
}

#[test]
fn a_run_is_made_of_what_the_agents_are_made_of() {
    let (run, manifests) = (run(), overlay());
    let agents = manifests.workload("loadtest").unwrap();
    assert_eq!(run.object["metadata"]["namespace"], agents.object["metadata"]["namespace"]);
    assert!(run.object["metadata"]["name"].is_null(), "each time another one");
    for same in ["securityContext", "serviceAccountName", "automountServiceAccountToken"] {
        assert_eq!(run.pod[same], agents.pod[same], "{same}");
    }
    let [ours] = &manifests.containers(&run.pod).unwrap()[..] else { panic!("one container") };
    let [theirs] = &manifests.containers(&agents.pod).unwrap()[..] else { panic!("one container") };
    assert_eq!(ours.image, theirs.image, "agents refuse a coordinator of another version");
    assert_eq!(ours.spec["securityContext"], theirs.spec["securityContext"]);
    assert_eq!(ours.env["AGENT_SECRET"], theirs.env["AGENT_SECRET"]);
    assert_eq!(run.object["spec"]["backoffLimit"], 0, "a failure is a result");
}

#[test]
fn a_run_would_start_and_knows_every_agent() {
    let (run, manifests) = (run(), overlay());
    let container = manifests.containers(&run.pod).unwrap().pop().unwrap();
    let line = command_line("loadtest", &container);
    loadtest::cli::Cli::try_parse_from(&line).unwrap_or_else(|error| panic!("{error}"));
    let agents = manifests.workload("loadtest").unwrap();
    let service = text(&agents.object["spec"]["serviceName"]);
    let port = &manifests.get("Service", &service).unwrap()["spec"]["ports"][0]["port"];
    let replicas = agents.object["spec"]["replicas"].as_u64().unwrap();
    let expected: BTreeSet<String> = (0..replicas)
        .map(|n| format!("http://loadtest-{n}.{service}:{}", port.as_u64().unwrap()))
        .collect();
    let named = list(&container.spec["args"]).map(text).find_map(|argument| {
        let agents = argument.strip_prefix("--agents=")?.split(',').map(str::to_owned);
        Some(agents.collect::<BTreeSet<_>>())
    });
    assert_eq!(named.unwrap(), expected);
}

/// Its pods are selected by policies that let it to the agents and the balancer, and nobody to it.
#[test]
fn a_run_may_go_to_the_agents_and_the_balancer() {
    let (run, manifests) = (run(), overlay());
    let policies = manifests.of("NetworkPolicy").map(|policy| &policy["spec"]);
    let own = policies.filter(|spec| selects(&spec["podSelector"], &run.labels).unwrap());
    let (mut goes, mut comes) = (BTreeSet::new(), 0);
    for spec in own {
        comes += list(&spec["ingress"]).count();
        for rule in list(&spec["egress"]) {
            for peer in list(&rule["to"]).filter(|peer| peer["namespaceSelector"].is_null()) {
                let chosen = manifests.selected(&peer["podSelector"]).unwrap_or_default();
                let port = rule["ports"][0]["port"].as_u64().unwrap();
                goes.extend(chosen.iter().map(|workload| format!("{} {port}", workload.name)));
            }
        }
    }
    goes.retain(|to| !to.ends_with(" 53"));
    assert_eq!(goes, BTreeSet::from(["balancer 8000", "loadtest 7400"].map(str::to_owned)));
    assert_eq!(comes, 0);
}
