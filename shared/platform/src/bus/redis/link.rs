//! Handles the push messages of one subscription connection, on its reading task, and keeps the facts that the
//! supervisor looks at. It neither waits nor decides.

use super::super::{
    BusEvent,
    metric::{self, DropReason},
};
use bytes::Bytes;
use protocol::relay::Channel;
use redis::{PushInfo, PushKind, Value};
use std::{
    str,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};
use tokio::sync::Notify;

pub(super) type OnEvent = Arc<dyn Fn(BusEvent) + Send + Sync>;

/// Shared between one connection's reading task and its supervisor.
#[derive(Default)]
pub(super) struct Link {
    gone: Notify,
    pushes: AtomicU64,
    probe: AtomicU64,
    probed: Notify,
    muted: AtomicBool,
}

impl Link {
    /// The reading task's handler of push messages. Messages go to `on_event`, except the node's own probes.
    pub(super) fn on_push(
        self: Arc<Self>,
        own_probe: Channel,
        on_event: OnEvent,
    ) -> impl Fn(PushInfo) -> Result<(), ()> {
        let received = metric::received_counter();
        move |push| {
            self.pushes.fetch_add(1, Ordering::Relaxed);
            match push.kind {
                PushKind::Message if !self.muted.load(Ordering::Relaxed) => {
                    match message(push.data) {
                        Some((channel, payload)) if channel == own_probe => {
                            if let Ok(number) = payload.as_ref().try_into() {
                                self.probe.fetch_max(u64::from_be_bytes(number), Ordering::Relaxed);
                                self.probed.notify_one();
                            }
                        }
                        Some((channel, payload)) => {
                            received.increment(1);
                            on_event(BusEvent::Message { channel, payload });
                        }
                        None => metric::count_dropped(DropReason::UnknownChannel, 1),
                    }
                }
                PushKind::Disconnection => self.gone.notify_one(),
                _ => {}
            }
            Ok(())
        }
    }

    /// Waits for the connection's end.
    pub(super) async fn wait_for_end(&self) {
        self.gone.notified().await;
    }

    /// Waits for a probe of this number or a later one. For one task.
    pub(super) async fn wait_for_probe(&self, number: u64) {
        while self.probe.load(Ordering::Relaxed) < number {
            self.probed.notified().await;
        }
    }

    /// The number of pushes so far. It grows as long as the connection delivers anything.
    pub(super) fn pushes(&self) -> u64 {
        self.pushes.load(Ordering::Relaxed)
    }

    /// Stops all events of a connection that is given up, whose reading task may still run for a moment.
    pub(super) fn mute(&self) {
        self.muted.store(true, Ordering::Relaxed);
    }
}

/// The two parts of a `message` push; `None` when the channel is not one of ours.
fn message(data: Vec<Value>) -> Option<(Channel, Bytes)> {
    let [Value::BulkString(name), Value::BulkString(payload)] =
        <[Value; 2]>::try_from(data).ok()?
    else {
        return None;
    };
    let channel = str::from_utf8(&name).ok()?.parse().ok()?;
    Some((channel, Bytes::from(payload)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::id::ChatId;

    fn push(name: &[u8], payload: &[u8]) -> Vec<Value> {
        vec![Value::BulkString(name.to_vec()), Value::BulkString(payload.to_vec())]
    }

    #[test]
    fn only_whole_messages_on_channels_of_ours_count() {
        let expected = (Channel::Chat(ChatId(7)), Bytes::from_static(b"payload"));
        assert_eq!(message(push(b"chat:7", b"payload")), Some(expected));
        for name in [&b""[..], b"chat:", b"chat:7 ", b"elsewhere", b"chat:\xff"] {
            assert_eq!(message(push(name, b"payload")), None, "{name:?}");
        }
        for part in
            [vec![], vec![Value::Nil], vec![Value::BulkString(b"chat:7".to_vec()), Value::Nil]]
        {
            assert_eq!(message(part), None);
        }
    }
}
