//! The row of memory: what a connection holds that watches many chats, what a watched chat holds, and
//! what one message in it leaves behind.

use crate::{
    book::{Book, MAIN, Side},
    crowd::Crowd,
    row::TableRow,
    run::Run,
    stand::Stand,
    usage,
};
use anyhow::Result;
use rand::{SeedableRng, rngs::SmallRng, seq::SliceRandom};
use std::time::Duration;

/// Chats of a connection: the habits that are planned with.
const CHATS: usize = 20;
/// Members of a chat, each with one connection.
const MEMBERS: usize = 10;
/// Connections whose chats are their own.
const APART: usize = 2_500;
/// Messages on their way at once.
const WINDOW: usize = 256;
/// Until what a storm of handshakes left behind is let go of.
const SETTLED: Duration = Duration::from_secs(5);

pub async fn of_chats(run: &Run, side: Side, book: &mut Book) -> Result<()> {
    let connections = if run.quick { 1_500 } else { 10_000 };
    let bare = bare(run, side, connections).await?;
    let apart = apart(run, side).await?;

    let mut stand = run.stand(side, 1).await?;
    let pid = gateway(&stand);
    stand.people(connections).await?;
    let groups = groups(connections);
    let chats = stand.groups(&groups).await?;
    let start = usage::pss_kib(pid)?;
    let mut crowd = Crowd::new()?;
    crowd.connect(&stand, 0..connections).await?;
    crowd.quiet().await?;
    tokio::time::sleep(SETTLED).await;
    let idle = usage::pss_kib(pid)? - start;

    let written: Vec<(i64, usize)> =
        chats.iter().zip(&groups).map(|(chat, group)| (*chat, group[0])).collect();
    let (before, mut sent) = (crowd.seen(), 0);
    for some in written.chunks(WINDOW) {
        for (chat, member) in some {
            crowd.send(*member, *chat, sent)?;
            sent += 1;
        }
        crowd.until(before.delivered + sent * MEMBERS as u64, before.acked + sent).await?;
    }
    tokio::time::sleep(SETTLED).await;
    crowd.complete(|_| 1)?;
    let used = usage::pss_kib(pid)? - start;

    let chats = chats.len() as f64;
    for (name, value) in [
        (MAIN, idle / connections as f64),
        ("KiB of a connection without chats", bare),
        ("KiB of a connection whose chats nobody else on the node watches", apart),
        ("KiB of a watched chat with ten watchers", (idle - bare * connections as f64) / chats),
        ("KiB more in a chat after one message", (used - idle) / chats),
        ("KiB of a connection after one message in each chat", used / connections as f64),
        ("connections", connections as f64),
    ] {
        book.note(TableRow::Memory, side, name, value);
    }
    drop(crowd);
    stand.stop().await
}

/// KiB of a connection whose user has no chats, in a gateway of its own: memory that was let go of
/// would hide what comes next.
async fn bare(run: &Run, side: Side, connections: usize) -> Result<f64> {
    let mut stand = run.stand(side, 1).await?;
    let pid = gateway(&stand);
    stand.people(connections).await?;
    let start = usage::pss_kib(pid)?;
    let mut crowd = Crowd::new()?;
    crowd.connect(&stand, 0..connections).await?;
    tokio::time::sleep(SETTLED).await;
    crowd.check()?;
    let each = (usage::pss_kib(pid)? - start) / connections as f64;
    drop(crowd);
    stand.stop().await?;
    Ok(each)
}

/// KiB of a connection with as many chats, each its own: on many nodes, two members of a chat seldom meet.
async fn apart(run: &Run, side: Side) -> Result<f64> {
    let mut stand = run.stand(side, 1).await?;
    let pid = gateway(&stand);
    stand.people(APART).await?;
    let groups: Vec<Vec<usize>> = (0..APART).flat_map(|one| vec![vec![one]; CHATS]).collect();
    stand.groups(&groups).await?;
    let start = usage::pss_kib(pid)?;
    let mut crowd = Crowd::new()?;
    crowd.connect(&stand, 0..APART).await?;
    crowd.quiet().await?;
    tokio::time::sleep(SETTLED).await;
    crowd.check()?;
    let each = (usage::pss_kib(pid)? - start) / APART as f64;
    drop(crowd);
    stand.stop().await?;
    Ok(each)
}

fn gateway(stand: &Stand) -> u32 {
    stand.cluster.gateways()[0].process().pid()
}

/// Everybody in so many chats, with others each time.
fn groups(people: usize) -> Vec<Vec<usize>> {
    let mut chance = SmallRng::seed_from_u64(1);
    let mut everybody: Vec<usize> = (0..people).collect();
    let mut groups = Vec::new();
    for _ in 0..CHATS {
        everybody.shuffle(&mut chance);
        groups.extend(everybody.chunks(MEMBERS).map(<[usize]>::to_vec));
    }
    groups
}
