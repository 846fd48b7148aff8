//! Numbers of pods, and what they are reckoned by; what Prometheus scrapes, and its rules.

use super::{ALL, text, yaml};
use crate::generated;
use deploy::{
    known::{self, root},
    kubernetes::{Manifests, list, map},
    promql, rules,
};
use serde_yaml_ng::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

/// PostgreSQL's own default of `max_connections`, and what is left of it for people and backups.
const POSTGRES_CONNECTIONS: u64 = 100;
const FOR_OPERATORS: u64 = 10;

fn setting(manifests: &Manifests, workload: &str, name: &str) -> u64 {
    let workload = manifests.workload(workload).unwrap();
    let container = manifests.containers(&workload.pod).unwrap().pop().unwrap();
    container.plain(name).unwrap().parse().unwrap()
}

fn autoscaler<'a>(manifests: &'a Manifests, name: &str) -> Option<&'a Value> {
    manifests.get("HorizontalPodAutoscaler", name)
}

#[test]
fn disruptions_take_one_pod_at_a_time() {
    for manifests in ALL.iter() {
        let mut kept = BTreeSet::new();
        for budget in manifests.of("PodDisruptionBudget") {
            let spec = &budget["spec"];
            assert_eq!((&spec["maxUnavailable"], &spec["minAvailable"]), (&1.into(), &Value::Null));
            assert_eq!(spec["unhealthyPodEvictionPolicy"], "AlwaysAllow");
            let chosen = manifests.selected(&spec["selector"]).unwrap();
            assert_eq!(chosen.len(), 1, "{budget:?}");
            kept.insert(chosen[0].name.clone());
        }
        for workload in manifests.workloads() {
            let serving = ["gateway", "api", "balancer"].contains(&workload.name.as_str());
            // Those of which one may be lost, too.
            let several = ["redis", "sentinel"].contains(&workload.name.as_str())
                && workload.object["spec"]["replicas"] != 1;
            if serving || several {
                assert!(kept.contains(&workload.name), "{}: {}", manifests.overlay, workload.name);
            }
        }
    }
}

#[test]
fn autoscalers_and_nobody_else_set_the_numbers() {
    for manifests in ALL.iter() {
        for workload in manifests.workloads() {
            let scaled = autoscaler(manifests, &workload.name);
            assert_eq!(scaled.is_some(), workload.object["spec"]["replicas"].is_null());
        }
        for found in manifests.of("HorizontalPodAutoscaler") {
            let target = &found["spec"]["scaleTargetRef"];
            assert_eq!(target["name"], found["metadata"]["name"]);
            let workload = manifests.workload(&text(&target["name"])).unwrap();
            assert_eq!(target["kind"], workload.kind.as_str());
            // One lost machine must not be an outage.
            assert!(found["spec"]["minReplicas"].as_u64() >= Some(2));
        }
    }
    assert!(ALL.iter().any(|manifests| autoscaler(manifests, "api").is_some()));
}

#[test]
fn the_apis_fit_the_database() {
    for manifests in ALL.iter() {
        let api = manifests.workload("api").unwrap();
        let most = match autoscaler(manifests, "api") {
            Some(found) => found["spec"]["maxReplicas"].as_u64().unwrap(),
            None => api.object["spec"]["replicas"].as_u64().unwrap(),
        };
        let surge = text(&api.object["spec"]["strategy"]["rollingUpdate"]["maxSurge"]);
        let surge: u64 = surge.strip_suffix('%').unwrap().parse().unwrap();
        let pods = most + (most * surge).div_ceil(100);
        // One more, for a pod that migrates.
        let needed = pods * setting(manifests, "api", "DATABASE_CONNECTIONS") + 1;
        assert!(needed <= POSTGRES_CONNECTIONS - FOR_OPERATORS, "{}: {needed}", manifests.overlay);
    }
}

#[test]
fn gateways_are_scaled_by_a_metric_that_exists() {
    let metrics = known::metrics("gateway");
    let mut seen = 0;
    for manifests in ALL.iter() {
        for found in manifests.of("HorizontalPodAutoscaler") {
            for metric in list(&found["spec"]["metrics"]).filter(|one| one["type"] == "Pods") {
                let name = text(&metric["pods"]["metric"]["name"]);
                assert!(metrics.iter().any(|metric| metric.name == name), "{name}");
                let wanted = text(&metric["pods"]["target"]["averageValue"]);
                let most = setting(manifests, "gateway", "MAX_CONNECTIONS");
                assert_eq!(wanted.parse::<u64>().unwrap(), most * 65 / 100);
                assert!(adapter_rules().contains(&name), "the adapter does not know {name}");
                seen += 1;
            }
        }
    }
    assert_eq!(seen, 1);
}

/// The metrics that the adapter's rules answer for, each rule's queries parsed as the adapter would fill
/// them in.
fn adapter_rules() -> BTreeSet<String> {
    let file = yaml(&root().join("k8s/components/hpa-connections/adapter.yaml"));
    let rules = list(&file["rules"]["custom"]).map(|rule| {
        let query = text(&rule["metricsQuery"])
            .replace("<<.GroupBy>>", "pod")
            .replace("<<.LabelMatchers>>", r#"namespace="switchboard",pod=~"gateway-1|gateway-2""#);
        assert!(!query.contains("<<"), "{query}");
        let asked = promql::uses(&query).unwrap();
        let series = promql::uses(&text(&rule["seriesQuery"])).unwrap();
        assert_eq!((asked.len(), series.len()), (1, 1));
        assert_eq!(asked[0].series, series[0].series);
        asked[0].series.clone()
    });
    rules.collect()
}

/// By the label and the port that the PodMonitor reads, each process comes out as the job by which rules
/// and dashboards know it.
#[test]
fn every_job_is_scraped() {
    for manifests in ALL.iter() {
        let Some(monitor) = manifests.get("PodMonitor", "switchboard") else { continue };
        let label = text(&monitor["spec"]["jobLabel"]);
        let endpoint = list(&monitor["spec"]["podMetricsEndpoints"]).next().unwrap();
        assert_eq!(endpoint["path"], "/metrics");
        let mut jobs = BTreeSet::new();
        for workload in manifests.selected(&monitor["spec"]["selector"]).unwrap() {
            let containers = manifests.containers(&workload.pod).unwrap();
            let port = text(&endpoint["port"]);
            assert!(
                containers.iter().any(|one| one.ports.contains_key(&port)),
                "{}",
                workload.name
            );
            jobs.insert(workload.labels[&label].clone());
        }
        let there = ["gateway", "api", "balancer", "canary"].map(str::to_owned);
        let there = there.into_iter().filter(|name| manifests.workload(name).is_some());
        assert_eq!(jobs, there.collect());
    }
    assert!(ALL.iter().any(|manifests| manifests.get("PodMonitor", "switchboard").is_some()));
}

#[test]
fn every_dashboard_comes_along() {
    let folder = fs::read_dir(root().join("deploy/grafana/dashboards")).unwrap();
    let files: BTreeMap<String, String> = folder
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect();
    for manifests in ALL.iter().filter(|one| one.get("PodMonitor", "switchboard").is_some()) {
        let dashboards = manifests
            .of("ConfigMap")
            .filter(|one| one["metadata"]["labels"]["grafana_dashboard"] == "1");
        let there: BTreeMap<_, _> = dashboards.flat_map(|one| map(&one["data"])).collect();
        assert!(there == files, "{}: other dashboards", manifests.overlay);
    }
}

#[test]
fn the_rules_are_those_of_prometheus() {
    const HEAD: &str = "\
# Made from deploy/prometheus/rules, which is where they are changed:
# UPDATE_SNAPSHOTS=1 cargo test -p switchboard-deploy --test files kubernetes
";
    let mut files: Vec<_> = fs::read_dir(root().join("deploy/prometheus/rules")).unwrap().collect();
    files.sort_by_key(|entry| entry.as_ref().unwrap().file_name());
    let groups =
        files.into_iter().flat_map(|entry| rules::list(&yaml(&entry.unwrap().path()), "groups"));
    let groups: Vec<Value> = groups.collect();
    assert!(!groups.is_empty());
    let mut object: Value = serde_yaml_ng::from_str(
        "{apiVersion: monitoring.coreos.com/v1, kind: PrometheusRule, metadata: {name: switchboard}}",
    )
    .unwrap();
    object["spec"] = Value::Mapping([("groups".into(), groups.into())].into_iter().collect());
    let text = format!("{HEAD}{}", serde_yaml_ng::to_string(&object).unwrap());
    // How YAML is laid out does not matter.
    let is_current =
        |written: &str| serde_yaml_ng::from_str::<Value>(written).ok().as_ref() == Some(&object);
    generated::check("k8s/components/monitoring/rules.yaml", "kubernetes", &text, is_current);
}
