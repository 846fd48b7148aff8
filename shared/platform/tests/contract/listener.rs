//! A subscriber that keeps what it hears until the test asks for it.

use crate::soon;
use bytes::Bytes;
use platform::bus::{Bus, BusEvent, Partitions, Subscriber};
use protocol::relay::Channel;
use std::{collections::HashSet, time::Duration};
use tokio::sync::mpsc;

pub struct Listener {
    pub subscriber: Subscriber,
    pub events: mpsc::Receiver<BusEvent>,
    /// As the events say.
    pub up: Partitions,
}

impl Listener {
    /// A subscription that stands.
    pub async fn start(bus: &Bus) -> Self {
        let mut listener = Self::connecting(bus);
        listener.expect_up().await;
        listener
    }

    /// A subscription that may not stand yet.
    pub fn connecting(bus: &Bus) -> Self {
        let (heard, events) = mpsc::channel(100_000);
        let subscriber = bus.subscriber(move |event| heard.try_send(event).unwrap());
        Self { subscriber, events, up: Partitions::default() }
    }

    pub async fn add(&self, channels: &[Channel]) {
        soon("add resolves", self.subscriber.add(channels)).await;
    }

    pub async fn event(&mut self) -> BusEvent {
        let event = soon("an event", self.events.recv()).await.unwrap();
        self.note(&event);
        event
    }

    /// Ups and downs of a partition take turns.
    fn note(&mut self, event: &BusEvent) {
        match event {
            BusEvent::Up(more) => assert!(more.iter().all(|one| self.up.insert(one)), "{event:?}"),
            BusEvent::Down(less) => {
                assert!(less.iter().all(|one| self.up.remove(one)), "{event:?}")
            }
            BusEvent::Message { .. } => {}
        }
    }

    /// The next event is this message.
    pub async fn expect(&mut self, channel: Channel, text: &str) {
        let payload = Bytes::copy_from_slice(text.as_bytes());
        assert_eq!(self.event().await, BusEvent::Message { channel, payload });
    }

    /// The next events are this message on each of these channels, in any order.
    pub async fn expect_each(&mut self, channels: &[Channel], text: &str) {
        let mut missing: HashSet<Channel> = channels.iter().copied().collect();
        while !missing.is_empty() {
            match self.event().await {
                BusEvent::Message { channel, payload } if payload == text.as_bytes() => {
                    assert!(missing.remove(&channel), "{channel}");
                }
                other => panic!("{other:?}"),
            }
        }
    }

    /// The next events are `Up` until everything is, and the handle agrees.
    pub async fn expect_up(&mut self) {
        while !self.up.is_all() {
            let event = self.event().await;
            assert!(matches!(event, BusEvent::Up(_)), "{event:?}");
        }
        assert!(self.subscriber.hears(Channel::Control));
    }

    /// `Down` comes, perhaps after messages.
    pub async fn expect_down(&mut self) -> Partitions {
        loop {
            if let BusEvent::Down(partitions) = self.event().await {
                return partitions;
            }
        }
    }

    /// Publishes until it is heard; nothing but messages may come meanwhile.
    pub async fn expect_delivery(&mut self, bus: &Bus, channel: Channel) {
        assert_eq!(self.delivery(bus, channel).await, []);
    }

    /// Publishes until it is heard: after an outage, publishing works again at a moment of its own.
    /// Returns what else was heard than messages. Repeats of the message may come later.
    pub async fn delivery(&mut self, bus: &Bus, channel: Channel) -> Vec<BusEvent> {
        let mut others = Vec::new();
        let mut again = tokio::time::interval(Duration::from_millis(20));
        soon("delivery", async {
            loop {
                tokio::select! {
                    _ = again.tick() => bus.publish(channel, Bytes::from_static(b"again")),
                    event = self.events.recv() => {
                        let event = event.unwrap();
                        self.note(&event);
                        match event {
                            BusEvent::Message { channel: heard, .. } if heard == channel => return others,
                            BusEvent::Message { .. } => {}
                            other => others.push(other),
                        }
                    }
                }
            }
        })
        .await
    }
}

pub fn say(bus: &Bus, channel: Channel, text: &str) {
    bus.publish(channel, Bytes::copy_from_slice(text.as_bytes()));
}
