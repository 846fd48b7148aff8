//! Calls a running Switchboard process through its admin listener, from inside its container or machine, as
//! the subcommand `health` does. For images that have no shell and no curl.

use crate::settings::reachable;
use axum::http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use std::{net::SocketAddr, process::ExitCode, time::Duration};

/// A process that turns answers in milliseconds; an api asks its database for up to a second.
const PATIENCE: Duration = Duration::from_secs(3);

/// The admin listener's answers are short; `/metrics` is not asked for here.
const MAX_ANSWER_BYTES: usize = 64 << 10;

/// Asks the process whose `ADMIN_LISTEN` is `listen`, over loopback where it listens on all
/// addresses. `path` begins with a slash. An error is one sentence for the terminal.
pub async fn ask(
    listen: SocketAddr,
    method: Method,
    path: &str,
    body: impl Into<Bytes>,
) -> Result<(StatusCode, String), String> {
    let address = reachable(listen);
    let request = Request::builder()
        .method(method)
        .uri(format!("http://{address}{path}"))
        .body(Full::new(body.into()))
        .map_err(|error| error.to_string())?;
    let client = Client::builder(TokioExecutor::new()).build_http();
    let answer = async {
        let response = client.request(request).await.map_err(|error| {
            format!("nothing answers at {address}: {error}. Is it running, with this ADMIN_LISTEN?")
        })?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await;
        let body = body.map_err(|error| error.to_string())?.to_bytes();
        Ok((status, String::from_utf8_lossy(&body).trim_end().to_owned()))
    };
    tokio::time::timeout(PATIENCE, answer).await.unwrap_or_else(|_| {
        Err(format!("no answer from {address} within {} s", PATIENCE.as_secs()))
    })
}

/// The subcommand `health`: exit code 0 when the process wants work, 1 when not, and why.
pub async fn health(listen: SocketAddr) -> ExitCode {
    tell(ask(listen, Method::GET, "/readyz", Bytes::new()).await)
}

/// Shows an answer of [`ask`] to whoever ran a command: exit code 0 when it is a good one, else 1.
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a command for the terminal")]
pub fn tell(answer: Result<(StatusCode, String), String>) -> ExitCode {
    match answer {
        Ok((StatusCode::OK, text)) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Ok((_, why)) | Err(why) => {
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nobody_there_is_said_with_what_to_check() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let why = ask(free, Method::GET, "/readyz", "").await.unwrap_err();
        assert!(why.contains("ADMIN_LISTEN"), "{why}");
    }
}
