//! When a connection is pinged and when it is given up. Pure.

use std::time::Duration;

/// A client that is quiet for this much longer than a heartbeat is pinged: one that pings by itself
/// every heartbeat, as pages do, is not. A random part more, so that clients that came together are
/// not pinged together for ever.
const LATE: std::ops::Range<f64> = 1.04..1.2;

/// What a look at a connection leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beat {
    /// Look again after so long.
    Wait(Duration),
    /// Ask the client whether it lives, and look again after so long.
    Ping(Duration),
    /// Nothing was heard for two heartbeats.
    Silent,
}

/// A look at a connection of which nothing was heard for `quiet`. `chance` is at least 0 and below 1.
pub(crate) fn look(quiet: Duration, heartbeat: Duration, chance: f64) -> Beat {
    let left = (2 * heartbeat).saturating_sub(quiet);
    let late = heartbeat.mul_f64(LATE.start + (LATE.end - LATE.start) * chance);
    if left.is_zero() {
        Beat::Silent
    } else if quiet >= heartbeat.mul_f64(LATE.start) {
        Beat::Ping(left)
    } else {
        Beat::Wait(late.saturating_sub(quiet))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEARTBEAT: Duration = Duration::from_secs(25);

    #[test]
    fn whoever_speaks_every_heartbeat_is_never_pinged() {
        for chance in [0.0, 0.5, 0.999] {
            let mut looked = Duration::ZERO;
            for _ in 0..100 {
                // What it said last is at most a heartbeat old, and some time on the way.
                let said = looked.as_millis() / 25_000 * 25_000;
                let quiet = looked - Duration::from_millis(u64::try_from(said).unwrap());
                let Beat::Wait(wait) = look(quiet, HEARTBEAT, chance) else {
                    panic!("not left alone after {quiet:?}")
                };
                looked += wait.min(HEARTBEAT);
            }
        }
    }

    proptest! {
        /// However the looks fall: nobody is pinged who was heard within a heartbeat, everybody is
        /// before it is given up, and that is after exactly two.
        #[test]
        fn a_silent_client_is_pinged_and_found_after_two_heartbeats(
            first in 0.1f64..1.0,
            chances in prop::collection::vec(0.0f64..1.0, 10),
        ) {
            let mut quiet = HEARTBEAT.mul_f64(first);
            let mut pings = 0;
            for chance in chances {
                match look(quiet, HEARTBEAT, chance) {
                    Beat::Wait(wait) => quiet += wait,
                    Beat::Ping(wait) => {
                        prop_assert!(quiet > HEARTBEAT);
                        // Below half of the 60 s after which balancers take a socket for dead.
                        prop_assert!(quiet <= Duration::from_secs(30));
                        pings += 1;
                        quiet += wait;
                    }
                    Beat::Silent => {
                        prop_assert_eq!(quiet, 2 * HEARTBEAT);
                        prop_assert_eq!(pings, 1);
                        return Ok(());
                    }
                }
            }
            prop_assert!(false, "never found");
        }
    }
}
