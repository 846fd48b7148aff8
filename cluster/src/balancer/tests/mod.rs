//! What every load balancer promises to clients and nodes, each promise tried with each kind. The
//! nodes are fakes; real ones are behind both in the whole-system tests.

mod changes;
mod contract;
mod following;
mod idle;
mod node;

use crate::process::POLL;
use std::time::Duration;

/// How long anything may take that should happen within seconds.
const DEADLINE: Duration = Duration::from_secs(30);

/// Makes each of these functions a test with each kind.
macro_rules! with_both_kinds {
    ($($name:ident),+ $(,)?) => {
        mod with_nginx {
            $(#[tokio::test]
            async fn $name() {
                super::$name($crate::BalancerKind::Nginx).await;
            })+
        }
        mod with_haproxy {
            $(#[tokio::test]
            async fn $name() {
                super::$name($crate::BalancerKind::Haproxy).await;
            })+
        }
    };
}
use with_both_kinds;

/// Tries until it holds; nobody announces it.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let trying = async {
        while !holds().await {
            tokio::time::sleep(POLL).await;
        }
    };
    assert!(tokio::time::timeout(DEADLINE, trying).await.is_ok(), "waited {DEADLINE:?} for {what}");
}
