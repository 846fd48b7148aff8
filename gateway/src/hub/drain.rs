//! Closes all connections one after another, evenly over the drain time, so that other nodes get a steady
//! stream of reconnects and not a wave. Each connection first answers the frames that it has read. The
//! lifecycle decides when this begins.

use crate::hub::Hub;
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// How long a closing connection may take to answer the frames that it has read. That is many times the
/// length of a commit, and short compared with the time after which a process is killed.
pub(crate) const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// Refuses new connections and closes all others over `drain_time`, telling each when to reconnect.
/// Returns when the last one was told to leave; every connection has ended [`LAST_ANSWERS`] later.
pub(crate) async fn drain(hub: &Arc<Hub>, drain_time: Duration) {
    let all = hub.users.close_door();
    let late = all.clone();
    // In the background: the process does not wait for this task when all connections have ended.
    hub.lifecycle.spawn_background(async move {
        tokio::time::sleep(LAST_ANSWERS).await;
        spread(late, drain_time, |conn| conn.close_for_restart()).await;
    });
    spread(all, drain_time, |conn| conn.unanswered.drain()).await;
}

/// Calls `each` for every item, evenly over `drain_time`. Each call has its own point in time. A pause after
/// each call would not do: with thousands of items it is shorter than a timer's tick, and the rounding would
/// add up to far more than the drain time.
async fn spread<T>(items: Vec<T>, drain_time: Duration, each: impl Fn(T)) {
    let (started, count) = (Instant::now(), items.len().max(1) as f64);
    for (place, item) in items.into_iter().enumerate() {
        tokio::time::sleep_until(started + drain_time.mul_f64(place as f64 / count)).await;
        each(item);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;

    #[tokio::test(start_paused = true)]
    async fn many_items_take_the_window_and_no_longer() {
        let drain_time = Duration::from_secs(10);
        for count in [0, 1, 100, 50_000] {
            let started = Instant::now();
            let times = Mutex::new(Vec::new());
            spread((0..count).collect(), drain_time, |_| {
                times.lock().push(started.elapsed());
            })
            .await;
            let times = times.into_inner();
            assert_eq!(times.len(), count);
            assert!(started.elapsed() <= drain_time + Duration::from_millis(10), "{count}");
            if count >= 100 {
                let half = times.iter().filter(|at| **at < drain_time / 2).count();
                assert!((half as f64 / count as f64 - 0.5).abs() < 0.02, "{half} of {count}");
            }
        }
    }
}
