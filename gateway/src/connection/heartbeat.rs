//! Decides when a connection is pinged and when it is given up. Pure.

use std::time::Duration;

/// The silence before a ping, as a multiple of the heartbeat. It is longer than a heartbeat, so that clients that ping
/// with every heartbeat by themselves, as pages do, are not pinged. A random part keeps clients that connected together
/// from being pinged together for ever.
const LATE: std::ops::Range<f64> = 1.04..1.2;

/// The result of a look at a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beat {
    /// Look again after this time.
    Wait(Duration),
    /// Ping the client, and look again after this time.
    Ping(Duration),
    /// The client sent nothing for two heartbeats.
    Silent,
}

/// Looks at a connection whose client sent nothing for `quiet`. `chance` is at least 0 and below 1.
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
