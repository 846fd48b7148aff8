//! The rows of connections that do nothing: what memory one holds, and what becoming one costs.

use crate::{
    book::{Book, MAIN, Side},
    crowd::Crowd,
    row::TableRow,
    run::Run,
    stand::Used,
    usage,
};
use anyhow::Result;
use std::time::Duration;

/// People, of one chat, with many devices each: the presence of thousands who come at once would be
/// measured otherwise.
const PEOPLE: usize = 100;
/// Members of a chat whose people have one device each.
const CHAT: usize = 10;
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
        if connections == 10_000 {
            book.note(TableRow::Idle, side, MAIN, each);
            book.note(TableRow::Handshake, side, MAIN, used.gateways * 1e3 / new as f64);
            note_parts(book, side, "", used, new);
        } else {
            book.note(TableRow::Idle, side, format!("KiB with {connections}"), each);
            let name = format!("gateway CPU ms, the first {connections}");
            book.note(TableRow::Handshake, side, name, used.gateways * 1e3 / new as f64);
        }
    }
    let before = stand.used()?;
    tokio::time::sleep(HEARTBEAT).await;
    let used = stand.used()?.since(before);
    crowd.check()?;
    let micros = used.gateways * 1e6 / HEARTBEAT.as_secs_f64() / open as f64;
    book.note(TableRow::Idle, side, "gateway CPU µs a second, heartbeats", micros);
    drop(crowd);
    stand.stop().await?;
    people(run, side, book).await
}

/// The same of people with one device each, in chats of ten: their channels, their chats' channels and
/// their presence are new to the node, too.
async fn people(run: &Run, side: Side, book: &mut Book) -> Result<()> {
    let people = if run.quick { 1_500 } else { 10_000 };
    let mut stand = run.stand(side, 1).await?;
    stand.people(people).await?;
    let everybody: Vec<usize> = (0..people).collect();
    stand.groups(&everybody.chunks(CHAT).map(<[usize]>::to_vec).collect::<Vec<_>>()).await?;
    let before = stand.used()?;
    let mut crowd = Crowd::new()?;
    crowd.connect(&stand, 0..people).await?;
    // Others hear of them a little later.
    crowd.quiet().await?;
    note_parts(book, side, ", people apart", stand.used()?.since(before), people);
    drop(crowd);
    stand.stop().await
}

/// What each part used for each of these openings.
fn note_parts(book: &mut Book, side: Side, which: &str, used: Used, openings: usize) {
    for (part, cpu) in [
        ("gateway", used.gateways),
        ("api", used.apis),
        ("PostgreSQL", used.postgres),
        ("Redis", used.redis),
        ("generator", used.generator),
        (
            "gateway, api, PostgreSQL and Redis",
            used.gateways + used.apis + used.postgres + used.redis,
        ),
    ] {
        let name = format!("{part} CPU ms{which}");
        book.note(TableRow::Handshake, side, name, cpu * 1e3 / openings as f64);
    }
}
