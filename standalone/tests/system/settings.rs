//! What people write in settings: taken where the meaning is clear, else one line and an exit code before
//! anything is made. What each value may look like is tried where it is read, in `platform`.

use crate::harness::{Mode, Rest, System, until};
use api::auth::tokens::generate_pem;
use cluster::{Process, Program, free_port};
use reqwest::Method;
use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    process::Stdio,
    time::Duration,
};

const SWITCHBOARD: &str = env!("CARGO_BIN_EXE_switchboard");

/// Long for a machine that compiles beside it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process that is expected to end by itself.
#[derive(Debug)]
struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

async fn run(binary: &Path, arguments: &[&str], settings: &[(&str, &str)]) -> Ended {
    let mut command = tokio::process::Command::new(binary);
    command.args(arguments).envs(settings.iter().copied()).stdin(Stdio::null()).kill_on_drop(true);
    let ended = tokio::time::timeout(PATIENCE, command.output()).await;
    let output = ended.unwrap_or_else(|_| panic!("{arguments:?} {settings:?}: it runs")).unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    Ended { code: output.status.code(), stdout, stderr }
}

impl Ended {
    /// It says this in one line on stderr, and nothing else.
    #[track_caller]
    fn is_refused(&self, code: i32, words: &str) {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert_eq!(self.stderr.trim_end().lines().count(), 1, "{self:?}");
        assert!(self.stderr.starts_with("error: ") && self.stderr.contains(words), "{self:?}");
        assert!(!self.stderr.contains("For more information"), "{self:?}");
        assert_eq!(self.stdout, "");
    }
}

/// An address that somebody listens on, for as long as the listener lives.
fn taken() -> (TcpListener, String) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

#[tokio::test]
async fn a_wrong_setting_is_one_line_and_nothing_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let data = data.to_str().unwrap();
    let (_listener, taken) = taken();
    let [public, admin] = ["listen", "admin-listen"].map(|name| format!("--{name}={taken}"));
    let cannot_listen = format!("cannot listen on {taken}: ");
    let cases: [(&str, i32, &str); 18] = [
        ("--allowed-origins=not an origin", 64, "https://chat.example.com"),
        ("--allowed-origins=https://a.example.com,*", 64, "\"*\""),
        ("--trusted-proxies=10.0.0.5,proxy", 64, "\"proxy\""),
        ("--listen=nonsense", 64, "127.0.0.1:8000"),
        ("--listen=127.0.0.1", 64, "127.0.0.1:8000"),
        ("--listen=127.0.0.1:99999", 64, "127.0.0.1:8000"),
        ("--max-connections=abc", 64, "it must be a whole number"),
        ("--max-connections=99999999999999999999", 64, "the number is too large"),
        ("--drain-seconds=18446744073709551615", 64, "a whole number from 0 to 86400"),
        ("--shutdown-delay-seconds=-1", 64, "it must be a whole number"),
        ("--log=blah=", 64, "names no level"),
        ("--log=gatway=debug", 64, "would be silent"),
        ("--admin-password=short", 64, "ADMIN_PASSWORD must have 8 to 128 characters"),
        ("--otlp-endpoint=nonsense", 64, "OTEL_EXPORTER_OTLP_ENDPOINT"),
        ("--no-such-flag", 64, "--no-such-flag"),
        ("surprise", 64, "surprise"),
        // The administrator's password, which is told once, is not told either.
        (&public, 1, &cannot_listen),
        (&admin, 1, &cannot_listen),
    ];
    for (argument, code, words) in cases {
        let free = ["--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0"];
        let free = free.iter().filter(|free| free.split('=').next() != argument.split('=').next());
        let arguments = [argument, "--data", data].into_iter().chain(free.copied());
        let ended = run(SWITCHBOARD.as_ref(), &arguments.collect::<Vec<_>>(), &[]).await;
        ended.is_refused(code, words);
        assert!(!Path::new(data).exists(), "{argument}: a folder was made");
    }
}

#[tokio::test]
async fn a_subcommand_fails_in_the_same_way_and_shows_what_it_needs() {
    let nobody = format!("--admin-listen=127.0.0.1:{}", free_port());
    for command in [&["health", &nobody][..], &[&nobody, "log"], &["log", "debug", &nobody]] {
        run(SWITCHBOARD.as_ref(), command, &[]).await.is_refused(1, "nothing answers at");
    }
    for (command, shown, hidden) in [
        ("serve", "--logins-per-minute", "--no-such"),
        ("log", "--admin-listen", "--logins-per-minute"),
        ("backup", "--data", "--listen"),
        ("admin", "--admin-password", "--guests"),
    ] {
        let help = run(SWITCHBOARD.as_ref(), &[command, "--help"], &[]).await;
        assert_eq!(help.code, Some(0), "{help:?}");
        let shows = |flag: &str| help.stdout.contains(&format!(" {flag} <"));
        assert!(shows(shown) && !shows(hidden), "{}", help.stdout);
    }
}

#[tokio::test]
async fn all_binaries_refuse_in_the_same_way() {
    // Builds them.
    let _t = System::start(Mode::Cluster).await;
    let folder = tempfile::tempdir().unwrap();
    let database = format!("sqlite:{}", folder.path().join("db").display());
    let key = generate_pem().unwrap();
    let (_listener, taken) = taken();
    let (secret, redis, nobody) = ("0123456789abcdef", "redis://127.0.0.1:1", "127.0.0.1:0");
    let good: [(&str, &[(&str, &str)]); 3] = [
        ("gateway", &[("API_URL", "http://127.0.0.1:1")]),
        ("api", &[("DATABASE_URL", &database), ("JWT_PRIVATE_KEY", key.reveal())]),
        ("canary", &[("CANARY_PASSWORD", "a password only for tests")]),
    ];
    let common = [
        ("INTERNAL_TOKEN", secret),
        ("REDIS_URL", redis),
        ("LISTEN", nobody),
        ("INTERNAL_LISTEN", nobody),
        ("LOG", "error"),
    ];
    let cannot_listen = format!("cannot listen on {taken}: ");
    let wrong: [(&str, &str, i32, &str); 3] = [
        ("ADMIN_LISTEN", "localhost", 64, "127.0.0.1:8000"),
        ("LOG", "blah=", 64, "names no level"),
        ("ADMIN_LISTEN", &taken, 1, &cannot_listen),
    ];
    for (name, own) in good {
        let binary = Path::new(SWITCHBOARD).with_file_name(name);
        for (setting, value, code, words) in wrong {
            let all: Vec<_> = common.iter().chain(own).copied().chain([(setting, value)]).collect();
            run(&binary, &[], &all).await.is_refused(code, words);
        }
    }
    for (name, setting, value, words) in [
        ("gateway", "API_URL", "http://a:1, b:2", "\"b:2\""),
        ("gateway", "ALLOWED_ORIGINS", "https://a.example.com/page", "https://chat.example.com"),
        ("api", "ALLOWED_ORIGINS", "https://a.example.com/page", "https://chat.example.com"),
        ("gateway", "INTERNAL_TOKEN", "short", "at least 16 characters"),
        ("api", "INTERNAL_TOKEN", "short", "at least 16 characters"),
        ("api", "ADMIN_PASSWORD", "short", "ADMIN_PASSWORD must have 8 to 128 characters"),
        ("canary", "GATEWAY_URL", "ws://a", "http://host:port"),
    ] {
        let own = good.iter().find(|(binary, _)| *binary == name).unwrap().1;
        let all: Vec<_> = common.iter().chain(own).copied().chain([(setting, value)]).collect();
        let binary = Path::new(SWITCHBOARD).with_file_name(name);
        run(&binary, &[], &all).await.is_refused(64, words);
    }
}

/// A switchboard of this test, and where its admin listener is.
fn switchboard(folder: &Path, settings: &[(&str, &str)]) -> (Program, SocketAddr) {
    let admin = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let program = Program::new("switchboard", SWITCHBOARD, folder)
        .env("DATA", folder.join("data").display())
        .env("LISTEN", "127.0.0.1:0")
        .env("ADMIN_LISTEN", admin);
    (settings.iter().fold(program, |all, (name, value)| all.env(*name, value)), admin)
}

#[tokio::test]
async fn settings_are_taken_as_people_write_them() {
    let folder = tempfile::tempdir().unwrap();
    let (public, admin) = (free_port(), free_port());
    let (program, _) = switchboard(
        folder.path(),
        &[
            ("LISTEN", &public.to_string()),
            ("ADMIN_LISTEN", &format!("localhost:{admin}")),
            ("ALLOWED_ORIGINS", "https://A.example.com:443/, https://b.example.com,"),
            ("TRUSTED_PROXIES", "127.0.0.1, ::1"),
            ("LOG", "info, gateway=debug"),
            // What compose makes of variables that nobody set.
            ("ADMIN_PASSWORD", ""),
            ("MAX_CONNECTIONS", ""),
            ("GUESTS", ""),
            ("DEMO", ""),
        ],
    );
    let process = Process::start(program).unwrap();
    process.wait_ready((Ipv4Addr::LOCALHOST, admin).into(), PATIENCE).await.unwrap();
    for words in ["password: ".to_owned(), format!("open http://127.0.0.1:{public}")] {
        until(&words, async || {
            fs::read_to_string(process.log()).unwrap().contains(&words).then_some(())
        })
        .await;
    }
    let rest = Rest::new(format!("http://127.0.0.1:{public}"));
    for (origin, allowed) in
        [("https://a.example.com", true), ("https://b.example.com", true), ("https://c", false)]
    {
        let answer = rest.request(Method::GET, "/users").header("origin", origin).send().await;
        let named = answer.unwrap().headers().contains_key("access-control-allow-origin");
        assert_eq!(named, allowed, "{origin}");
    }
}

#[tokio::test]
async fn an_administrators_password_that_does_nothing_stops_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let start = async |password: &str| {
        let (program, admin) = switchboard(folder.path(), &[("ADMIN_PASSWORD", password)]);
        let process = Process::start(program).unwrap();
        process.wait_ready(admin, PATIENCE).await.unwrap();
        process
    };
    start("a password only for tests").await.kill().await.unwrap();
    start("short").await;
}
