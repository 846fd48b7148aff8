//! The settings of an api, given by flags or environment variables. Other numbers are in [`crate::config`].

use crate::{
    accounts::people::{MAX_PEOPLE, Show},
    auth::tokens::Tokens,
    avatars,
    config::{AvatarBucket, AvatarStore, BucketKey, Config, MailServer},
    db::{ConnectError, DbConfig},
    lookalikes::ADMIN,
    mail,
};
use clap::{Args, Parser, Subcommand, value_parser};
use platform::{
    bus::RedisConfig,
    lifecycle::MAX_STOPPING_SECONDS,
    limit::Rate,
    settings::{
        COMMON_NEEDS, CommaSeparated, CommandNeeds, ListenAddr, Origin, Secret, TrustedNetwork,
        shared_secrets,
    },
    telemetry::{LogArgs, LogCommand, trace::TraceArgs},
};
use std::{path::PathBuf, time::Duration};
use url::Url;

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
    /// The number of connections to PostgreSQL. Three of every eight serve clients' REST requests,
    /// the others serve gateways' calls. The total for all apis must fit the server's
    /// max_connections (100 by default) and leave room for operators
    #[arg(long, env = "DATABASE_CONNECTIONS", default_value_t = 16, global = true,
        value_parser = value_parser!(u32).range(2..=10_000))]
    pub database_connections: u32,
    /// Update the database schema before serving. Several apis may try at the same time. Turn it
    /// off if `api migrate` runs first with rights that the serving process must not have
    #[arg(long, env = "MIGRATE", default_value_t = true, action = clap::ArgAction::Set, global = true)]
    pub migrate: bool,
    /// The Redis server that relays to the gateways: `redis://[:password@]host:port[/db]`
    #[arg(long, env = "REDIS_URL", hide_env_values = true, global = true)]
    pub redis_url: Option<Secret>,
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

/// What the `api` binary does.
#[derive(Subcommand, Clone, Debug, PartialEq, Eq)]
pub enum ApiCommand {
    /// Serve requests (the default)
    Serve,
    /// Update the database schema and exit
    Migrate,
    /// Create four users, a private chat and a group to try things out, and exit. Their password,
    /// password123, is public: never do this where others can connect. Running it again changes
    /// nothing
    Demo,
    /// Check whether an api on this machine accepts requests: exit code 0 if it does, 1 if not
    Health,
    /// Show or temporarily change the log filter of an api on this machine
    Log(LogCommand),
    /// Create the secrets of a deployment in a folder, each in a file named after its setting.
    /// Existing files are kept, so you can run it again. If FOLDER/NAME is a folder, the file is
    /// written into that folder
    Secrets {
        /// The folder; created if it does not exist
        folder: PathBuf,
    },
    /// Run this after restoring a backup and before anything starts. Clients then reload everything
    /// instead of resuming from positions in a history that no longer exists
    Restored,
    /// Manage accounts and administrators, even while apis serve the database
    #[command(subcommand)]
    Admin(AdminCommand),
}

/// What the subcommands that do not serve need.
pub const COMMAND_NEEDS: &[CommandNeeds] = &[
    COMMON_NEEDS[0],
    COMMON_NEEDS[1],
    ("secrets", &["log", "log_format"]),
    ("migrate", &["database_url", "database_password", "log", "log_format"]),
    ("demo", &["database_url", "database_password", "migrate", "log", "log_format"]),
    ("restored", &["database_url", "database_password", "migrate", "log", "log_format"]),
    ("admin", &["database_url", "database_password", "admin_password", "log", "log_format"]),
];

/// The administrators' commands of `api` and `switchboard`.
#[derive(Subcommand, Clone, Debug, PartialEq, Eq)]
pub enum AdminCommand {
    /// Create `admin` with ADMIN_PASSWORD, or with a random password that is printed once
    Create,
    /// List the administrators
    List,
    /// Give an account a new random password and print it once. The account's sessions end within
    /// seconds
    Password {
        /// The account
        #[arg(default_value = ADMIN)]
        username: String,
    },
    /// List accounts, or find them by any part of a name: id, username, role, whether it is blocked,
    /// when it was created and its display name, separated by tabs, the newest first
    People {
        /// A part of a username or display name, in any case [default: everybody]
        text: Option<String>,
        /// Which people
        #[arg(long, value_enum, default_value_t = Show::Accounts)]
        show: Show,
        /// Go on after the person with this id, which the last line named
        #[arg(long)]
        before: Option<i64>,
        /// The maximum number of people, at most 100
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=MAX_PEOPLE))]
        limit: i64,
    },
    /// Shut an account out: its sessions end within seconds, and it cannot sign in. The last
    /// administrator cannot be blocked
    Block {
        /// The account, or `@name` for the guest of that name
        username: String,
        /// Why, for the audit log
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Let a blocked account in again. Its old sessions stay ended
    Unblock {
        /// The account, or `@name` for the guest of that name
        username: String,
        /// Why, for the audit log
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// List the devices on which an account is signed in: since when, when it was last used, and
    /// what the device calls itself
    Sessions {
        /// The account
        username: String,
        /// Sign the account out everywhere instead, within seconds. The password stays
        #[arg(long)]
        end: bool,
    },
    /// Show a text at the top of the page to everybody who is connected, in place of the one before;
    /// within seconds, and to those who connect later
    Announce {
        /// One or two sentences, at most 300 characters
        text: String,
        /// Take it away after so many hours, at most 744 [default: it stays until it is withdrawn]
        #[arg(long)]
        hours: Option<u32>,
    },
    /// Take the announcement away
    Withdraw,
    /// Make an account an administrator, effective at its next sign-in
    Promote {
        /// The account
        username: String,
    },
    /// Make an administrator an ordinary user, effective at once. The last administrator cannot be
    /// demoted
    Demote {
        /// The account
        username: String,
    },
}

/// E-mail for lost passwords and for verifying addresses. The one-process binary has it too.
#[derive(Args, Clone, Debug)]
pub struct MailArgs {
    /// The address at which people open the page, such as `https://chat.example.com`: links in
    /// e-mails lead there
    #[arg(long, env = "PUBLIC_URL", global = true)]
    pub public_url: Option<Origin>,
    /// The mail server: `smtps://user:password@mail.example.com`, or `smtp://mail.example.com:587`
    /// with `?tls=required` for STARTTLS. Without it, nobody can ask for a new password by e-mail,
    /// and administrators hand out links instead
    #[arg(long, env = "SMTP_URL", hide_env_values = true, global = true)]
    pub smtp_url: Option<Secret>,
    /// The sender of e-mails, such as `Switchboard <chat@example.com>`
    #[arg(long, env = "MAIL_FROM", global = true)]
    pub mail_from: Option<String>,
}

impl MailArgs {
    /// Copies these values into the configuration. An error is one sentence.
    pub fn apply(&self, config: &mut Config) -> Result<(), String> {
        config.public_url = self.public_url.clone();
        let Some(url) = self.smtp_url.clone() else { return Ok(()) };
        let from = self.mail_from.clone();
        let from = from.ok_or_else(|| missing("MAIL_FROM", "the sender of e-mails"))?;
        if self.public_url.is_none() {
            return Err(missing("PUBLIC_URL", "the address of the page, for links in e-mails"));
        }
        let server = MailServer { url, from };
        mail::check(&server)?;
        config.mail.server = Some(server);
        Ok(())
    }
}

/// Where pictures of people are kept. The one-process binary has these settings too.
#[derive(Args, Clone, Debug)]
pub struct AvatarArgs {
    /// Where pictures of people are kept: a folder that all apis share, such as
    /// `file:///var/lib/switchboard/avatars`, or a bucket of any server that speaks S3,
    /// `s3://bucket/prefix`. Without it, an api refuses pictures; the one-process binary keeps them in
    /// its data folder
    #[arg(long, env = "AVATARS_URL", global = true)]
    pub avatars_url: Option<String>,
    /// The S3 server, such as `https://minio.example.com:9000` [default: Amazon's]
    #[arg(long, env = "AWS_ENDPOINT_URL", global = true)]
    pub aws_endpoint_url: Option<String>,
    /// The region of the bucket [default: us-east-1]
    #[arg(long, env = "AWS_REGION", global = true)]
    pub aws_region: Option<String>,
    /// The name of an access key that may get, put and delete objects in the bucket [default: the
    /// role of the machine or pod]
    #[arg(long, env = "AWS_ACCESS_KEY_ID", global = true)]
    pub aws_access_key_id: Option<String>,
    /// The secret of that access key
    #[arg(long, env = "AWS_SECRET_ACCESS_KEY", hide_env_values = true, global = true)]
    pub aws_secret_access_key: Option<Secret>,
}

impl AvatarArgs {
    /// Copies these values into the configuration. An error is one sentence.
    pub fn apply(&self, config: &mut Config) -> Result<(), String> {
        let Some(url) = &self.avatars_url else { return Ok(()) };
        let store = self.store(url)?;
        avatars::check(&store)?;
        config.avatars.store = Some(store);
        Ok(())
    }

    fn store(&self, url: &str) -> Result<AvatarStore, String> {
        let wrong = || {
            "AVATARS_URL: write it as file:///var/lib/switchboard/avatars, or as s3://bucket/prefix"
                .to_owned()
        };
        let url = Url::parse(url).map_err(|_| wrong())?;
        let is_bare =
            url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
        match (url.scheme(), url.host_str()) {
            ("file", None) if is_bare => {
                Ok(AvatarStore::Folder(url.to_file_path().map_err(|()| wrong())?))
            }
            ("s3", Some(bucket)) if is_bare && url.port().is_none() => {
                Ok(AvatarStore::Bucket(AvatarBucket {
                    name: bucket.to_owned(),
                    prefix: url.path().trim_matches('/').to_owned(),
                    endpoint: self.endpoint()?,
                    region: self.aws_region.clone(),
                    key: self.key()?,
                }))
            }
            _ => Err(wrong()),
        }
    }

    fn endpoint(&self) -> Result<Option<String>, String> {
        let Some(endpoint) = &self.aws_endpoint_url else { return Ok(None) };
        let parsed = Url::parse(endpoint).ok();
        let fits = parsed.is_some_and(|url| {
            matches!(url.scheme(), "http" | "https") && url.has_host() && url.username().is_empty()
        });
        match fits {
            true => Ok(Some(endpoint.trim_end_matches('/').to_owned())),
            false => Err("AWS_ENDPOINT_URL: write it as https://s3.example.com".to_owned()),
        }
    }

    fn key(&self) -> Result<Option<BucketKey>, String> {
        match (self.aws_access_key_id.clone(), self.aws_secret_access_key.clone()) {
            (Some(id), Some(secret)) => Ok(Some(BucketKey { id, secret })),
            (None, None) => Ok(None),
            (Some(_), None) => {
                Err(missing("AWS_SECRET_ACCESS_KEY", "the secret of AWS_ACCESS_KEY_ID"))
            }
            (None, Some(_)) => {
                Err(missing("AWS_ACCESS_KEY_ID", "the name of the key in AWS_SECRET_ACCESS_KEY"))
            }
        }
    }
}

/// Limits per account and per address. The one-process binary has them too.
#[derive(Args, Clone, Debug)]
pub struct LimitArgs {
    /// Cost units per second that an account may spend over REST on all apis together; after a
    /// quiet period, a burst of four times as many. A cheap read costs 1. A change costs 5, so that
    /// REST accepts as many messages as FRAMES_PER_SECOND lets a socket send. A page costs as much
    /// as it may read. Raise the limit for a load test
    #[arg(long, env = "REQUESTS_PER_SECOND", default_value_t = 250, global = true)]
    pub requests_per_second: u32,
    /// The same limit for all clients behind one address that present no account: sign-ins, the
    /// guests' lobby, /status. The default is twice an account's limit, so that a school behind one
    /// router can reconnect at once
    #[arg(long, env = "REQUESTS_WITHOUT_ACCOUNT_PER_SECOND", default_value_t = 500, global = true)]
    pub requests_without_account_per_second: u32,
    /// Sign-in attempts per minute from one address; after a quiet period, a burst of five times as
    /// many. Enough for an office behind one router. Each attempt costs 15 ms of one core
    #[arg(long, env = "LOGINS_PER_MINUTE", default_value_t = 120, global = true)]
    pub logins_per_minute: u32,
    /// New accounts per minute from one address; after a quiet period, a burst of five times as
    /// many. Enough for a classroom that registers at once, not for a flood of accounts
    #[arg(long, env = "REGISTRATIONS_PER_MINUTE", default_value_t = 60, global = true)]
    pub registrations_per_minute: u32,
}

impl LimitArgs {
    /// Copies these values into the configuration. An error is one sentence.
    pub fn apply(&self, config: &mut Config) -> Result<(), String> {
        let second = Duration::from_secs(1);
        let minute = Duration::from_secs(60);
        config.requests = rate("REQUESTS_PER_SECOND", self.requests_per_second, second, 4)?;
        config.requests_without_account = rate(
            "REQUESTS_WITHOUT_ACCOUNT_PER_SECOND",
            self.requests_without_account_per_second,
            second,
            4,
        )?;
        config.login_per_address = rate("LOGINS_PER_MINUTE", self.logins_per_minute, minute, 5)?;
        config.register_per_address =
            rate("REGISTRATIONS_PER_MINUTE", self.registrations_per_minute, minute, 5)?;
        Ok(())
    }
}

/// How long deleted and unused data is kept. The one-process binary has these settings too.
#[derive(Args, Clone, Debug)]
pub struct RetentionArgs {
    /// Days until a deleted chat's messages are erased, at least 1. Its members are erased after an
    /// hour. Until then no user can see the messages, but an operator with access to the database
    /// can investigate abuse. 0 keeps them forever
    #[arg(long, env = "DELETED_CHAT_RETENTION_DAYS", default_value_t = 30, global = true)]
    pub deleted_chat_retention_days: u32,
    /// Days since their last visit until guests who never wrote anything are erased, at least 2.
    /// Only the guest's id is lost: the next person to use the name becomes a new guest. 0 keeps
    /// them forever
    #[arg(long, env = "GUEST_RETENTION_DAYS", default_value_t = 30, global = true)]
    pub guest_retention_days: u32,
}

impl RetentionArgs {
    /// Copies these values into the configuration. An error is one sentence.
    pub fn apply(&self, config: &mut Config) -> Result<(), String> {
        let days = |days: u32| match days {
            0 => None,
            days => Some(Duration::from_secs(u64::from(days) * 24 * 60 * 60)),
        };
        if self.guest_retention_days == 1 {
            return Err(
                "GUEST_RETENTION_DAYS must be at least 2, or 0 to keep guests forever".to_owned()
            );
        }
        config.retention.deleted_chats = days(self.deleted_chat_retention_days);
        config.retention.guests = days(self.guest_retention_days);
        Ok(())
    }
}

/// The checked values that an api needs to serve, beyond the settings themselves.
pub struct CheckedApi {
    /// The numbers of the services.
    pub config: Config,
    /// Where Redis is.
    pub redis: RedisConfig,
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
        let redis_url = self.redis_url.as_ref();
        let redis_url = redis_url.ok_or_else(|| {
            missing("REDIS_URL", "the Redis server that relays to the gateways, redis://host:port")
        })?;
        let redis = RedisConfig::new(redis_url).map_err(|error| format!("REDIS_URL: {error}"))?;
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
            max_connections: all.saturating_sub(max_connections_apart).max(1),
            max_connections_apart,
            ..DbConfig::default()
        }
    }
}

/// A rate of `count` per `time`, with a burst of `times` as many after a quiet period.
fn rate(name: &str, count: u32, time: Duration, times: u32) -> Result<Rate, String> {
    if count == 0 {
        return Err(format!("{name} must be at least 1"));
    }
    Ok(Rate { per: time / count, burst: count.saturating_mul(times) })
}

fn missing(name: &str, what: &str) -> String {
    format!("{name} is missing. Set it to {what}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::tokens::generate_pem;
    use clap::CommandFactory as _;

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
