//! What the api stores and answers, on both databases: the same tests run on SQLite and on a private
//! PostgreSQL server. No sockets; the routes have a file of their own at the end.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod administration;
mod audit;
mod buckets;
mod bulk;
mod changed;
mod concurrency;
mod conflicts;
mod conversations;
mod demo;
mod failover;
mod guests;
mod harness;
mod lists;
mod locked;
mod managing;
mod membership;
mod migrations;
mod names;
mod one_call;
mod online;
mod opening;
mod ordinals;
mod outage;
mod peers;
mod plans;
mod pooler;
mod posting;
mod ranges;
mod reading;
mod replicas;
mod rest;
mod retention;
mod retention_kinds;
mod servers;
mod settings;
mod shards;
mod shared;
mod short_way;
mod sqlite;
mod statistics;
mod strangers;
mod two_primaries;
mod upgrade;
mod waking;
