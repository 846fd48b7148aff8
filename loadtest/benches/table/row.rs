//! The table's rows: what each measures, what it should come to, and what others are known to come to.
//! The others' figures were measured on the same kind of machine (2 cores, server alone on one) and are
//! fixed here; the limit of this machine is measured beside.

use clap::ValueEnum;
use serde::Serialize;

/// A row, or with [`TableRow::Growth`] some more of the first ones at other sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum TableRow {
    /// Fan-out to 1000 members of one chat, as fast as it goes
    Saturated,
    /// Fan-out to 1000 members of one chat, 20 messages a second
    Paced,
    /// 1000 chats of 10 members, 500 messages a second
    Rooms,
    /// 1000 chats of 10 members, as fast as it goes
    RoomsSaturated,
    /// Memory of an authenticated connection in a chat
    Idle,
    /// CPU of a handshake with token check and `ready`
    Handshake,
    /// Acknowledged messages a second of 64 senders, against the raw insert
    Durable,
    /// Two gateways against one
    Second,
    /// A page of history over REST, against the raw SQL
    History,
    /// Members of one room who come back together, 300 events behind: CPU of all servers for each
    Storm,
    /// What two people feel while one account does its worst over 1,000 sockets
    Stranger,
    /// What two people feel while five accounts do their worst over REST
    Attack,
    /// Memory of a connection that holds 20 chats, and of a watched chat
    Memory,
    /// A gateway that starts while 200,000 chats come to it, and a restart of its Redis
    Cold,
    /// The fan-out and rooms rows at 1,000, 3,000 and 10,000 connections
    Growth,
}

/// What is fixed of a row.
pub struct About {
    pub measure: &'static str,
    pub unit: &'static str,
    pub aim: &'static str,
    pub peers: &'static str,
    /// As published beside the peers' figures.
    pub limit: &'static str,
}

impl TableRow {
    /// All rows of the table.
    pub const TABLE: [Self; 14] = [
        Self::Saturated,
        Self::Paced,
        Self::Rooms,
        Self::RoomsSaturated,
        Self::Idle,
        Self::Handshake,
        Self::Durable,
        Self::Second,
        Self::History,
        Self::Storm,
        Self::Stranger,
        Self::Attack,
        Self::Memory,
        Self::Cold,
    ];

    pub fn about(self) -> About {
        const CPU: &str = "gateway CPU-s per million deliveries";
        let about = |measure, unit, aim, peers, limit| About { measure, unit, aim, peers, limit };
        match self {
            Self::Saturated => about(
                "fan-out to 1000, saturated",
                CPU,
                "≤ 0.5, then 0.4",
                "0.39 (uWebSockets C++), 0.89 (NATS), 1.86 (centrifuge)",
                "0.36",
            ),
            Self::Paced => about(
                "fan-out to 1000 at 20 messages/s",
                CPU,
                "≤ 4.5, then 4.0",
                "4.16 (uWebSockets), 6.1, 7.3, 7.9",
                "3.1",
            ),
            Self::Rooms => about(
                "1000 rooms × 10 members at 500 messages/s",
                CPU,
                "≤ 15, then 11",
                "9.0 (uWebSockets), 24.8 (node ws), 25.4 (NATS)",
                "8.6",
            ),
            Self::RoomsSaturated => about(
                "rooms of 10, saturated",
                CPU,
                "≤ 13, then 9",
                "7.8 (uWebSockets), 12.6, 16.2",
                "5.3",
            ),
            Self::Idle => about(
                "idle: an authenticated connection in a chat, of 10,000",
                "KiB PSS",
                "≤ 8, then 4",
                "0.5 (uWebSockets, no session), 6.0, 6.3, 12, 27.5 (centrifuge)",
                "0.1",
            ),
            Self::Handshake => about(
                "handshake with token check and `ready`",
                "gateway CPU ms",
                "≤ 0.12",
                "0.015 (uWebSockets, no auth), 0.042, 0.081",
                "0.014",
            ),
            Self::Durable => about(
                "durable sends, 64 senders, fsync",
                "acked per second / raw insert's rows per second",
                "≥ 0.5",
                "–",
                "1.0",
            ),
            Self::Second => about(
                "two gateways: CPU per delivery against one",
                "ratio, fan-out to 1000 at 20 messages/s",
                "≤ 1.05",
                "–",
                "1.0",
            ),
            Self::History => about(
                "REST history page of 50 against raw SQL",
                "requests per CPU second / raw pages per CPU second",
                "≥ 0.5",
                "–",
                "1.0",
            ),
            Self::Storm => about(
                "a room comes back, each member 300 events behind",
                "CPU ms of gateway, api and PostgreSQL for each",
                "≤ 0.6",
                "–",
                "–",
            ),
            Self::Stranger => about(
                "two people beside one account's 1000 hostile sockets: the worst attack's median",
                "ms from send to delivery",
                "≤ 3 × quiet",
                "–",
                "–",
            ),
            Self::Attack => about(
                "two people beside five accounts hostile over REST: the worst attack's median",
                "ms from send to ack",
                "≤ 3 × quiet",
                "–",
                "–",
            ),
            Self::Memory => about(
                "an authenticated connection with 20 chats, of 10,000",
                "KiB PSS",
                "≤ 16, then 10",
                "–",
                "–",
            ),
            Self::Cold => about(
                "a gateway starts while 10,000 clients with 200,000 chats come",
                "seconds until it hears all chats",
                "–",
                "–",
                "–",
            ),
            Self::Growth => about("growth", CPU, "–", "–", "–"),
        }
    }
}
