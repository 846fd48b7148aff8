//! Strangers with made-up keys, and an api that does not answer.

use super::*;
use crate::{
    backend::{Unavailable, scripted::Scripted},
    config::Config,
    testing::gateway,
};
use futures_util::{FutureExt, future::join_all};
use platform::token::{Jwk, Jwks};
use protocol::id::UserId;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The public key of RFC 8037, A.2.
const KEY: [u8; 32] = [
    0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a,
    0x0e, 0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a,
];

/// A token of user 7, signed with that key, good until the year 3000.
const GOOD: &str = "eyJhbGciOiJFZERTQSIsImtpZCI6ImtQcktfcW14VldhWVZBOXd3QkY2SXVvM3ZWeno3VHhIQ1R3WEJ5Z3JTNGsifQ.eyJzdWIiOiI3Iiwic2lkIjoiMDE5YWRmM2MtNWYwYS03YzFlLTlhNTEtMmY2ZjBjOWY0ZjExIiwibmFtZSI6ImFubiIsInJvbGUiOiJ1c2VyIiwiaWF0IjoxNzAwMDAwMDAwLCJleHAiOjMyNTAzNjgwMDAwLCJpc3MiOiJzd2l0Y2hib2FyZCJ9.fIfRxVThnP9r0MlCxVhJ9UarpMBBtL3IS424Jo8gLxNZ7pl9GURkG8iyLdq5F2IXOrMUvgjQ7nw1ghlnhdKNAA";

/// The same with the `kid` `made-up`.
const MADE_UP: &str = "eyJhbGciOiJFZERTQSIsImtpZCI6Im1hZGUtdXAifQ.eyJzdWIiOiI3Iiwic2lkIjoiMDE5YWRmM2MtNWYwYS03YzFlLTlhNTEtMmY2ZjBjOWY0ZjExIiwibmFtZSI6ImFubiIsInJvbGUiOiJ1c2VyIiwiaWF0IjoxNzAwMDAwMDAwLCJleHAiOjMyNTAzNjgwMDAwLCJpc3MiOiJzd2l0Y2hib2FyZCJ9.QtcZ1_NZcmjKsuDq7DJw3nStlEHM1it7LRV163RJRd-VZDpW9svVFE4EKxNEZ-dohGMkGbbL88ILU4NBrgDPDQ";

fn jwks() -> Jwks {
    Jwks { keys: vec![Jwk::ed25519(&KEY)] }
}

/// Counts what the api is asked, and never answers from now on.
fn freeze(backend: &Scripted) -> Arc<AtomicUsize> {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    backend.jwks.does(move |()| {
        count.fetch_add(1, Ordering::Relaxed);
        std::future::pending()
    });
    asked
}

#[tokio::test(start_paused = true)]
async fn strangers_at_a_frozen_api_are_nobody_elses_harm() {
    let backend = Arc::new(Scripted::default());
    backend.jwks.says(|()| Ok(jwks()));
    let gateway = gateway(&backend, Config::default());
    tokio::time::sleep(Duration::from_secs(1)).await;
    let asked = freeze(&backend);
    let started = Instant::now();
    let strangers = join_all((0..20).map(|_| gateway.keys.verify(MADE_UP)));
    tokio::pin!(strangers);
    assert!(futures_util::poll!(&mut strangers).is_pending());
    // While they wait, the node is ready and known keys do.
    assert_eq!(gateway.ready()().now_or_never(), Some(Ok(())));
    let good = gateway.keys.verify(GOOD).now_or_never().unwrap();
    assert_eq!(good.map(|claims| claims.sub), Ok(UserId(7)));
    // All are told to come back, soon: the key may be a good one.
    assert!(strangers.await.iter().all(|told| *told == Err(Close::Overloaded)));
    assert!(started.elapsed() <= 2 * KEYS_PATIENCE, "{:?}", started.elapsed());
    assert_eq!(gateway.keys.verify(MADE_UP).now_or_never(), Some(Err(Close::Overloaded)));
    assert_eq!(asked.load(Ordering::Relaxed), 1, "the pause counts from the try");
}

#[tokio::test(start_paused = true)]
async fn a_key_that_the_api_knows_is_fetched_at_once_and_others_are_nobodys() {
    let backend = Arc::new(Scripted::default());
    let keys = Keys::new(Arc::clone(&backend) as Arc<dyn Backend>);
    assert!(!keys.any());
    assert_eq!(keys.verify(GOOD).await, Err(Close::Overloaded), "nobody answers");
    backend.jwks.says(|()| Ok(jwks()));
    assert_eq!(keys.verify(GOOD).await, Err(Close::Overloaded), "that was a moment ago");
    tokio::time::sleep(KEYS_PAUSE).await;
    assert_eq!(keys.verify(GOOD).await.map(|claims| claims.sub), Ok(UserId(7)));
    assert!(keys.any());
    assert_eq!(keys.verify(MADE_UP).await, Err(Close::Unauthenticated), "the keys are fresh");
    assert_eq!(keys.verify("x").await, Err(Close::Unauthenticated));
    backend.jwks.says(|()| Err(Unavailable::NotAnswered("down".to_owned())));
    tokio::time::sleep(KEYS_PAUSE).await;
    assert_eq!(keys.verify(MADE_UP).await, Err(Close::Overloaded), "it may be new");
}
