//! How long messages took from their ack to everybody who should have them. It judges nothing.

use protocol::{
    chat::Change,
    frames::{ChatEvent, ServerFrame},
    id::{ChatId, Seq},
};
use std::{collections::HashMap, fmt, time::Duration};
use tokio::time::Instant;

/// A delivery that took longer was not live: something had to ask for it.
const LIVE: Duration = Duration::from_millis(500);

type Place = (ChatId, Seq);

/// When one device was promised what it sent, and when it got what others sent.
#[derive(Default)]
pub struct DeliveryTimes {
    acked: Vec<(Place, Instant)>,
    heard: Vec<(Place, Instant)>,
}

impl DeliveryTimes {
    pub fn note(&mut self, frame: &ServerFrame) {
        let now = Instant::now();
        match frame {
            ServerFrame::Ack { chat_id, seq, .. } => self.acked.push(((*chat_id, *seq), now)),
            ServerFrame::Event(ChatEvent { chat_id, event })
                if matches!(event.change, Change::Message(_)) =>
            {
                self.heard.push(((*chat_id, event.seq), now));
            }
            _ => {}
        }
    }
}

/// Every delivery to every device.
pub struct Deliveries {
    deliveries: Vec<Delivery>,
    /// When anything was promised to anybody, in order.
    acks: Vec<Instant>,
}

struct Delivery {
    acked: Instant,
    took: Duration,
}

/// The deliveries of what was promised while something happened.
pub struct Gap {
    deliveries: usize,
    late: usize,
    worst: Duration,
    /// From when the engine took everything again until the last late one had come.
    pub live_after: Duration,
}

impl Deliveries {
    pub fn of(devices: Vec<DeliveryTimes>) -> Self {
        let acked: HashMap<Place, Instant> =
            devices.iter().flat_map(|device| device.acked.iter().copied()).collect();
        let heard = devices.iter().flat_map(|device| &device.heard);
        let deliveries = heard.filter_map(|(place, heard)| {
            let acked = *acked.get(place)?;
            Some(Delivery { acked, took: heard.saturating_duration_since(acked) })
        });
        let deliveries = deliveries.collect();
        let mut acks: Vec<Instant> = acked.into_values().collect();
        acks.sort_unstable();
        Self { deliveries, acks }
    }

    /// The longest time between these in which nothing was promised to anybody.
    pub fn longest_pause(&self, from: Instant, until: Instant) -> Duration {
        let acks = self.acks.iter().copied().filter(|ack| (from..until).contains(ack));
        let times: Vec<Instant> = [from].into_iter().chain(acks).chain([until]).collect();
        let pauses = times.windows(2).map(|pair| pair[1] - pair[0]);
        pauses.max().unwrap_or_default()
    }

    /// Of what was promised between these times; the engine took everything again at `recovered`.
    pub fn between(&self, from: Instant, until: Instant, recovered: Instant) -> Gap {
        let mut gap =
            Gap { deliveries: 0, late: 0, worst: Duration::ZERO, live_after: Duration::ZERO };
        for Delivery { acked, took } in
            self.deliveries.iter().filter(|one| one.acked >= from && one.acked < until)
        {
            gap.deliveries += 1;
            gap.worst = gap.worst.max(*took);
            if *took > LIVE {
                gap.late += 1;
                let live_after = (*acked + *took).saturating_duration_since(recovered);
                gap.live_after = gap.live_after.max(live_after);
            }
        }
        gap
    }
}

impl Gap {
    /// For a table: deliveries, late ones, the worst, and from when the fault was over until all were live.
    pub fn row(&self) -> String {
        let Self { deliveries, late, worst, live_after } = self;
        format!("{deliveries} | {late} | {worst:.1?} | {live_after:.1?}")
    }
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { deliveries, late, worst, live_after } = self;
        write!(
            f,
            "{late} of {deliveries} deliveries took longer than {LIVE:?}, the worst {worst:.2?}; \
             all were live {live_after:.2?} after the engine"
        )
    }
}
