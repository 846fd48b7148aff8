//! Checks the Kubernetes manifests as kustomize renders them, every overlay: that they hold together,
//! fit the code, and do what a careful operator expects. Against Kubernetes' own schemas they are held
//! by deploy/checks/kubernetes; what a cluster makes of them nobody tries here.

mod load;
mod monitoring;
mod network;
mod pods;
mod redis;
mod settings;

use deploy::{
    known::root,
    kubernetes::{Manifests, list, map, overlays, text},
};
use serde_yaml_ng::Value;
use std::{collections::BTreeSet, fs, path::Path, sync::LazyLock};

static ALL: LazyLock<Vec<Manifests>> = LazyLock::new(|| {
    let names = overlays(&root()).unwrap();
    assert_eq!(names, ["cluster", "dev", "load", "prod", "sentinel", "staging"]);
    names.iter().map(|name| Manifests::render(&root(), name).unwrap()).collect()
});

/// The overlays with stores of their own, and with images that are built on the own machine.
const LOCAL: [&str; 4] = ["cluster", "dev", "load", "sentinel"];

/// The binary that runs in a workload of ours; of the load balancer and the stores none.
fn binary(workload: &str) -> Option<&'static str> {
    deploy::known::BINARIES.into_iter().find(|binary| *binary == workload)
}

fn yaml(path: &Path) -> Value {
    let text =
        fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_yaml_ng::from_str(&text).unwrap()
}

#[test]
fn every_component_is_in_use() {
    let mut used = BTreeSet::new();
    for overlay in overlays(&root()).unwrap() {
        let file = root().join("k8s/overlays").join(overlay).join("kustomization.yaml");
        let components: Vec<String> = list(&yaml(&file)["components"]).map(text).collect();
        used.extend(components.iter().map(|path| path.rsplit('/').next().unwrap().to_owned()));
    }
    let folders = fs::read_dir(root().join("k8s/components")).unwrap();
    let there = folders.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(used, there);
}

#[test]
fn everything_is_in_the_namespace_and_no_secret_is_in_the_manifests() {
    for manifests in ALL.iter() {
        let namespace = manifests.get("Namespace", "switchboard").unwrap();
        let labels = &namespace["metadata"]["labels"];
        assert_eq!(labels["pod-security.kubernetes.io/enforce"], "restricted");
        for object in manifests.objects.iter().filter(|object| object["kind"] != "Namespace") {
            assert_eq!(object["metadata"]["namespace"], "switchboard", "{object:?}");
            assert_ne!(object["kind"], "Secret", "{}: {object:?}", manifests.overlay);
        }
    }
}

#[test]
fn what_is_referred_to_exists() {
    for manifests in ALL.iter() {
        for workload in manifests.workloads() {
            if workload.pod["serviceAccountName"].is_string() {
                let account = text(&workload.pod["serviceAccountName"]);
                assert!(manifests.get("ServiceAccount", &account).is_some(), "{account}");
            }
            for volume in list(&workload.pod["volumes"]) {
                if volume["configMap"].is_mapping() {
                    let name = text(&volume["configMap"]["name"]);
                    assert!(manifests.get("ConfigMap", &name).is_some(), "{name}");
                }
            }
            let selector = &workload.object["spec"]["selector"];
            let own: Vec<_> = manifests.selected(selector).unwrap();
            assert_eq!(own.len(), 1, "{} is not the only one it selects", workload.name);
            assert_eq!(own[0].name, workload.name);
        }
    }
}

/// The files that the load balancer and Redis run with are those that everything else runs with.
#[test]
fn configuration_files_are_the_ones_of_deploy() {
    for manifests in ALL.iter() {
        for (workload, folder, needed) in [
            ("balancer", "deploy/haproxy", "haproxy.cfg"),
            ("redis", "deploy/redis", "redis.conf"),
            ("sentinel", "deploy/redis", "sentinel.conf"),
        ] {
            let Some(workload) = manifests.workload(workload) else { continue };
            let volume = list(&workload.pod["volumes"]).find(|one| one["configMap"].is_mapping());
            let name = text(&volume.unwrap()["configMap"]["name"]);
            let files = map(&manifests.get("ConfigMap", &name).unwrap()["data"]);
            assert!(files.contains_key(needed), "{}", manifests.overlay);
            for (file, text) in files {
                let shipped = fs::read_to_string(root().join(folder).join(&file)).unwrap();
                assert!(text == shipped, "{}: {file}", manifests.overlay);
            }
        }
    }
}
