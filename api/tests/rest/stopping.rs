//! The `api` process, told to stop before it could serve.

use api::auth::tokens::generate_pem;
use cluster::{Process, Program, free_port};
use std::time::{Duration, Instant};

#[tokio::test]
async fn who_waits_for_the_database_can_be_stopped_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let nobody = format!("127.0.0.1:{}", free_port());
    let program = Program::new("api", env!("CARGO_BIN_EXE_api"), folder.path())
        .env("DATABASE_URL", format!("postgres://nobody@{nobody}/nothing"))
        .env("REDIS_URL", format!("redis://{nobody}"))
        .env("INTERNAL_TOKEN", "a secret only for tests")
        .env("JWT_PRIVATE_KEY", generate_pem().unwrap().reveal())
        // Nobody has been told of it yet.
        .env("SHUTDOWN_DELAY_SECONDS", 60);
    let process = Process::start(program).unwrap();
    let begun = Instant::now();
    while !process.log_tail().contains("waiting for the database") {
        assert!(begun.elapsed() < Duration::from_secs(30), "{}", process.log_tail());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    process.terminate();
    assert_eq!(process.wait(Duration::from_secs(10)).await.unwrap(), 0);
    assert!(process.log_tail().contains("api has stopped"), "{}", process.log_tail());
}
