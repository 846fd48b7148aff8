//! The private servers: they start, restart on the same port, and never outlive their owner.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use cluster::{Balancer, Postgres, Process, Program, Redis, free_port};
use std::{
    env, fs,
    io::{self, BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

#[tokio::test]
async fn postgres_gives_fresh_databases_and_keeps_them_over_a_kill() {
    let postgres = Postgres::start().await.unwrap();
    let first = postgres.create_database().await;
    let second = postgres.create_database().await;
    assert_ne!(first, second);
    postgres.sql("CREATE TABLE kept (x int)").await.unwrap();
    postgres.kill().await.unwrap();
    postgres.restart().await.unwrap();
    postgres.sql("INSERT INTO kept VALUES (1)").await.unwrap();
    postgres.stop().await.unwrap();
    assert!(postgres.sql("SELECT 1").await.is_err());
}

#[tokio::test]
async fn redis_restarts_empty_on_its_port() {
    let redis = Redis::start().await.unwrap();
    let (url, pid) = (redis.url(), redis.process().pid());
    assert_eq!(ask(redis.port(), "SET a 1").await, "+OK\r\n");
    redis.kill().await.unwrap();
    assert!(TcpStream::connect(("127.0.0.1", redis.port())).await.is_err());
    redis.restart().await.unwrap();
    assert_eq!(redis.url(), url);
    assert_ne!(redis.process().pid(), pid);
    assert_eq!(ask(redis.port(), "GET a").await, "$-1\r\n");
    redis.stop().await.unwrap();
}

#[tokio::test]
async fn the_balancer_sends_upgrades_to_gateways_and_the_rest_to_apis() {
    let (gateway, gateway_task) = node("gateway").await;
    let (other, _other_task) = node("gateway").await;
    let (api, _api_task) = node("api").await;
    let balancer = Balancer::start(free_port(), &[gateway, other], &[api]).await.unwrap();
    let address = balancer.address();

    let answer =
        get(address, "/chats?limit=1", "X-Forwarded-For: 6.6.6.6\r\nConnection: close\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("\napi GET /chats?limit=1 "), "{answer}");
    assert!(answer.contains("x-forwarded-for: 127.0.0.1\r"), "{answer}");
    assert!(answer.contains("x-forwarded-proto: http\r"), "{answer}");
    assert!(!answer.contains("6.6.6.6"), "{answer}");

    let answer = get(address, "/gateway?token=secret", UPGRADE).await;
    assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
    assert!(answer.contains("\ngateway GET /gateway?token=secret "), "{answer}");
    assert!(answer.contains(&format!("host: {address}\r")), "{answer}");

    for hidden in ["/metrics", "/internal/post", "/%69nternal/post", "/readyz"] {
        let answer = get(address, hidden, "").await;
        assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
        assert!(answer.contains("\"code\":\"not_found\""), "{answer}");
    }
    let answer = get(address, "/chats", "Content-Length: 2000000\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert!(answer.contains("\"code\":\"body_too_large\""), "{answer}");

    // A dead gateway: every client lands on the other one.
    gateway_task.abort();
    assert!(gateway_task.await.unwrap_err().is_cancelled());
    for _ in 0..20 {
        let answer = get(address, "/gateway?token=secret", UPGRADE).await;
        assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
    }
    // Nobody left: a refusal that says when to come back.
    balancer.set_nodes(&[gateway], &[gateway]).unwrap();
    let refused = async {
        loop {
            let answer = get(address, "/gateway?token=secret", UPGRADE).await;
            if answer.starts_with("HTTP/1.1 503") {
                return answer;
            }
        }
    };
    let answer = tokio::time::timeout(Duration::from_secs(10), refused).await.unwrap();
    assert!(answer.contains("Retry-After: 1\r"), "{answer}");
    assert!(answer.contains("\"code\":\"unavailable\""), "{answer}");
    balancer.stop().await.unwrap();
    let log = fs::read_to_string(balancer.process().log()).unwrap();
    assert!(log.contains(r#""path":"/gateway","status":101"#), "{log}");
    assert!(!log.contains("secret"), "{log}");
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn nothing_outlives_an_owner_that_is_killed() {
    let mut owner = Command::new(env::current_exe().unwrap())
        .args(["--exact", "owner", "--ignored", "--nocapture"])
        .stdout(Stdio::piped())
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(owner.stdout.take().unwrap()).lines();
    let line = lines
        .by_ref()
        .map(Result::unwrap)
        .find_map(|line| line.strip_prefix("owns ").map(str::to_owned));
    let line = line.unwrap();
    let (ports, folders): (Vec<_>, Vec<_>) =
        line.split(' ').map(str::to_owned).partition(|word| word.parse::<u16>().is_ok());
    assert_eq!((ports.len(), folders.len()), (3, 3), "{line}");
    assert!(folders.iter().all(|folder| Path::new(folder).exists()));
    owner.kill().unwrap();
    owner.wait().unwrap();
    let gone = async {
        for port in ports {
            while TcpStream::connect(format!("127.0.0.1:{port}")).await.is_ok() {
                tokio::task::yield_now().await;
            }
        }
        while folders.iter().any(|folder| Path::new(folder).exists()) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), gone).await.unwrap();
}

/// Not a test of its own: what [`nothing_outlives_an_owner_that_is_killed`] runs and kills.
#[tokio::test]
#[ignore = "runs until it is killed"]
async fn owner() {
    let redis = Redis::start().await.unwrap();
    let postgres = Postgres::start().await.unwrap();
    let node = ([127, 0, 0, 1], free_port()).into();
    let balancer = Balancer::start(free_port(), &[node], &[node]).await.unwrap();
    let ports = [redis.port(), postgres.port(), balancer.address().port()];
    let logs = [redis.process(), postgres.process(), balancer.process()].map(|it| it.log());
    let words = ports.map(|port| port.to_string()).into_iter();
    let folders = logs.into_iter().map(|log| log.parent().unwrap().display().to_string());
    println!("\nowns {}", words.chain(folders).collect::<Vec<_>>().join(" "));
    io::stdin().read_line(&mut String::new()).unwrap();
}

#[tokio::test]
async fn a_process_that_ends_says_how() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::new("odd", "sh", folder.path())
        .args(["-c", "echo \"$WORD\"; exit 64"])
        .env("WORD", "out of order");
    let process = Process::start(program).unwrap();
    assert_eq!(process.wait(Duration::from_secs(10)).await.unwrap(), 64);
    let error = process.wait_ready(([127, 0, 0, 1], 1).into(), Duration::from_secs(10)).await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains("exit code 64") && error.contains("out of order"), "{error}");

    let program = Program::new("deaf", "sh", folder.path()).args(["-c", "exec tail -f /dev/null"]);
    let process = Process::start(program).unwrap();
    process.pause();
    assert_eq!(process.exit_code().unwrap(), None);
    process.kill().await.unwrap();
    assert_eq!(process.exit_code().unwrap(), Some(128 + 9));
}

const UPGRADE: &str = "Upgrade: WebSocket\r\nConnection: Upgrade\r\n";

/// A node that answers every request with its name and the request, and switches protocols when
/// asked to.
async fn node(name: &'static str) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    #[expect(clippy::disallowed_methods, reason = "the test owns the task and aborts it")]
    let task = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let request = read_head(&mut stream).await.to_lowercase().replace("get /", "GET /");
            let upgrade = request.contains("\r\nupgrade: websocket\r\n")
                && request.contains("\r\nconnection: upgrade\r\n");
            let head = match upgrade {
                true => "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
                         Connection: Upgrade\r\n\r\n"
                    .to_owned(),
                false => "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".to_owned(),
            };
            let answer = format!("{head}\n{name} {request}");
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (address, task)
}

/// One request; the answer up to its end, which is the end of the connection or of a JSON object.
async fn get(address: SocketAddr, path: &str, headers: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"}") && stream.read_buf(&mut answer).await.unwrap() > 0 {}
    String::from_utf8_lossy(&answer).into_owned()
}

async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8_lossy(&head).into_owned()
}

async fn ask(port: u16, command: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(format!("{command}\r\n").as_bytes()).await.unwrap();
    let mut answer = [0; 64];
    let length = stream.read(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer[..length]).into_owned()
}
