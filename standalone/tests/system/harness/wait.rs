//! Waiting for conditions with a deadline. Nothing in the tests waits for time to pass.

use std::{fmt::Debug, future::Future, time::Duration};

/// How long anything may take that should happen at once: generous, because a test machine is
/// busy, and only ever waited out by a test that fails.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// How often a condition that nobody announces is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The future's result, or a panic that says what was awaited.
pub async fn within<T>(limit: Duration, what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(limit, future).await {
        Ok(result) => result,
        Err(_) => panic!("waited {limit:?} for {what}"),
    }
}

/// Looks until there is something to see.
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    within(DEADLINE, what, async {
        loop {
            if let Some(seen) = look().await {
                return seen;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    })
    .await
}

/// Looks until two things are equal; a failure shows both.
pub async fn until_eq<T: PartialEq + Debug>(
    what: &str,
    wanted: T,
    mut look: impl AsyncFnMut() -> T,
) {
    let mut last = None;
    let looking = async {
        loop {
            let seen = look().await;
            if seen == wanted {
                return;
            }
            last = Some(seen);
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    if tokio::time::timeout(DEADLINE, looking).await.is_err() {
        panic!("waited {DEADLINE:?} for {what}: wanted {wanted:?}, last saw {last:?}");
    }
}
