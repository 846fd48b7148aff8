//! Schemathesis makes requests out of the OpenAPI document, good ones and bad ones, and looks whether
//! the answers are as documented: no 5xx, no status, content type, header or body of another kind, no
//! bad request taken, no credentials ignored. What it is told is in `schemathesis.toml`.
//!
//! It knows nothing of what an answer means; that is for the other tests.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use cluster::{Process, Program, free_port};
use serde_json::{Value, json};
use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};
use tempfile::TempDir;

/// Long for a machine that compiles beside it.
const START: Duration = Duration::from_secs(60);
/// What a run may take at most; it is bounded by its number of cases and takes a fraction of it.
const RUN: Duration = Duration::from_secs(600);
const PASSWORD: &str = "a password only for tests";

/// These end the session that a run lives from, so they have a run of their own.
const ENDING: [&str; 2] = ["logout", "end_session"];

#[tokio::test]
async fn no_request_made_from_the_document_is_answered_otherwise_than_documented() {
    let server = Server::start().await;
    server.furnish().await;
    let without = ENDING.map(|id| format!("--exclude-operation-id={id}"));
    let only = ENDING.map(|id| format!("--include-operation-id={id}"));
    let mut cases = 0;
    // The administrator last: it blocks people.
    for (name, user, cases_each, which, least) in [
        ("user", "bob", 20, &without, 1_500),
        ("ending", "bob", 20, &only, 50),
        ("admin", "admin", 12, &without, 1_500),
    ] {
        let token = server.sign_in(user).await;
        let done = server.run(name, &token, cases_each, which).await;
        assert!(done >= least, "{name}: only {done} cases, something keeps it from testing");
        println!("schemathesis as {name}: {done} cases, no failures");
        cases += done;
    }
    println!("schemathesis: {cases} cases in all, no failures");
}

/// A private `switchboard` on an empty data folder.
struct Server {
    process: Process,
    public: SocketAddr,
    folder: TempDir,
}

impl Server {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let (public, admin) = (local(free_port()), local(free_port()));
        let program = Program::new("switchboard", env!("CARGO_BIN_EXE_switchboard"), folder.path())
            .args(["--listen", &public.to_string(), "--admin-listen", &admin.to_string()])
            .args(["--data".as_ref(), folder.path().join("data").as_os_str()])
            .env("ADMIN_PASSWORD", PASSWORD)
            // Limits have tests of their own; here they would hide what is behind them.
            .env("REQUESTS_PER_SECOND", 1_000_000)
            .env("REQUESTS_WITHOUT_ACCOUNT_PER_SECOND", 1_000_000)
            .env("LOGINS_PER_MINUTE", 1_000_000)
            .env("REGISTRATIONS_PER_MINUTE", 1_000_000);
        let process = Process::start(program).unwrap();
        process.wait_ready(admin, START).await.unwrap();
        Self { process, public, folder }
    }

    /// Makes what `schemathesis.toml` names: admin is user 1, then ann and bob; the lobby, their private chat and
    /// bob's group, each with three messages. The chats' ids are drawn, so the file is completed with them.
    async fn furnish(&self) {
        let ann =
            self.post("/register", None, &json!({ "username": "ann", "password": PASSWORD })).await;
        let bob =
            self.post("/register", None, &json!({ "username": "bob", "password": PASSWORD })).await;
        assert_eq!((&ann["id"], &bob["id"]), (&json!(2), &json!(3)));
        let token = bob["access_token"].as_str();
        let mut chats = vec![json!(1)];
        for kind in ["private", "group"] {
            let chat = json!({ "chat_type": kind, "member_ids": [2] });
            chats.push(self.post("/chats", token, &chat).await["id"].clone());
        }
        for chat in &chats {
            for text in ["one", "two", "three"] {
                let path = format!("/chats/{chat}/messages");
                self.post(&path, token, &json!({ "text": text })).await;
            }
        }
        let config = include_str!("schemathesis.toml");
        let lobby = "chats = { values = [1] }";
        assert!(config.contains(lobby));
        let chats = format!("chats = {{ values = {} }}", Value::from(chats));
        fs::write(self.config(), config.replace(lobby, &chats)).unwrap();
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("schemathesis.toml")
    }

    async fn sign_in(&self, username: &str) -> String {
        let answer =
            self.post("/login", None, &json!({ "username": username, "password": PASSWORD })).await;
        answer["access_token"].as_str().unwrap().to_owned()
    }

    async fn post(&self, path: &str, token: Option<&str>, body: &Value) -> Value {
        let request =
            reqwest::Client::new().post(format!("http://{}{path}", self.public)).json(body);
        let request = match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {answer:?}");
        answer.json().await.unwrap()
    }

    /// Tries every operation with this token; returns how many requests that were. Panics with
    /// schemathesis's own report when it found something.
    async fn run(&self, name: &str, token: &str, cases_each: u32, which: &[String]) -> u64 {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
        let program = tests.join("../target/test-tools/bin/schemathesis");
        assert!(program.exists(), "{program:?} is missing: run scripts/install-test-tools");
        let report = self.folder.path().join(format!("{name}.json"));
        let program = Program::new(format!("schemathesis-{name}"), program, self.folder.path())
            .args(["--config-file".as_ref(), self.config().as_os_str()])
            .args(["run", &format!("http://{}/openapi.json", self.public), "--no-color"])
            .args([format!("--max-examples={cases_each}")])
            .args(which)
            .args(["--report=json".as_ref(), "--report-json-path".as_ref(), report.as_os_str()])
            .env("SCHEMATHESIS_TOKEN", token)
            // What it keeps between runs goes with this one.
            .env("HYPOTHESIS_STORAGE_DIRECTORY", self.folder.path().join("hypothesis").display());
        let run = Process::start(program).unwrap();
        let code = run.wait(RUN).await.unwrap();
        let said = fs::read_to_string(run.log()).unwrap();
        assert_eq!(code, 0, "as {name}:\n{said}\n{}", self.process.log_tail());
        let exit = self.process.exit_code().unwrap();
        assert!(exit.is_none(), "the server ended: {}", self.process.log_tail());
        cases(&report)
    }
}

/// How many requests a run made, out of its report.
fn cases(report: &Path) -> u64 {
    let report: Value = serde_json::from_slice(&fs::read(report).unwrap()).unwrap();
    report["test_cases"]["generated"].as_u64().unwrap()
}
