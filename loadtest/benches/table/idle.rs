//! The rows of connections that do nothing: what memory one holds, and what becoming one costs.

use crate::{
    book::{Book, MAIN, Side},
    crowd::Crowd,
    row::TableRow,
    run::Run,
    usage,
};
use anyhow::Result;
use std::time::Duration;

/// People, of one chat, with many devices each: the presence of thousands who come at once would be
/// measured otherwise.
const PEOPLE: usize = 100;
/// Until what a storm of handshakes left behind is let go of.
const SETTLED: Duration = Duration::from_secs(5);
/// A heartbeat of each.
const HEARTBEAT: Duration = Duration::from_secs(25);

/// 1,000 connections, then 10,000.
pub async fn connections(run: &Run, side: Side, book: &mut Book) -> Result<()> {
    let mut stand = run.stand(side, 1).await?;
    stand.people(PEOPLE).await?;
    stand.groups(&[(0..PEOPLE).collect()]).await?;
    let pid = stand.cluster.gateways()[0].process().pid();
    let mut crowd = Crowd::new()?;
    // The first connection of each makes the gateway's tables.
    crowd.connect(&stand, 0..PEOPLE).await?;
    crowd.quiet().await?;
    let memory = usage::pss_kib(pid)?;
    let mut open = 0;
    for connections in [1_000, 10_000] {
        let new = connections - open;
        let before = stand.used()?;
        crowd.connect(&stand, (0..new).map(|number| number % PEOPLE)).await?;
        let used = stand.used()?.since(before);
        open = connections;
        tokio::time::sleep(SETTLED).await;
        crowd.check()?;
        let each = (usage::pss_kib(pid)? - memory) / connections as f64;
        let millis = |cpu: f64| cpu * 1e3 / new as f64;
        if connections == 10_000 {
            book.note(TableRow::Idle, side, MAIN, each);
            book.note(TableRow::Handshake, side, MAIN, millis(used.gateways));
            book.note(TableRow::Handshake, side, "api CPU ms", millis(used.apis));
            book.note(TableRow::Handshake, side, "PostgreSQL CPU ms", millis(used.postgres));
            book.note(TableRow::Handshake, side, "generator CPU ms", millis(used.generator));
        } else {
            book.note(TableRow::Idle, side, format!("KiB with {connections}"), each);
            let name = format!("gateway CPU ms, the first {connections}");
            book.note(TableRow::Handshake, side, name, millis(used.gateways));
        }
    }
    let before = stand.used()?;
    tokio::time::sleep(HEARTBEAT).await;
    let used = stand.used()?.since(before);
    crowd.check()?;
    let micros = used.gateways * 1e6 / HEARTBEAT.as_secs_f64() / open as f64;
    book.note(TableRow::Idle, side, "gateway CPU µs a second, heartbeats", micros);
    drop(crowd);
    stand.stop().await
}
