//! Checks docker-compose.yml: against the settings and images of the code, and for what it promises its
//! operators. That it starts, and what happens then, is the business of scripts/check-containers.

use clap::{Arg, Parser};
use deploy::{
    compose::{Project, Service},
    image::{Image, stages},
    known::{self, BINARIES, root},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

/// Services that end when they are done.
const ONCE: [&str; 3] = ["secrets", "migrate", "loadtest"];
/// Services of which there may be any number.
const SCALED: [&str; 2] = ["gateway", "api"];

fn project() -> Project {
    Project::read(&root()).unwrap()
}

/// The services that run an image of ours, with its target.
fn ours(project: &Project) -> Vec<(&str, String, &Service)> {
    let all = project.services.iter();
    all.filter_map(|(name, service)| {
        Some((name.as_str(), service.text(&["build", "target"])?, service))
    })
    .collect()
}

fn setting<'c>(command: &'c clap::Command, key: &str) -> Option<&'c Arg> {
    known::settings(command).into_iter().find(|setting| setting.get_env() == Some(key.as_ref()))
}

#[test]
fn every_image_of_ours_is_a_target_and_the_others_are_pinned() {
    let project = project();
    let mut built = BTreeSet::new();
    for (name, service) in &project.services {
        let image = service.text(&["image"]).unwrap();
        let (repository, tag) = image.rsplit_once(':').unwrap();
        match service.text(&["build", "target"]) {
            Some(target) => {
                assert!(BINARIES.contains(&target.as_str()), "{name}: {target}");
                assert_eq!(repository, format!("switchboard/{target}"), "{name}");
                assert_eq!(service.text(&["build", "dockerfile"]).unwrap(), "deploy/Dockerfile");
                assert_eq!(service.text(&["build", "context"]).unwrap(), ".");
                built.insert(target);
            }
            None => {
                assert!(tag.contains(|c: char| c.is_ascii_digit()), "{name}: {image}");
                assert!(repository.split_once('/').unwrap().0.contains('.'), "{name}: {image}");
            }
        }
    }
    // The fifth is one process for all of it, and needs no compose.
    let expected = ["api", "canary", "gateway", "loadtest"].map(str::to_owned);
    assert_eq!(built, BTreeSet::from(expected));
}

#[test]
fn the_environment_is_of_known_settings() {
    for (name, target, service) in ours(&project()) {
        let command = known::command(&target).unwrap();
        for key in service.environment().into_keys() {
            let of_a_secret = key.strip_suffix("_FILE").and_then(|key| setting(&command, key));
            let known = setting(&command, &key).is_some()
                || of_a_secret.is_some_and(Arg::is_hide_env_values_set);
            assert!(known, "{name}: {target} does not know {key}");
        }
    }
}

/// The flags that say the same as a service's environment. A secret in a file is read from `secrets`.
fn flags(service: &Service, target: &str, secrets: &BTreeMap<&str, String>) -> Vec<String> {
    let command = known::command(target).unwrap();
    let mut flags = vec![target.to_owned()];
    // Some settings are a subcommand's.
    flags.extend(service.list(&["command"]));
    for (key, value) in service.environment() {
        let Some(value) = value else { continue };
        let (key, value) = match value.strip_prefix("/secrets/") {
            Some(file) => {
                let (volume, file) = file.split_once('/').unwrap();
                assert_eq!(volume, file, "its own volume, and the name in it");
                (key.strip_suffix("_FILE").unwrap().to_owned(), secrets[file].clone())
            }
            None => (key, value),
        };
        let flag = setting(&command, &key).unwrap().get_long().unwrap();
        flags.push(format!("--{flag}={value}"));
    }
    flags
}

#[test]
fn each_of_our_services_would_start_with_what_it_is_given() {
    let folder = tempfile::tempdir().unwrap();
    api::commands::secrets::make(folder.path()).unwrap();
    let secrets = api::commands::secrets::NAMES
        .map(|name| (name, fs::read_to_string(folder.path().join(name)).unwrap()));
    let mut secrets = BTreeMap::from(secrets);
    // A file of the operator's.
    secrets.insert("LOADTEST_ADMIN_PASSWORD", "password123".to_owned());
    let project = project();
    for (name, target, service) in ours(&project) {
        let flags = flags(service, &target, &secrets);
        let checked = match target.as_str() {
            "gateway" => gateway::settings::Settings::try_parse_from(flags)
                .unwrap_or_else(|error| panic!("{name}: {error}"))
                .check()
                .err(),
            "api" => {
                let settings = api::settings::Settings::try_parse_from(flags)
                    .unwrap_or_else(|error| panic!("{name}: {error}"));
                assert_eq!(settings.database_url.is_some(), name != "secrets");
                assert_eq!(settings.database_password.is_some(), name != "secrets");
                (name == "api").then(|| settings.check().err()).flatten()
            }
            "loadtest" => {
                loadtest::cli::Cli::try_parse_from(flags).err().map(|error| error.to_string())
            }
            _ => {
                let settings = canary::settings::CanarySettings::try_parse_from(flags)
                    .unwrap_or_else(|error| panic!("{name}: {error}"));
                settings.canary_password.is_none().then(|| "no password".to_owned())
            }
        };
        assert_eq!(checked, None, "{name}");
    }
}

#[test]
fn addresses_lead_to_a_listener_of_the_service() {
    let (project, stages) = (project(), stages(&root()).unwrap());
    let balancer = &project.services["balancer"];
    for (name, service) in &project.services {
        for (key, value) in service.environment() {
            let Some(value) = value else { continue };
            let address = value.split_once("://").map_or(value.as_str(), |(_, rest)| rest);
            let Some((host, port)) = address.rsplit_once(':') else { continue };
            let Some(other) = project.services.get(host) else { continue };
            let port: u16 = port.parse().unwrap_or_else(|_| panic!("{name} {key}: {value}"));
            let listened = match other.text(&["build", "target"]) {
                Some(target) => Image::of(&stages, &target).unwrap().ports,
                None => BTreeMap::from([("redis", vec![6379])])[host].clone(),
            };
            assert!(listened.contains(&port), "{name} {key}: {host} does not listen on {port}");
            let networks = |service: &Service| BTreeSet::from_iter(service.networks());
            assert!(!networks(service).is_disjoint(&networks(other)), "{name} cannot reach {host}");
        }
    }
    let listener = |setting: &str| project.services[setting].environment()["API_URL"].clone();
    assert_eq!(listener("gateway").unwrap(), "http://api:8300", "the internal one");
    assert_eq!(listener("canary").unwrap(), "http://api:8200", "the public one");
    assert_eq!(balancer.environment()["GATEWAYS"].as_deref(), Some("gateway:8100"));
    assert_eq!(balancer.environment()["APIS"].as_deref(), Some("api:8200"));
}

#[test]
fn only_the_balancer_is_open_to_others() {
    for (name, service) in &project().services {
        assert!(service.text(&["container_name"]).is_none(), "{name} could not be scaled");
        for port in service.list(&["ports"]) {
            assert!(!SCALED.contains(&name.as_str()), "two of {name} cannot have one port");
            assert!(name == "balancer" || port.starts_with("127.0.0.1:"), "{name}: {port}");
        }
    }
}

#[test]
fn there_is_time_to_drain() {
    let project = project();
    // What a gateway takes beyond its drain, an api beyond its own; see their `main`.
    for (name, beyond) in [("gateway", 10), ("api", 5)] {
        let service = &project.services[name];
        let number =
            |key: &str| service.environment()[key].clone().unwrap().parse::<u64>().unwrap();
        let needed = number("SHUTDOWN_DELAY_SECONDS") + number("DRAIN_SECONDS") + beyond;
        let grace = service.seconds(&["stop_grace_period"]).unwrap();
        assert!(grace > needed, "{name} is killed after {grace} s and may take {needed} s");
    }
}

#[test]
fn no_secret_is_written_down() {
    for (name, service) in &project().services {
        for (key, value) in service.environment() {
            // Taken from the shell, so not written down.
            let Some(value) = value else { continue };
            let tells = ["PASSWORD", "PASS", "TOKEN", "KEY", "SECRET"];
            if tells.iter().any(|word| key.contains(word)) {
                assert!(key.ends_with("_FILE") && value.starts_with("/secrets/"), "{name}: {key}");
            }
            let authority = value.split_once("://").map_or("", |(_, rest)| rest);
            let user = authority.split_once('@').map_or("", |(user, _)| user);
            assert!(!user.contains(':'), "{name}: a password in {key}");
        }
    }
}

/// The first part of a path.
fn folder(path: &str) -> Option<&str> {
    path.split('/').next()
}

#[test]
fn each_service_is_given_the_secrets_that_it_reads_and_no_other() {
    for (name, service) in &project().services {
        let mounts = service.mounts();
        let mounted: BTreeSet<&str> = mounts
            .iter()
            .filter_map(|mount| folder(mount.target.strip_prefix("/secrets/")?))
            .collect();
        if name == "secrets" {
            assert_eq!(mounted, api::commands::secrets::NAMES.into(), "all are made");
            continue;
        }
        let values: Vec<String> = service.environment().into_values().flatten().collect();
        let read = values.iter().filter_map(|value| value.strip_prefix("/secrets/"));
        let read: BTreeSet<&str> = read.filter_map(folder).collect();
        assert_eq!(mounted, read, "{name}");
        for mount in mounts.iter().filter(|mount| mount.target.starts_with("/secrets")) {
            assert!(mount.read_only, "{name} could change {}", mount.target);
        }
    }
}

#[test]
fn what_is_mounted_or_joined_exists() {
    let project = project();
    let (mut volumes, mut networks) = (BTreeSet::new(), BTreeSet::new());
    for (name, service) in &project.services {
        for mount in service.mounts() {
            if mount.source.starts_with('/') {
                // Of this machine, and the operator's to name.
                assert!(mount.read_only, "{name} could change {}", mount.source);
            } else if mount.source.starts_with('.') {
                assert!(root().join(&mount.source).exists(), "{name}: {}", mount.source);
                assert!(mount.read_only, "{name} could change {}", mount.source);
            } else {
                volumes.insert(mount.source.clone());
            }
        }
        networks.extend(service.networks());
        let command = service.list(&["command"]);
        let files = command.iter().filter(|word| word.contains("/etc/"));
        for file in files.map(|word| word.rsplit('=').next().unwrap()) {
            let mount = service.mounts().into_iter().find(|mount| file.starts_with(&mount.target));
            let mount = mount.unwrap_or_else(|| panic!("{name}: nothing is mounted at {file}"));
            let source = file.replacen(&mount.target, &mount.source, 1);
            assert!(root().join(&source).is_file(), "{name}: {source}");
        }
    }
    assert_eq!(volumes, project.declared("volumes"));
    assert_eq!(networks, project.declared("networks"));
}

#[test]
fn only_who_must_reaches_the_database() {
    let project = project();
    let reaching = project.services.iter();
    let reaching = reaching.filter(|(_, service)| service.networks().contains(&"data".into()));
    let reaching: Vec<&str> = reaching.map(|(name, _)| name.as_str()).collect();
    assert_eq!(reaching, ["api", "migrate", "postgres", "postgres-exporter"]);
    assert_eq!(
        Service(project.whole.clone()).text(&["networks", "data", "internal"]).unwrap(),
        "true"
    );
}

#[test]
fn every_container_is_confined_watched_and_started_again() {
    let stages = stages(&root()).unwrap();
    for (name, service) in &project().services {
        let once = ONCE.contains(&name.as_str());
        assert_eq!(service.text(&["read_only"]).as_deref(), Some("true"), "{name}");
        assert_eq!(service.list(&["cap_drop"]), ["ALL"], "{name}");
        assert_eq!(service.list(&["security_opt"]), ["no-new-privileges:true"], "{name}");
        assert!(service.text(&["deploy", "resources", "limits", "memory"]).is_some(), "{name}");
        assert!(service.text(&["logging", "options", "max-size"]).is_some(), "{name}");
        assert_eq!(name == "postgres", !service.list(&["cap_add"]).is_empty(), "{name}");
        let restart = if once { "no" } else { "unless-stopped" };
        assert_eq!(service.text(&["restart"]).as_deref(), Some(restart), "{name}");
        let asked = service.list(&["healthcheck", "test"]);
        assert_eq!(once, asked.is_empty(), "{name}: {asked:?}");
        if let (false, Some(target)) = (once, service.text(&["build", "target"])) {
            assert_eq!(asked[1..], Image::of(&stages, &target).unwrap().health, "{name}");
        }
    }
}

#[test]
fn services_wait_for_what_they_need() {
    let project = project();
    let beside = |name: &str| !project.services[name].list(&["profiles"]).is_empty();
    for (name, service) in &project.services {
        for (other, condition) in service.waits_for() {
            let once = ONCE.contains(&other.as_str());
            let expected = if once { "service_completed_successfully" } else { "service_healthy" };
            assert_eq!(condition, expected, "{name} waits for {other}");
            assert!(beside(name) || !beside(&other), "{name} needs {other} of a profile");
        }
    }
    for (name, before) in [("balancer", "gateway"), ("api", "migrate"), ("migrate", "postgres")] {
        assert!(project.services[name].waits_for().contains_key(before), "{name}");
    }
}

#[test]
fn sockets_and_connections_fit_their_limits() {
    let project = project();
    let default = |binary: &str, key: &str| -> u64 {
        let command = known::command(binary).unwrap();
        let value = setting(&command, key).unwrap().get_default_values()[0].clone();
        value.to_str().unwrap().parse().unwrap()
    };
    let number = |service: &str, path: &[&str]| -> u64 {
        project.services[service].text(path).unwrap().parse().unwrap()
    };
    let files = number("gateway", &["ulimits", "nofile", "soft"]);
    assert!(files > default("gateway", "MAX_CONNECTIONS") + 1_000);
    let haproxy = fs::read_to_string(root().join("deploy/haproxy/haproxy.cfg")).unwrap();
    let limit =
        haproxy.lines().find_map(|line| line.trim().strip_prefix("fd-hard-limit ")).unwrap();
    assert_eq!(number("balancer", &["ulimits", "nofile", "soft"]), limit.parse::<u64>().unwrap());
    let connections =
        default("api", "DATABASE_CONNECTIONS") * number("api", &["deploy", "replicas"]);
    assert!(connections < 90, "PostgreSQL takes 100, and operators want some");
    assert!(number("gateway", &["deploy", "replicas"]) > 1, "a rolling restart needs two");
}

#[test]
fn the_example_names_what_can_be_set_and_what_happens_otherwise() {
    let project = project();
    let text = fs::read_to_string(root().join(".env.example")).unwrap();
    let lines = text.lines().filter_map(|line| line.strip_prefix('#'));
    let told: BTreeMap<&str, &str> = lines
        .filter_map(|line| line.split_once('='))
        .filter(|(key, _)| key.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
        .collect();
    let known: BTreeSet<&str> = project.variables.keys().map(String::as_str).collect();
    assert_eq!(told.keys().copied().collect::<BTreeSet<_>>(), known);
    for (name, default) in &project.variables {
        let of_program = ours(&project).into_iter().find_map(|(_, target, _)| {
            let command = known::command(&target)?;
            let values = setting(&command, name)?.get_default_values();
            Some(values.first().map_or(String::new(), |value| value.to_string_lossy().into()))
        });
        let default = default.clone().or(of_program).unwrap_or_default();
        assert_eq!(told[name.as_str()], default, "{name}");
    }
}
