//! The row of a room that comes back: all its members at once, each some hundred events behind, as after
//! a restart of the balancer; and what two people in another chat feel of it.

use crate::{
    book::{Book, MAIN, Side},
    bystander::Bystander,
    crowd::Crowd,
    dial::Past,
    row::TableRow,
    run::Run,
    usage,
};
use anyhow::Result;
use std::time::Instant;

/// More than a gateway keeps of a chat in memory, so that the api has to tell it.
const MISSED: i64 = 300;
const BYTES: usize = 128;

pub async fn comes(run: &Run, side: Side, book: &mut Book) -> Result<()> {
    let members = if run.quick { 1_500 } else { 10_000 };
    let mut stand = run.stand(side, 1).await?;
    stand.people(members + 2).await?;
    let room = stand.room((0..members).collect()).await?;
    stand.history(room, MISSED, &"x".repeat(BYTES)).await?;
    let pair = [members, members + 1];
    let elsewhere = stand.groups(&[pair.to_vec()]).await?[0];

    let tokens = [stand.token(pair[0])?, stand.token(pair[1])?];
    let bystander = Bystander::start(stand.gateways()[0], tokens, elsewhere).await?;
    // What the pair alone costs is not the storm's.
    bystander.felt()?;
    let before = stand.used()?;
    tokio::time::sleep(run.duration).await;
    let calm = stand.used()?.since(before);
    let quiet = bystander.felt()?;

    let (before, started) = (stand.used()?, Instant::now());
    let past = Past { epoch: bystander.epoch.clone(), chat: room, seq: 0 };
    let mut crowd = Crowd::new()?;
    usage::stand_aside()?;
    crowd.come_back(&stand, 0..members, past).await?;
    usage::come_back()?;
    let (used, seconds) = (stand.used()?.since(before), started.elapsed().as_secs_f64());
    let felt = bystander.felt()?;
    crowd.complete(|_| MISSED.unsigned_abs())?;
    bystander.stop()?;

    // They write less while each message takes longer.
    let share = felt.messages as f64 / quiet.messages.max(1) as f64;
    let each = |cpu: f64, calm: f64| (cpu - calm * share) * 1e3 / members as f64;
    let gateway = each(used.gateways, calm.gateways);
    let api = each(used.apis, calm.apis);
    let postgres = each(used.postgres, calm.postgres);
    for (name, value) in [
        (MAIN, gateway + api + postgres),
        ("gateway CPU ms", gateway),
        ("api CPU ms", api),
        ("PostgreSQL CPU ms", postgres),
        ("Redis CPU ms", each(used.redis, calm.redis)),
        ("generator CPU ms", each(used.generator, calm.generator)),
        ("members", members as f64),
        ("seconds until all are caught up", seconds),
        ("bystander, quiet: median ms", quiet.median),
        ("bystander, quiet: worst ms", quiet.worst),
        ("bystander, meanwhile: median ms", felt.median),
        ("bystander, meanwhile: worst ms", felt.worst),
    ] {
        book.note(TableRow::Storm, side, name, value);
    }
    drop(crowd);
    stand.stop().await
}
