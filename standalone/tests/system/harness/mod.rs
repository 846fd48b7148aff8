//! The test harness: `let t = System::start(Mode::Single).await; let ann = t.user("ann").await;
//! let mut phone = ann.connect().await; phone.send(chat, "hi").await;
//! bob_device.expect(message("hi")).await`. A test reads like what it is about.

mod contract;
mod device;
mod dialect_socket;
mod rest;
mod single;
mod socket;
mod system;
mod track;
mod user;
mod wait;
pub mod want;

pub use device::Device;
pub use dialect_socket::{DialectSocket, contains};
pub use rest::{Answer, Rest};
pub use socket::{Dial, Got, Socket, SocketEvent};
pub use system::{Mode, System, unique};
pub use user::{PASSWORD, SentMessage, User};
pub use wait::{until, until_eq, within};

/// Makes each of these functions a test of the cluster behind HAProxy too: the ones that are about what
/// a load balancer may do to requests and sockets. In both modes, behind nginx, they are tests anyway.
macro_rules! behind_haproxy {
    ($($name:ident),+ $(,)?) => {
        mod haproxy {
            $(#[tokio::test]
            async fn $name() {
                super::$name(crate::harness::System::start(crate::harness::Mode::Haproxy).await).await;
            })+
        }
    };
}

/// Makes each of these functions a test in both modes. Each gets a running system.
macro_rules! in_both_modes {
    ($($name:ident),+ $(,)?) => {
        mod single {
            $(#[tokio::test]
            async fn $name() {
                super::$name(crate::harness::System::start(crate::harness::Mode::Single).await).await;
            })+
        }
        mod cluster {
            $(#[tokio::test]
            async fn $name() {
                super::$name(crate::harness::System::start(crate::harness::Mode::Cluster).await).await;
            })+
        }
    };
}
