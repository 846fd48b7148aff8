//! Handles the push messages of one subscription connection, on its reading task, and keeps the facts that the
//! link looks at. It neither waits nor decides.

use super::{
    super::{
        BusEvent, Partitions,
        metric::{self, DropReason},
    },
    names,
    wanted::OnEvent,
};
use bytes::Bytes;
use parking_lot::Mutex;
use protocol::{id::NodeId, relay::Channel};
use redis::{PushInfo, PushKind, Value};
use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};
use tokio::sync::Notify;

/// Shared between one connection's reading task and its link.
#[derive(Default)]
pub(super) struct Pushes {
    gone: Notify,
    count: AtomicU64,
    probe: AtomicU64,
    probed: Notify,
    muted: AtomicBool,
    /// The channels whose unsubscription this process asked for.
    parting: Mutex<HashSet<Channel>>,
    fallen: Mutex<Partitions>,
    fell: Notify,
}

impl Pushes {
    /// The reading task's handler of push messages. Messages go to `on_event`, except the node's own probes.
    pub(super) fn handler(
        self: Arc<Self>,
        node: NodeId,
        on_event: OnEvent,
    ) -> impl Fn(PushInfo) -> Result<(), ()> {
        let received = metric::received_counter();
        move |push| {
            self.count.fetch_add(1, Ordering::Relaxed);
            match push.kind {
                PushKind::Message | PushKind::SMessage if !self.muted.load(Ordering::Relaxed) => {
                    match message(push.data) {
                        Some((Channel::Probe(from, _), payload)) if from == node => {
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
                // A server that loses a slot says so by an unsubscription that nobody asked for.
                PushKind::SUnsubscribe => {
                    if let Some(Value::BulkString(name)) = push.data.first()
                        && let Some(channel) = names::channel(name)
                        && !self.parting.lock().remove(&channel)
                    {
                        self.fallen.lock().insert(channel.partition());
                        self.fell.notify_one();
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

    /// Waits until the server says that it lost partitions, and returns them. For one task.
    pub(super) async fn wait_for_fallen(&self) -> Partitions {
        loop {
            self.fell.notified().await;
            let fallen = std::mem::take(&mut *self.fallen.lock());
            if !fallen.is_empty() {
                return fallen;
            }
        }
    }

    /// The number of pushes so far. It grows as long as the connection delivers anything.
    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Says before that these channels are about to be unsubscribed from.
    pub(super) fn expect_parting(&self, channels: &[Channel]) {
        self.parting.lock().extend(channels);
    }

    /// Says that the server has answered all unsubscriptions.
    pub(super) fn end_parting(&self) {
        self.parting.lock().clear();
    }

    /// Stops all events of a connection that is given up, whose reading task may still run for a moment.
    pub(super) fn mute(&self) {
        self.muted.store(true, Ordering::Relaxed);
    }
}

/// The two parts of a message; `None` when the channel is not one of ours.
fn message(data: Vec<Value>) -> Option<(Channel, Bytes)> {
    let [Value::BulkString(name), Value::BulkString(payload)] =
        <[Value; 2]>::try_from(data).ok()?
    else {
        return None;
    };
    Some((names::channel(&name)?, Bytes::from(payload)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::id::ChatId;

    const CHAT: Channel = Channel::Chat(ChatId(7));

    fn text(text: &[u8]) -> Value {
        Value::BulkString(text.to_vec())
    }

    #[test]
    fn only_whole_messages_on_channels_of_ours_count() {
        let expected = (CHAT, Bytes::from_static(b"payload"));
        for name in [&b"chat:7"[..], b"{5}chat:7"] {
            assert_eq!(message(vec![text(name), text(b"payload")]), Some(expected.clone()));
        }
        assert_eq!(message(vec![text(b"elsewhere"), text(b"payload")]), None);
        for part in [vec![], vec![Value::Nil], vec![text(b"chat:7"), Value::Nil]] {
            assert_eq!(message(part), None);
        }
    }

    #[tokio::test]
    async fn an_unsubscription_that_nobody_asked_for_is_a_lost_partition() {
        let pushes = Arc::new(Pushes::default());
        let on_push = Arc::clone(&pushes).handler(NodeId::random(), Arc::new(|_| {}));
        let part = |name: Value| {
            let data = vec![name, Value::Int(0)];
            on_push(PushInfo { kind: PushKind::SUnsubscribe, data }).unwrap();
        };
        pushes.expect_parting(&[CHAT]);
        part(text(b"{5}chat:7"));
        for name in [text(b"elsewhere"), text(b"{5}"), Value::Nil] {
            part(name);
        }
        assert!(pushes.fallen.lock().is_empty(), "asked for, or not ours");
        part(text(b"{5}chat:7"));
        assert_eq!(pushes.wait_for_fallen().await, Partitions::from_iter([CHAT.partition()]));
    }
}
