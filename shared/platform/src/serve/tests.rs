//! A listener tried by real sockets, and the places on it.

use super::*;
use axum::{Extension, routing::get};
use tokio::io::AsyncReadExt;

/// A listener at this address, whose `/` tells who asked and whose `/much` has 8 MiB.
fn listening(address: &str, config: ServeConfig) -> (SocketAddr, Lifecycle) {
    let lifecycle = Lifecycle::new();
    let listener = bind(address.parse().unwrap()).unwrap();
    let at = listener.local_addr().unwrap();
    let app = Router::new()
        .route("/", get(async |Extension(ClientAddr(address))| address.to_string()))
        .route("/much", get(async || vec![b'x'; 8 << 20]));
    lifecycle.spawn(serve(listener, app, config, lifecycle.clone()));
    (at, lifecycle)
}

/// What comes until the server closes.
async fn to_end(mut stream: TcpStream) -> String {
    let mut all = Vec::new();
    let reading = stream.read_to_end(&mut all);
    // A reset ends it just as well.
    let _ = tokio::time::timeout(Duration::from_secs(10), reading).await.expect("it never closed");
    String::from_utf8(all).unwrap()
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let (at, _lifecycle) = listening("127.0.0.1:0", ServeConfig::default());
    let many = "x: y\r\n".repeat(MAX_HEADERS + 1);
    let endless = "y".repeat(20_000);
    for head in [format!("x: {endless}"), format!("{many}\r\n")] {
        let mut stream = TcpStream::connect(at).await.unwrap();
        let head = format!("GET / HTTP/1.1\r\nhost: x\r\n{head}");
        let _ = stream.write_all(head.as_bytes()).await;
        let answer = to_end(stream).await;
        assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    }
}

#[tokio::test]
async fn who_asks_nothing_is_let_go_sooner_than_who_has_asked() {
    let config =
        ServeConfig { first_header_timeout: Duration::from_millis(500), ..Default::default() };
    let (at, _lifecycle) = listening("127.0.0.1:0", config);
    let mut asking = TcpStream::connect(at).await.unwrap();
    let mut answer = [0; 15];
    asking.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    asking.read_exact(&mut answer).await.unwrap();
    let mut dripping = TcpStream::connect(at).await.unwrap();
    dripping.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    assert_eq!(to_end(dripping).await, "");
    asking.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let second = to_end(asking).await;
    assert_eq!(second.matches("200 OK").count(), 1, "{second}");
}

/// On a listener of both families the kernel shows IPv4 peers as `::ffff:127.0.0.1`.
#[tokio::test]
async fn a_trusted_ipv4_proxy_is_trusted_on_a_listener_of_both_families() {
    let trusted_proxies = Arc::new(["127.0.0.0/8".parse().unwrap()]);
    let (at, _lifecycle) =
        listening("[::]:0", ServeConfig { trusted_proxies, ..Default::default() });
    let mut stream = TcpStream::connect(("127.0.0.1", at.port())).await.unwrap();
    let ask = "GET / HTTP/1.1\r\nhost: x\r\nx-forwarded-for: 9.9.9.9\r\nconnection: close\r\n\r\n";
    stream.write_all(ask.as_bytes()).await.unwrap();
    let answer = to_end(stream).await;
    assert!(answer.ends_with("9.9.9.9"), "{answer}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_kernel_holds_little_for_a_client_that_does_not_read() {
    let (at, _lifecycle) = listening("127.0.0.1:0", ServeConfig::default());
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut client = socket.connect(at).await.unwrap();
    client.write_all(b"GET /much HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let port = client.local_addr().unwrap().port();
    let mut held = 0;
    loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        match queued(at.port(), port) {
            now if now > 0 && now == held => break,
            now => held = now,
        }
    }
    assert!(held <= 128 * 1024, "{held} bytes");
}

/// What the kernel has of a connection that is not acknowledged (the `tx_queue` of proc(5)).
#[cfg(target_os = "linux")]
fn queued(local: u16, remote: u16) -> u64 {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let line = table.lines().find(|line| {
        let mut words = line.split_whitespace().skip(1).take(2);
        let mut is =
            |port: u16| words.next().is_some_and(|at| at.ends_with(&format!(":{port:04X}")));
        is(local) && is(remote)
    });
    let queues = line.and_then(|line| line.split_whitespace().nth(4)).unwrap();
    u64::from_str_radix(queues.split(':').next().unwrap(), 16).unwrap()
}

#[test]
fn a_place_is_free_again_when_its_last_clone_is_dropped() {
    let config = ServeConfig { max_connections: 2, max_per_address: 1, ..Default::default() };
    let places = Arc::new(Places::default());
    let [ann, bob]: [IpAddr; 2] = ["1.0.0.1".parse().unwrap(), "1.0.0.2".parse().unwrap()];
    let held = places.try_take(&config, ann).unwrap();
    let clone = held.clone();
    assert!(places.try_take(&config, ann).is_none(), "one of an address");
    let other = places.try_take(&config, bob).unwrap();
    assert!(places.try_take(&config, bob).is_none(), "two in all");
    drop(held);
    assert!(places.try_take(&config, ann).is_none(), "a clone still holds it");
    drop((clone, other));
    assert_eq!(places.taken.load(Ordering::Relaxed), 0);
    assert!(places.by_network.lock().is_empty());
}

#[test]
fn the_places_of_an_ipv6_network_are_counted_together() {
    let config = ServeConfig { max_per_address: 1, ..Default::default() };
    let places = Arc::new(Places::default());
    let [one, same, other] = ["2001:db8::1", "2001:db8::2:0:0:1", "2001:db8:0:1::1"]
        .map(|address| address.parse::<IpAddr>().unwrap());
    let _held = places.try_take(&config, one).unwrap();
    assert!(places.try_take(&config, same).is_none(), "the same customer's");
    assert!(places.try_take(&config, other).is_some());
}
