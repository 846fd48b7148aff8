//! The settings of an api, given by flags or environment variables. What it does instead of serving, and the settings
//! that the one-process binary has too, have files of their own. Other numbers are in [`crate::config`].

mod avatars;
mod commands;
mod limits;
mod mail;
mod retention;

pub use self::{
    avatars::AvatarArgs,
    commands::{AdminCommand, ApiCommand, COMMAND_NEEDS},
    limits::LimitArgs,
    mail::MailArgs,
    retention::RetentionArgs,
};

use crate::{
    auth::tokens::Tokens,
    config::Config,
    db::{ConnectError, DbConfig},
};
use clap::{Parser, value_parser};
use platform::{
    lifecycle::MAX_STOPPING_SECONDS,
    redis::{RedisArgs, RedisConfigs},
    settings::{CommaSeparated, ListenAddr, Origin, Secret, TrustedNetwork, shared_secrets},
    telemetry::{LogArgs, trace::TraceArgs},
};

/// Switchboard's REST service: accounts, chats and messages. Only the api uses the database.
///
/// Each flag can also be set by the environment variable shown beside it. Any number of apis can
/// run side by side behind a load balancer, with one database, one Redis server and the same
/// secrets.
#[derive(Parser, Clone, Debug)]
#[command(name = "api", version)]
pub struct Settings {
    /// What to do; [`ApiCommand::Serve`] when it is missing.
    #[command(subcommand)]
    pub command: Option<ApiCommand>,
    /// The address for clients' requests. The load balancer sends everything except upgrade
    /// requests here
    #[arg(long, env = "LISTEN", default_value = "127.0.0.1:8200", global = true)]
    pub listen: ListenAddr,
    /// The address that gateways call. Never expose it to clients
    #[arg(long, env = "INTERNAL_LISTEN", default_value = "127.0.0.1:8300", global = true)]
    pub internal_listen: ListenAddr,
    /// The address of the operators' endpoints /livez, /readyz and /metrics. Never expose it to
    /// clients
    #[arg(long, env = "ADMIN_LISTEN", default_value = "127.0.0.1:9200", global = true)]
    pub admin_listen: ListenAddr,
    /// The database: postgres://user@host/name, with the password in DATABASE_PASSWORD or as
    /// user:password in the URL; or sqlite:FILE for a single api. Of several servers, host:port,host:port,
    /// the one that takes writes is found, also after a failover
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, global = true)]
    pub database_url: Option<Secret>,
    /// The password of the database user. With it, DATABASE_URL need not be a secret
    #[arg(long, env = "DATABASE_PASSWORD", hide_env_values = true, global = true)]
    pub database_password: Option<Secret>,
    /// Servers that follow the one that takes writes (streaming replication): postgres://user@host,host/name. History
    /// and missed events are read from one of them when it proves that it has all that was asked for
    #[arg(long, env = "DATABASE_REPLICA_URL", hide_env_values = true, global = true)]
    pub database_replica_url: Option<Secret>,
    /// Further servers that have chats, beside that of DATABASE_URL, which has people as well: postgres://user@host/name,
    /// with white space between two of them. One, three, seven or fifteen, in an order that never changes.
    /// DATABASE_PASSWORD is theirs, too
    #[arg(long, env = "CHAT_DATABASE_URLS", hide_env_values = true, global = true)]
    pub chat_database_urls: Option<Secret>,
    /// The number of connections to each PostgreSQL server. Three of every eight serve clients' REST requests,
    /// the others serve gateways' calls. The total for all apis must fit the server's
    /// max_connections (100 by default) and leave room for operators
    #[arg(long, env = "DATABASE_CONNECTIONS", default_value_t = 16, global = true,
        value_parser = value_parser!(u32).range(2..=10_000))]
    pub database_connections: u32,
    /// Update the database schema before serving. Several apis may try at the same time. Turn it
    /// off if `api migrate` runs first with rights that the serving process must not have
    #[arg(long, env = "MIGRATE", default_value_t = true, action = clap::ArgAction::Set, global = true)]
    pub migrate: bool,
    /// Where Redis is.
    #[command(flatten)]
    pub redis: RedisArgs,
    /// The secret that gateways present, at least 16 characters. To rotate it, give both the old
    /// and the new secret, separated by a comma
    #[arg(long, env = "INTERNAL_TOKEN", hide_env_values = true, global = true)]
    pub internal_token: Option<Secret>,
    /// Ed25519 keys as PKCS#8 PEM, as written by `openssl genpkey -algorithm ed25519`. The first
    /// key signs access tokens; all keys verify them. To rotate, append the new key on every api,
    /// then move it to the front, and remove the old key 30 days later (session cookies live that
    /// long)
    #[arg(long, env = "JWT_PRIVATE_KEY", hide_env_values = true, global = true)]
    pub jwt_private_key: Option<Secret>,
    /// The password of `admin`, 8 to 128 characters. The api creates `admin` if it does not exist;
    /// changing this setting later has no effect. Without it, nobody can block users until you run
    /// `api admin create`
    #[arg(long, env = "ADMIN_PASSWORD", hide_env_values = true, global = true)]
    pub admin_password: Option<Secret>,
    /// Other origins whose pages may use the session cookie and read responses, separated by
    /// commas, such as `https://chat.example.com`. The api's own origin is always allowed. Browsers
    /// send the cookie only for pages of the same site (SameSite=Lax), so a page on another site
    /// must sign in for a Bearer token
    #[arg(long, env = "ALLOWED_ORIGINS", global = true)]
    pub allowed_origins: Vec<CommaSeparated<Origin>>,
    /// The load balancers' networks and addresses, separated by commas. The api trusts
    /// X-Forwarded-For and X-Forwarded-Proto only if they come from one of them
    #[arg(long, env = "TRUSTED_PROXIES", default_value = "127.0.0.0/8,::1/128", global = true)]
    pub trusted_proxies: Vec<CommaSeparated<TrustedNetwork>>,
    /// Allow people without an account to read and write in the lobby. Must match the gateways'
    /// setting
    #[arg(long, env = "GUESTS", default_value_t = false, action = clap::ArgAction::Set, global = true)]
    pub guests: bool,
    /// How mail is sent, and where its links lead.
    #[command(flatten)]
    pub mail: MailArgs,
    /// Where pictures are kept.
    #[command(flatten)]
    pub avatars: AvatarArgs,
    /// How much one account or address may do.
    #[command(flatten)]
    pub limits: LimitArgs,
    /// How long things are kept.
    #[command(flatten)]
    pub retention: RetentionArgs,
    /// How long a stopping api waits for running requests. Must be longer than the request timeout
    /// (20 s) and shorter than the time after which the process is killed
    #[arg(long, env = "DRAIN_SECONDS", default_value_t = 25, global = true,
        value_parser = value_parser!(u64).range(..=MAX_STOPPING_SECONDS))]
    pub drain_seconds: u64,
    /// How long a stopping api reports "not ready" and still accepts connections, so that load
    /// balancers notice
    #[arg(long, env = "SHUTDOWN_DELAY_SECONDS", default_value_t = 0, global = true,
        value_parser = value_parser!(u64).range(..=MAX_STOPPING_SECONDS))]
    pub shutdown_delay_seconds: u64,
    /// What is logged, and how.
    #[command(flatten)]
    pub log: LogArgs,
    /// Where traces go.
    #[command(flatten)]
    pub trace: TraceArgs,
}

/// The checked values that an api needs to serve, beyond the settings themselves.
pub struct CheckedApi {
    /// The numbers of the services.
    pub config: Config,
    /// Where Redis is.
    pub redis: RedisConfigs,
    /// The keys of access tokens.
    pub tokens: Tokens,
}

impl Settings {
    /// Checks the settings. An error is one sentence about the first setting that is missing or
    /// wrong.
    pub fn check(&self) -> Result<CheckedApi, String> {
        if self.database_url.is_none() {
            return Err(ConnectError::Missing.to_string());
        }
        let redis = self.redis.check()?;
        let internal_token = self.internal_token.as_ref().ok_or_else(|| {
            missing("INTERNAL_TOKEN", "the secret that gateways present, at least 16 characters")
        })?;
        let internal_tokens = shared_secrets("INTERNAL_TOKEN", internal_token)?;
        let key = self.jwt_private_key.as_ref().ok_or_else(|| {
            missing("JWT_PRIVATE_KEY", "the output of `openssl genpkey -algorithm ed25519`")
        })?;
        let tokens = Tokens::from_pem(key.reveal())
            .map_err(|error| format!("JWT_PRIVATE_KEY: {error:#}"))?;
        let allowed_origins = self.allowed_origins.iter().flatten().cloned().collect();
        let mut config =
            Config { allowed_origins, internal_tokens, guests: self.guests, ..Config::default() };
        self.mail.apply(&mut config)?;
        self.avatars.apply(&mut config)?;
        self.limits.apply(&mut config)?;
        self.retention.apply(&mut config)?;
        self.trace.check()?;
        Ok(CheckedApi { config, redis, tokens })
    }

    /// The configuration of the database connections.
    pub fn database(&self) -> DbConfig {
        let all = self.database_connections;
        let max_connections_apart = (all * 3 / 8).max(1);
        DbConfig {
            password: self.database_password.clone(),
            replicas: self.database_replica_url.clone(),
            max_connections: all.saturating_sub(max_connections_apart).max(1),
            max_connections_apart,
            ..DbConfig::default()
        }
    }
}

fn missing(name: &str, what: &str) -> String {
    format!("{name} is missing. Set it to {what}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        auth::tokens::generate_pem,
        config::{AvatarBucket, AvatarStore, BucketKey},
    };
    use clap::CommandFactory as _;
    use std::time::Duration;

    fn try_settings(arguments: &[&str]) -> Result<Settings, String> {
        let key = format!("--jwt-private-key={}", generate_pem().unwrap().reveal());
        let mut all = vec!["api", "--database-url=sqlite:x", "--redis-url=redis://127.0.0.1:1"];
        all.extend(["--internal-token=0123456789abcdef", &key]);
        all.extend(arguments);
        Settings::try_parse_from(all).map_err(|error| error.to_string())
    }

    fn settings(arguments: &[&str]) -> Settings {
        try_settings(arguments).unwrap()
    }

    #[test]
    fn the_command_line_is_consistent() {
        Settings::command().debug_assert();
        assert_eq!(settings(&[]).command, None);
        assert_eq!(settings(&["serve", "--listen", "127.0.0.1:1"]).listen.0.port(), 1);
        assert_eq!(
            settings(&["admin", "create"]).command,
            Some(ApiCommand::Admin(AdminCommand::Create))
        );
    }

    fn store(arguments: &[&str]) -> Result<Option<AvatarStore>, String> {
        settings(arguments).check().map(|checked| checked.config.avatars.store)
    }

    #[test]
    fn pictures_are_kept_in_a_folder_or_a_bucket() {
        assert_eq!(store(&[]), Ok(None));
        assert_eq!(
            store(&["--avatars-url=file:///srv/faces"]),
            Ok(Some(AvatarStore::Folder("/srv/faces".into())))
        );
        let bucket = AvatarBucket {
            name: "faces".to_owned(),
            prefix: "chat/people".to_owned(),
            endpoint: Some("http://minio:9000".to_owned()),
            region: None,
            key: Some(BucketKey { id: "chat".to_owned(), secret: Secret::new("hidden") }),
        };
        let url = "--avatars-url=s3://faces/chat/people/";
        let key = ["--aws-access-key-id=chat", "--aws-secret-access-key=hidden"];
        let endpoint = "--aws-endpoint-url=http://minio:9000/";
        assert_eq!(store(&[url, endpoint, key[0], key[1]]), Ok(Some(AvatarStore::Bucket(bucket))));
        for (arguments, named) in [
            (vec!["--avatars-url=/srv/faces"], "AVATARS_URL"),
            (vec!["--avatars-url=file://host/faces"], "AVATARS_URL"),
            (vec!["--avatars-url=s3:///faces"], "AVATARS_URL"),
            (vec!["--avatars-url=s3://id:hidden@faces"], "AVATARS_URL"),
            (vec!["--avatars-url=https://faces.example.com"], "AVATARS_URL"),
            (vec![url, "--aws-endpoint-url=minio:9000"], "AWS_ENDPOINT_URL"),
            (vec![url, key[0]], "AWS_SECRET_ACCESS_KEY"),
            (vec![url, key[1]], "AWS_ACCESS_KEY_ID"),
        ] {
            let why = store(&arguments).unwrap_err();
            assert!(why.starts_with(named) && !why.contains("hidden"), "{arguments:?}: {why}");
        }
    }

    #[test]
    fn good_settings_become_a_configuration() {
        let checked = settings(&[
            "--allowed-origins=https://A.example.com:443/, http://localhost:3000",
            "--logins-per-minute=60",
            "--deleted-chat-retention-days=1",
            "--guest-retention-days=0",
        ])
        .check()
        .map_err(|why| panic!("{why}"));
        let config = checked.map(|checked| checked.config).unwrap();
        let origins = config.allowed_origins.iter().map(Origin::as_str);
        assert_eq!(origins.collect::<Vec<_>>(), ["https://a.example.com", "http://localhost:3000"]);
        assert_eq!(config.login_per_address.per, Duration::from_secs(1));
        let day = Duration::from_secs(86_400);
        assert_eq!((config.retention.deleted_chats, config.retention.guests), (Some(day), None));
    }

    #[test]
    fn bad_settings_are_named_and_secrets_not_repeated() {
        for (argument, name) in [
            ("--database-connections=1", "DATABASE_CONNECTIONS"),
            ("--allowed-origins=example.com", "ALLOWED_ORIGINS"),
            ("--allowed-origins=https://a.b, https://a.b/c", "\"https://a.b/c\""),
            ("--trusted-proxies=10.0.0.5,proxy", "TRUSTED_PROXIES"),
            ("--registrations-per-minute=0", "REGISTRATIONS_PER_MINUTE"),
            ("--requests-per-second=0", "REQUESTS_PER_SECOND"),
            ("--guest-retention-days=1", "GUEST_RETENTION_DAYS"),
        ] {
            let settings = try_settings(&[argument]);
            let why = settings.and_then(|settings| settings.check().map(drop)).unwrap_err();
            assert!(why.contains(name) && !why.contains("cdef"), "{why}");
        }
        let nothing = Settings::try_parse_from(["api"]).unwrap();
        assert!(nothing.check().err().unwrap().contains("is missing"));
    }

    #[test]
    fn the_defaults_of_both_places_agree() {
        let mut config = Config::default();
        let limits = |config: &Config| {
            [
                config.requests,
                config.requests_without_account,
                config.login_per_address,
                config.register_per_address,
            ]
        };
        let before = limits(&config);
        settings(&[]).limits.apply(&mut config).unwrap();
        assert_eq!(limits(&config), before);
        let before = (config.retention.deleted_chats, config.retention.guests);
        settings(&[]).retention.apply(&mut config).unwrap();
        assert_eq!((config.retention.deleted_chats, config.retention.guests), before);
    }
}
