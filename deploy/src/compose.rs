//! Reads docker-compose.yml as compose does: variables put in, merge keys carried out. It knows the
//! notations that are used there, judges nothing and starts nothing.

use anyhow::Context as _;
use serde_yaml_ng::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// The project with nothing set by the operator.
#[derive(Clone, Debug)]
pub struct Project {
    /// The whole file with all defaults substituted.
    pub whole: Value,
    /// By name.
    pub services: BTreeMap<String, Service>,
    /// What an operator may set: variables put into the file, with their default, and those handed on to
    /// a container, whose default is the program's.
    pub variables: BTreeMap<String, Option<String>>,
}

/// A service of the project, as it stands in the file.
#[derive(Clone, Debug)]
pub struct Service(pub Value);

/// Something that is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// A path when it begins with `.`, a volume's name otherwise.
    pub source: String,
    /// The path in the container.
    pub target: String,
    /// Whether the container may not write to it.
    pub read_only: bool,
}

impl Project {
    /// Reads the file of the checkout at `root`.
    pub fn read(root: &Path) -> anyhow::Result<Self> {
        Self::read_file(&root.join("docker-compose.yml"))
    }

    /// Reads an overlay as it stands, merged with nothing.
    pub fn read_file(file: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(file)?;
        let (text, mut variables) = substitute_defaults(&text)?;
        let mut whole: Value = serde_yaml_ng::from_str(&text)?;
        whole.apply_merge()?;
        let services = whole
            .get("services")
            .and_then(Value::as_mapping)
            .context("the file has no services")?;
        let services: BTreeMap<String, Service> = services
            .iter()
            .filter_map(|(name, service)| Some((name.as_str()?.into(), Service(service.clone()))))
            .collect();
        for service in services.values() {
            let environment = service.environment().into_iter();
            variables.extend(environment.filter(|(_, value)| value.is_none()));
        }
        Ok(Self { whole, services, variables })
    }

    /// The names of the networks or volumes that are declared.
    pub fn declared(&self, kind: &str) -> BTreeSet<String> {
        let declared = self.whole.get(kind).and_then(Value::as_mapping).into_iter().flatten();
        declared.filter_map(|(name, _)| name.as_str().map(str::to_owned)).collect()
    }
}

impl Service {
    /// A text or number at this path of keys, as text.
    pub fn text(&self, path: &[&str]) -> Option<String> {
        match self.at(path)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(yes) => Some(yes.to_string()),
            _ => None,
        }
    }

    /// A list of texts; empty when there is none.
    pub fn list(&self, path: &[&str]) -> Vec<String> {
        let list = self.at(path).and_then(Value::as_sequence).into_iter().flatten();
        list.filter_map(Value::as_str).map(str::to_owned).collect()
    }

    /// The networks that it joins, in either notation.
    pub fn networks(&self) -> Vec<String> {
        match self.at(&["networks"]) {
            Some(Value::Mapping(networks)) => {
                networks.keys().filter_map(Value::as_str).map(str::to_owned).collect()
            }
            _ => self.list(&["networks"]),
        }
    }

    /// Whether an overlay takes this key away (`!reset`).
    pub fn is_reset(&self, key: &str) -> bool {
        matches!(self.0.get(key), Some(Value::Tagged(value)) if value.tag == "!reset")
    }

    /// What its process finds set. `None` is what the operator may hand on.
    pub fn environment(&self) -> BTreeMap<String, Option<String>> {
        let pairs = self.at(&["environment"]).and_then(Value::as_mapping).into_iter().flatten();
        let pair = |(key, value): (&Value, &Value)| {
            Some((key.as_str()?.to_owned(), value.as_str().map(str::to_owned)))
        };
        pairs.filter_map(pair).collect()
    }

    /// Those that must be as far as the condition says before this one starts: name and condition.
    pub fn waits_for(&self) -> BTreeMap<String, String> {
        let pairs = self.at(&["depends_on"]).and_then(Value::as_mapping).into_iter().flatten();
        let pair = |(name, how): (&Value, &Value)| {
            Some((name.as_str()?.to_owned(), how.get("condition")?.as_str()?.to_owned()))
        };
        pairs.filter_map(pair).collect()
    }

    /// Folders, files and volumes, in the short notation.
    pub fn mounts(&self) -> Vec<Mount> {
        let mount = |text: String| {
            let mut parts = text.split(':').map(str::to_owned);
            let (source, target) = (parts.next()?, parts.next()?);
            Some(Mount { source, target, read_only: parts.next().as_deref() == Some("ro") })
        };
        self.list(&["volumes"]).into_iter().filter_map(mount).collect()
    }

    /// Seconds of a duration such as `45s` at this path.
    pub fn seconds(&self, path: &[&str]) -> Option<u64> {
        self.text(path)?.strip_suffix('s')?.parse().ok()
    }

    fn at(&self, path: &[&str]) -> Option<&Value> {
        path.iter().try_fold(&self.0, |value, key| value.get(key))
    }
}

/// Replaces each `${NAME:-default}` by its default, and gives these, too. There must be a default: the
/// project starts with nothing set.
fn substitute_defaults(text: &str) -> anyhow::Result<(String, BTreeMap<String, Option<String>>)> {
    let (mut done, mut names) = (String::new(), BTreeMap::new());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let (inner, after) = after.split_once('}').context("a ${ is not closed")?;
        let (name, default) =
            inner.split_once(":-").with_context(|| format!("${{{inner}}} has no default"))?;
        names.insert(name.to_owned(), Some(default.to_owned()));
        done.extend([before, default]);
        rest = after;
    }
    done.push_str(rest);
    Ok((done, names))
}
