//! Every variable of a container is a setting of its binary, and with them it would start.

use super::{ALL, binary, text};
use clap::Parser as _;
use deploy::{
    known,
    kubernetes::{Container, EnvValue, list},
};
use std::{collections::BTreeSet, fs, sync::LazyLock};

/// A certificate and its key.
static PAPERS: LazyLock<(String, String)> = LazyLock::new(|| {
    let made = rcgen::generate_simple_self_signed(["redis.example.com".to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
});

/// Something in place of a secret, of the form that the setting wants.
fn stand_in(key: &str) -> String {
    match key {
        "JWT_PRIVATE_KEY" => api::auth::tokens::generate_pem().unwrap().reveal().to_owned(),
        "REDIS_URL" => "redis://:password@redis.example.com:6379/0".to_owned(),
        "REDIS_CA" | "REDIS_CERTIFICATE" => PAPERS.0.clone(),
        "REDIS_KEY" => PAPERS.1.clone(),
        "SMTP_URL" => "smtps://user:password@mail.example.com".to_owned(),
        _ => "0123456789abcdef0123456789abcdef".to_owned(),
    }
}

/// The command line that means the same as the container's arguments and environment.
pub(super) fn command_line(binary: &str, container: &Container) -> Vec<String> {
    let command = known::command(binary).unwrap();
    let mut line = vec![binary.to_owned()];
    line.extend(list(&container.spec["args"]).map(text));
    for (name, given) in &container.env {
        let setting = known::settings(&command)
            .into_iter()
            .find(|setting| setting.get_env().is_some_and(|env| env == name.as_str()))
            .unwrap_or_else(|| panic!("{binary} has no setting {name}"));
        let value = match given {
            EnvValue::Plain(value) => {
                assert!(
                    !setting.is_hide_env_values_set() || !holds_a_password(value),
                    "{binary}: {name} is secret and stands in the manifests"
                );
                value.clone()
            }
            EnvValue::Secret { secret, key } => {
                assert_eq!((secret.as_str(), key), ("switchboard", name));
                stand_in(key)
            }
            EnvValue::Pod(path) => panic!("{binary}: {name} is {path}, which nobody here knows"),
        };
        line.push(format!("--{}={value}", setting.get_long().unwrap()));
    }
    line
}

/// A URL without a password is no secret, though its setting may be one. All else is.
fn holds_a_password(value: &str) -> bool {
    let Some((_, rest)) = value.split_once("://") else { return true };
    rest.split('/')
        .next()
        .and_then(|authority| authority.split_once('@'))
        .is_some_and(|(user, _)| user.contains(':'))
        || rest.contains("password=")
}

#[test]
fn every_variable_is_a_setting_and_none_is_missing() {
    for manifests in ALL.iter() {
        let mut seen = BTreeSet::new();
        for workload in manifests.workloads() {
            let Some(binary) = binary(&workload.name) else { continue };
            seen.insert(binary);
            for container in manifests.containers(&workload.pod).unwrap() {
                let line = command_line(binary, &container);
                let what = format!("{}: {}", manifests.overlay, container.name);
                let problem = match (binary, container.name.as_str()) {
                    ("gateway", _) => {
                        gateway::settings::Settings::try_parse_from(&line).unwrap().check().err()
                    }
                    ("api", "migrate") => {
                        let settings = api::settings::Settings::try_parse_from(&line).unwrap();
                        assert_eq!(settings.command, Some(api::settings::ApiCommand::Migrate));
                        assert!(settings.database_password.is_some(), "{what}");
                        settings.database_url.is_none().then(|| "DATABASE_URL".to_owned())
                    }
                    ("api", _) => {
                        let settings = api::settings::Settings::try_parse_from(&line).unwrap();
                        assert!(settings.database_password.is_some(), "{what}");
                        settings.check().err()
                    }
                    ("canary", _) => canary::settings::CanarySettings::try_parse_from(&line)
                        .unwrap()
                        .check()
                        .err(),
                    ("loadtest", _) => {
                        let cli = loadtest::cli::Cli::try_parse_from(&line);
                        cli.err().map(|error| error.to_string())
                    }
                    (other, _) => panic!("{other} is not deployed"),
                };
                assert_eq!(problem, None, "{what}");
            }
        }
        assert!(seen.contains("gateway") && seen.contains("api"), "{}", manifests.overlay);
    }
}

#[test]
fn migrations_come_first_and_serving_makes_none() {
    for manifests in ALL.iter() {
        let api = manifests.containers(&manifests.workload("api").unwrap().pod).unwrap();
        let names: Vec<&str> = api.iter().map(|container| container.name.as_str()).collect();
        assert_eq!(names, ["migrate", "api"], "an init container, and then the api");
        assert_eq!(api[1].plain("MIGRATE"), Some("false"));
        assert_eq!(api[0].image, api[1].image, "the schema is that of the version");
        for name in ["DATABASE_URL", "DATABASE_PASSWORD"] {
            assert_eq!(api[0].env.get(name), api[1].env.get(name));
        }
    }
}

#[test]
fn gateways_and_apis_agree() {
    for manifests in ALL.iter() {
        let [gateway, api] = ["gateway", "api"].map(|name| {
            let workload = manifests.workload(name).unwrap();
            manifests.containers(&workload.pod).unwrap().pop().unwrap()
        });
        for name in [
            "INTERNAL_TOKEN",
            "REDIS_URL",
            "REDIS_STATE_URL",
            "REDIS_CA",
            "REDIS_CERTIFICATE",
            "REDIS_KEY",
            "GUESTS",
            "TRUSTED_PROXIES",
            "ALLOWED_ORIGINS",
        ] {
            assert_eq!(gateway.env.get(name), api.env.get(name), "{}: {name}", manifests.overlay);
        }
    }
}

/// Where Redis and the mail server are, and who may use the bucket, only the operator knows.
const OPERATORS: [&str; 7] = [
    "REDIS_URL",
    "REDIS_CA",
    "REDIS_CERTIFICATE",
    "REDIS_KEY",
    "SMTP_URL",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
];

/// `api secrets` makes what else the manifests refer to.
#[test]
fn somebody_makes_every_secret() {
    for manifests in ALL.iter() {
        for workload in manifests.workloads() {
            for container in manifests.containers(&workload.pod).unwrap() {
                for (name, given) in &container.env {
                    let EnvValue::Secret { secret, key } = given else { continue };
                    let made = api::commands::secrets::NAMES.contains(&key.as_str());
                    let known = made || OPERATORS.contains(&key.as_str());
                    assert!(secret == "switchboard" && known, "{}: {name}", container.name);
                }
            }
        }
    }
}

#[test]
fn the_balancer_reads_every_variable_it_is_given() {
    let file = fs::read_to_string(known::root().join("deploy/haproxy/haproxy.cfg")).unwrap();
    let words = file.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let read: BTreeSet<_> = words
        .filter(|words| words.first() == Some(&"presetenv"))
        .map(|words| words[1].to_owned())
        .collect();
    for manifests in ALL.iter() {
        let Some(balancer) = manifests.workload("balancer") else { continue };
        let container = manifests.containers(&balancer.pod).unwrap().remove(0);
        assert!(container.env.contains_key("GATEWAYS") && container.env.contains_key("APIS"));
        for name in container.env.keys() {
            assert!(read.contains(name), "{name} is not in haproxy.cfg");
        }
    }
}

/// Behind an ingress controller the balancer sees its address alone. It must believe what it says of
/// clients, and then nobody else may connect.
#[test]
fn the_balancer_believes_an_ingress_controller_and_nobody_else() {
    for manifests in ALL.iter() {
        let Some(balancer) = manifests.workload("balancer") else { continue };
        let container = manifests.containers(&balancer.pod).unwrap().remove(0);
        let policy = manifests.get("NetworkPolicy", "balancer").unwrap();
        let door = &policy["spec"]["ingress"][0];
        let ingress = manifests.of("Ingress").count() > 0;
        assert_eq!(container.env.contains_key("TRUSTED_PROXIES"), ingress);
        assert_eq!(list(&door["from"]).count() > 0, ingress, "{}", manifests.overlay);
    }
}
