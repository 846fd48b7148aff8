//! The program `loadtest`. What it does is in [`loadtest::cli`].

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    loadtest::cli::main().await
}
