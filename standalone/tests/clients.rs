//! The commands of `docs/clients.md`, as a reader would run them: every `sh` block in order, in one
//! bash, against a private server with the demo data. Whatever block follows one is what it prints,
//! with `…` for what differs from time to time. What the answers mean is tried in `system`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use cluster::{Process, Program, free_port};
use std::{
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::{ExitStatus, Stdio},
    time::Duration,
};
use tokio::{process::Command, time::timeout};

const PAGE: &str = include_str!("../../docs/clients.md");
/// Where the page's commands go.
const ADDRESS: &str = "127.0.0.1:8000";
/// Where `scripts/install-test-tools` puts websocat.
const TOOLS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/test-tools/bin");
/// Long for a machine that compiles beside it; the whole page takes a few seconds.
const PATIENCE: Duration = Duration::from_secs(120);
/// The files that take what the commands print, and what they complain about.
const PRINTED: &str = "printed.txt";
const SAID: &str = "said.txt";
/// Printed after each block: the ASCII record separator, which no answer has.
const END: char = '\u{1e}';

/// Commands, and what the page says that they print.
struct Step<'a> {
    commands: &'a str,
    printed: Option<&'a str>,
}

#[tokio::test]
async fn the_commands_of_the_page_work_and_print_what_it_says() {
    let steps = steps(PAGE);
    assert!(steps.len() > 5, "the page has only {} blocks of commands", steps.len());
    let folder = tempfile::tempdir().unwrap();
    let (server, address) = serve(folder.path()).await;

    let mut script = "set -euo pipefail\n".to_owned();
    for step in &steps {
        script += &step.commands.replace(ADDRESS, &address.to_string());
        script += &format!("\nprintf '\\x{:02x}'\n", u32::from(END));
    }
    let status = timeout(PATIENCE, bash(&script, folder.path())).await;
    let read =
        |name| String::from_utf8_lossy(&fs::read(folder.path().join(name)).unwrap()).into_owned();
    let (printed, said) = (read(PRINTED), read(SAID));
    let printed: Vec<&str> = printed.split(END).collect();

    for (step, printed) in steps.iter().zip(&printed) {
        if let Some(expected) = step.printed {
            assert!(
                is_like(expected, printed),
                "the page says that\n{}\nprints\n{expected}\nand it prints\n{printed}\n{said}",
                step.commands
            );
        }
    }
    if let Some(failed) = steps.get(printed.len() - 1) {
        let last = printed.last().unwrap();
        let how = if status.is_err() { "does not end" } else { "failed" };
        panic!("this {how}:\n{}\n{last}\n{said}{}", failed.commands, server.log_tail());
    }
    assert!(status.unwrap().success(), "{said}");
}

/// The page's blocks of commands, each with what follows it.
fn steps(page: &str) -> Vec<Step<'_>> {
    let mut steps: Vec<Step<'_>> = Vec::new();
    let blocks = page.split("\n```").skip(1).step_by(2);
    for block in blocks {
        let (language, body) = block.split_once('\n').unwrap();
        match (language, steps.last_mut()) {
            ("sh", _) => steps.push(Step { commands: body, printed: None }),
            (_, Some(step)) if step.printed.is_none() => step.printed = Some(body),
            _ => panic!("this follows no commands:\n{body}"),
        }
    }
    steps
}

/// Whether a text is the pattern, in which `…` is any text, also none.
fn is_like(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.trim(), text.trim());
    let mut pieces = pattern.split('…');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let Some(last) = pieces.next_back() else { return rest.is_empty() };
    for piece in pieces {
        match rest.split_once(piece) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[test]
fn the_wildcard_stands_for_any_text() {
    for (pattern, text, like) in [
        ("abc", " abc\n", true),
        ("abc", "abcd", false),
        ("a…c", "abbc", true),
        ("a…c", "ac", true),
        ("a…c", "abd", false),
        ("a…c…", "abcb", true),
        ("a…b…c", "a b1 b2 c", true),
        ("a…b…c", "a c", false),
        ("…", "", true),
    ] {
        assert_eq!(is_like(pattern, text), like, "{pattern} {text}");
    }
}

async fn serve(folder: &Path) -> (Process, SocketAddr) {
    let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let (public, admin) = (local(free_port()), local(free_port()));
    let program = Program::new("switchboard", env!("CARGO_BIN_EXE_switchboard"), folder)
        .args(["--demo", "--listen", &public.to_string(), "--admin-listen", &admin.to_string()])
        .args(["--data".as_ref(), folder.join("data").as_os_str()])
        .env("ADMIN_PASSWORD", "a password only for tests");
    let process = Process::start(program).unwrap();
    process.wait_ready(admin, PATIENCE).await.unwrap();
    (process, public)
}

/// What the commands print and complain goes to files, so that it can be read when one does not end.
async fn bash(script: &str, folder: &Path) -> ExitStatus {
    #[expect(clippy::disallowed_methods, reason = "the tools go before what is on the path")]
    let path = std::env::var("PATH").unwrap_or_default();
    let bash = Command::new("bash")
        .args(["-c", script])
        .current_dir(folder)
        .env("PATH", format!("{TOOLS}:{path}"))
        .stdin(Stdio::null())
        .stdout(File::create(folder.join(PRINTED)).unwrap())
        .stderr(File::create(folder.join(SAID)).unwrap())
        .kill_on_drop(true)
        .spawn();
    bash.unwrap().wait().await.unwrap()
}
