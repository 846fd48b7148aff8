//! Closes all connections one after another, evenly over the drain time, so that the nodes that take over see
//! a stream and not a wave. The lifecycle decides when to begin; each connection first answers what it has
//! read.

use crate::hub::Hub;
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// How long a closing connection may take to answer what it has read: many times the length of a
/// commit, and short beside the time after which a process is killed.
pub(crate) const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// Refuses new connections and closes all others over `drain_time`, telling each when to reconnect.
/// Returns when the last one was told to leave; every connection has ended [`LAST_ANSWERS`] later.
pub(crate) async fn drain(hub: &Arc<Hub>, drain_time: Duration) {
    let all = hub.users.close_door();
    let late = all.clone();
    // Ends with the last connection, if that is sooner.
    hub.lifecycle.spawn_background(async move {
        tokio::time::sleep(LAST_ANSWERS).await;
        spread(late, drain_time, |conn| conn.close_for_restart()).await;
    });
    spread(all, drain_time, |conn| conn.unanswered.drain()).await;
}

/// Does something to each item, evenly over `drain_time`. By the clock and not by a pause after each:
/// with thousands of items a pause is shorter than a timer's tick, and rounding up would add up to
/// far more than the drain time.
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
