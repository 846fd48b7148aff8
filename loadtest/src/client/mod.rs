//! Thousands of clients. A [`Fleet`] has some threads, each with one reading buffer, one memory of frames and
//! one shard of the recorder for all its devices. A device is one task that owns one WebSocket, reconnects
//! when it is lost, and follows orders. The engine gives the orders; the history checker judges the result.

mod account;
mod clock;
mod device;
pub(crate) mod dialect;
mod events;
mod fleet;
mod order;
mod stamp;
mod target;
mod wire;
mod worker;

pub(crate) use account::{RenewError, TestAccount};
pub(crate) use clock::Clock;
pub(crate) use device::DeviceSpec;
pub(crate) use fleet::{Fleet, FleetOptions};
pub(crate) use order::{ChatAction, DeviceHandle, DeviceState, Order, OrdersFull};
pub(crate) use stamp::Stamp;
pub(crate) use target::{SocketTarget, TargetError, TargetUrl};
