//! Reads deploy/Dockerfile and .dockerignore, as far as they are written here: it knows the instructions
//! and patterns that they use, and no others. It judges nothing.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context as _, bail};

/// A stage: from one FROM to the next.
#[derive(Clone, Debug, Default)]
pub struct ImageStage {
    /// The name after `AS`.
    pub name: String,
    /// An image's name, or another stage's.
    pub from: String,
    /// Keyword and what follows it, in their order.
    pub instructions: Vec<(String, String)>,
}

/// An image as a target of the Dockerfile gives it: all stages that it is made from, the last word wins.
#[derive(Clone, Debug, Default)]
pub struct Image {
    /// The public image that all begins with.
    pub base: String,
    /// The last `USER`.
    pub user: String,
    /// The last `ENTRYPOINT`.
    pub entrypoint: Vec<String>,
    /// The command of the last `HEALTHCHECK`.
    pub health: Vec<String>,
    /// The last `STOPSIGNAL`.
    pub stop_signal: String,
    /// Every `ENV`, by name.
    pub env: BTreeMap<String, String>,
    /// Every `EXPOSE`.
    pub ports: Vec<u16>,
    /// Every `VOLUME`.
    pub volumes: Vec<String>,
    /// Every `LABEL`, by name.
    pub labels: BTreeMap<String, String>,
}

/// The stages of the Dockerfile of the checkout at `root`.
pub fn stages(root: &Path) -> anyhow::Result<Vec<ImageStage>> {
    let mut stages: Vec<ImageStage> = Vec::new();
    for line in lines(&fs::read_to_string(root.join("deploy/Dockerfile"))?) {
        let (keyword, rest) = line.split_once(' ').with_context(|| line.clone())?;
        if keyword == "FROM" {
            let (from, name) = rest
                .split_once(" AS ")
                .with_context(|| format!("the stage has no name: {rest}"))?;
            stages.push(ImageStage {
                name: name.into(),
                from: from.into(),
                ..ImageStage::default()
            });
        } else {
            let stage = stages.last_mut().context("an instruction stands before the first FROM")?;
            stage.instructions.push((keyword.to_owned(), rest.trim().to_owned()));
        }
    }
    Ok(stages)
}

/// Instructions with their continuations, without comments.
fn lines(text: &str) -> Vec<String> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let joined = code.collect::<Vec<_>>().join("\n").replace("\\\n", " ");
    joined.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

impl Image {
    /// What `docker build --target` makes.
    pub fn of(stages: &[ImageStage], target: &str) -> anyhow::Result<Self> {
        let stage = stages.iter().find(|stage| stage.name == target);
        let stage = stage.with_context(|| format!("there is no stage {target}"))?;
        let mut image = match stages.iter().find(|other| other.name == stage.from) {
            Some(parent) => Self::of(stages, &parent.name)?,
            None => Self { base: stage.from.clone(), ..Self::default() },
        };
        for (keyword, rest) in &stage.instructions {
            match keyword.as_str() {
                "USER" => image.user.clone_from(rest),
                "STOPSIGNAL" => image.stop_signal.clone_from(rest),
                "ENTRYPOINT" => image.entrypoint = exec(rest)?,
                "HEALTHCHECK" => {
                    let command = rest.split_once("CMD ").context("a HEALTHCHECK has no CMD")?.1;
                    image.health = exec(command)?;
                }
                "EXPOSE" => {
                    for port in rest.split_whitespace() {
                        image.ports.push(port.parse().with_context(|| port.to_owned())?);
                    }
                }
                "ENV" => image.env.extend(pairs(rest)?),
                "LABEL" => image.labels.extend(pairs(rest)?),
                "VOLUME" => image.volumes.push(rest.clone()),
                "ARG" | "COPY" | "RUN" | "WORKDIR" => {}
                other => bail!("the instruction {other} is not supported here"),
            }
        }
        Ok(image)
    }
}

impl ImageStage {
    /// What is copied from the build context. Copies from other stages are not among them.
    pub fn sources(&self) -> Vec<&str> {
        let copies = self.instructions.iter().filter(|(keyword, _)| keyword == "COPY");
        let words = copies.map(|(_, rest)| rest.split_whitespace().collect::<Vec<_>>());
        let from_context = words.filter(|words| !words.iter().any(|w| w.starts_with("--from")));
        from_context.flat_map(|words| words[..words.len().saturating_sub(1)].to_vec()).collect()
    }
}

/// The exec form: a JSON list. The other one needs a shell.
fn exec(text: &str) -> anyhow::Result<Vec<String>> {
    serde_json::from_str(text).with_context(|| format!("{text} is not in exec form"))
}

fn pairs(text: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (key, after) = rest.split_once('=').with_context(|| text.to_owned())?;
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').with_context(|| text.to_owned())?,
            None => after.split_once(char::is_whitespace).unwrap_or((after, "")),
        };
        found.insert(key.to_owned(), value.to_owned());
        rest = after.trim_start();
    }
    Ok(found)
}

/// Which files a builder never sees: the patterns of .dockerignore, of which the last that fits decides.
pub struct Ignore(Vec<(bool, String)>);

impl Ignore {
    /// Of the checkout at `root`.
    pub fn read(root: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(root.join(".dockerignore"))?;
        let lines = text.lines().map(str::trim);
        let patterns = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        Ok(Self(
            patterns
                .map(|pattern| match pattern.strip_prefix('!') {
                    Some(pattern) => (false, pattern.to_owned()),
                    None => (true, pattern.to_owned()),
                })
                .collect(),
        ))
    }

    /// Whether this file, by its path from the root, is kept from the builder.
    pub fn ignores(&self, path: &str) -> bool {
        let fits = |pattern: &str| {
            let (pattern, path): (Vec<_>, Vec<_>) =
                (pattern.split('/').collect(), path.split('/').collect());
            // A pattern for a folder is one for all below it.
            pattern.len() <= path.len()
                && pattern.iter().zip(&path).all(|(want, part)| *want == "*" || want == part)
        };
        self.0.iter().rev().find(|(_, pattern)| fits(pattern)).is_some_and(|(ignored, _)| *ignored)
    }
}
