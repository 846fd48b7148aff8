//! How long a socket may be silent. The shipped numbers are minutes (a cross-file test compares them
//! with the heartbeat); here they are seconds, in the same proportions where it matters.

use super::{
    node::{FakeNode, Manner::Serves, open},
    with_both_kinds,
};
use crate::{
    BalancedNode, BalancerKind,
    balancer::{haproxy, nginx},
    free_port,
    scratch::Scratch,
};
use std::{fs, net::SocketAddr, os::unix::fs::PermissionsExt, time::Duration};
use tokio::time::{Instant, timeout};

with_both_kinds!(a_silent_socket_is_kept_as_long_as_it_says_and_no_longer);

/// In place of 90 s. Whatever else there is becomes one second.
const SILENCE: Duration = Duration::from_secs(3);

async fn a_silent_socket_is_kept_as_long_as_it_says_and_no_longer(kind: BalancerKind) {
    let node = FakeNode::start("node", Serves).await;
    let nodes = [BalancedNode::from(node.address)];
    let scratch = Scratch::new("idle").unwrap();
    let folder = scratch.path();
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    let local = || SocketAddr::from(([127, 0, 0, 1], free_port()));
    let (address, metrics) = (local(), local());
    let _process = match kind {
        BalancerKind::Nginx => {
            let file = nginx::write(folder, address, &nodes, &nodes).unwrap();
            let conf = fs::read_to_string(&file).unwrap();
            fs::write(&file, hurried(&conf, &["_timeout ", "_timeout\t"])).unwrap();
            nginx::run(folder, folder).await.unwrap()
        }
        BalancerKind::Haproxy => {
            let conf = haproxy::conf(address, metrics, &nodes, &nodes).unwrap();
            let conf = hurried(&conf, &["    timeout "]);
            haproxy::run(folder, folder, metrics, &conf, &[]).await.unwrap()
        }
    };
    let mut socket = open(address).await;
    let opened = Instant::now();
    assert!(timeout(SILENCE * 5, socket.ended()).await.is_ok(), "it is kept for too long");
    let kept = opened.elapsed();
    assert!(kept + Duration::from_millis(500) > SILENCE, "it was kept for {kept:?} only");
}

/// The configuration with 90 s as [`SILENCE`] and every other timeout, on lines with these words, as a
/// second.
fn hurried(conf: &str, words: &[&str]) -> String {
    let mut silences = 0;
    let hurry = |word: &str| {
        let number = word.trim_end_matches(';').strip_suffix('s')?.parse::<u64>().ok()?;
        let end = if word.ends_with(';') { ";" } else { "" };
        Some((number == 90, format!("{}s{end}", if number == 90 { SILENCE.as_secs() } else { 1 })))
    };
    let mut hurried = String::new();
    for line in conf.lines() {
        let mut line = line.to_owned();
        if words.iter().any(|word| line.contains(word)) && !line.trim().starts_with('#') {
            let last = line.rsplit(' ').next().unwrap().to_owned();
            if let Some((silence, shorter)) = hurry(&last) {
                silences += usize::from(silence);
                line = line[..line.len() - last.len()].to_owned() + &shorter;
            }
        }
        hurried += &(line + "\n");
    }
    assert!(silences > 0, "nothing is 90 s any more");
    hurried
}
