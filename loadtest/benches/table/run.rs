//! One run through the wanted rows, and what all rows need to know of it.

use crate::{
    attacked,
    book::{Book, Side},
    cold, durable, fanout, history, idle, memory,
    row::TableRow,
    stand::{Frames, Stand, StandOptions},
    storm, stranger, usage,
};
use anyhow::Result;
use cluster::Cpus;
use std::{path::PathBuf, time::Duration};

/// What to measure, and on what.
pub struct Run {
    pub rows: Vec<TableRow>,
    /// Where the deliveries are measured; the api and PostgreSQL get the whole machine for theirs.
    pub cpus: Cpus,
    /// `None`: built from the sources.
    pub now: Option<PathBuf>,
    pub before: Option<PathBuf>,
    /// Of each stretch of load.
    pub duration: Duration,
    /// A look instead of a measurement.
    pub quick: bool,
}

impl Run {
    pub fn wants(&self, row: TableRow) -> bool {
        self.rows.contains(&row)
    }

    /// A fresh cluster of one side's binaries, the gateways on a CPU of their own.
    pub async fn stand(&self, side: Side, gateways: usize) -> Result<Stand> {
        self.stand_with(side, gateways, Frames::Unlimited).await
    }

    /// The same, each connection with as many frames as it may send.
    pub async fn stand_with(&self, side: Side, gateways: usize, frames: Frames) -> Result<Stand> {
        self.stand_on(side, gateways, frames, None).await
    }

    /// The same, over other Redis servers than its own.
    pub async fn stand_on(
        &self,
        side: Side,
        gateways: usize,
        frames: Frames,
        redis: Option<String>,
    ) -> Result<Stand> {
        let (cpus, binaries) = (self.cpus, self.binaries(side));
        let plan = StandOptions { gateways, cpus, frames, redis, binaries };
        let stand = Stand::start(&plan).await?;
        // Not before: what has to be built is built on all CPUs.
        self.cpus.others.map_or(Ok(()), |cpu| usage::pin_thread(&[cpu]))?;
        Ok(stand)
    }

    /// The same with everything, ourselves included, on all CPUs: where the database is measured.
    pub async fn stand_on_all_cpus(&self, side: Side) -> Result<Stand> {
        let plan =
            StandOptions { gateways: 1, binaries: self.binaries(side), ..StandOptions::default() };
        let stand = Stand::start(&plan).await?;
        self.on_all_cpus()?;
        Ok(stand)
    }

    /// Lets ourselves run on all CPUs.
    pub fn on_all_cpus(&self) -> Result<()> {
        let all: Vec<usize> =
            [self.cpus.gateways, self.cpus.others].into_iter().flatten().collect();
        if all.is_empty() { Ok(()) } else { usage::pin_thread(&all) }
    }

    /// The folder with the programs of one side; built from the sources when `None`.
    pub fn binaries(&self, side: Side) -> Option<PathBuf> {
        if side == Side::Before { self.before.clone() } else { self.now.clone() }
    }

    /// Measures every wanted row once on each side.
    pub async fn once(&self, book: &mut Book) -> Result<()> {
        let wants = |rows: &[TableRow]| rows.iter().any(|row| self.wants(*row));
        for side in self.sides() {
            if wants(&[TableRow::Saturated, TableRow::Paced, TableRow::Second, TableRow::Growth]) {
                fanout::one_chat(self, side, 1000, book).await?;
            }
            if wants(&[
                TableRow::Rooms,
                TableRow::RoomsSaturated,
                TableRow::Second,
                TableRow::Growth,
            ]) {
                fanout::small_chats(self, side, fanout::TABLE_CONNECTIONS, book).await?;
            }
            if wants(&[TableRow::Second]) {
                fanout::two_gateways(self, side, book).await?;
            }
            if wants(&[TableRow::Idle, TableRow::Handshake]) {
                idle::connections(self, side, book).await?;
            }
            if wants(&[TableRow::Durable]) {
                durable::sends(self, side, book).await?;
            }
            if wants(&[TableRow::History]) {
                history::pages(self, side, book).await?;
            }
            if wants(&[TableRow::Storm]) {
                storm::comes(self, side, book).await?;
            }
            if wants(&[TableRow::Stranger]) {
                stranger::tries(self, side, book).await?;
            }
            if wants(&[TableRow::Attack]) {
                attacked::by_five(self, side, book).await?;
            }
            if wants(&[TableRow::Memory]) {
                memory::of_chats(self, side, book).await?;
            }
            if wants(&[TableRow::Cold]) {
                cold::starts(self, side, book).await?;
            }
            if wants(&[TableRow::Growth]) {
                for connections in [3_000, 10_000] {
                    fanout::one_chat(self, side, connections, book).await?;
                }
                for connections in [1_000, 3_000] {
                    fanout::small_chats(self, side, connections, book).await?;
                }
            }
        }
        fanout::limits(self, book).await
    }

    fn sides(&self) -> impl Iterator<Item = Side> {
        self.before.iter().map(|_| Side::Before).chain([Side::Now])
    }
}
