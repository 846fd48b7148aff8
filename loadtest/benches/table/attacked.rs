//! The row of the five accounts: registered like anybody's, they read, write and invite over REST as fast as
//! they are answered, and two people who have nothing to do with them write to each other. Once against one
//! process, once against a cluster, both with the limits that are shipped.

use crate::{
    abuse::{Abuse, Abusers, Answers},
    book::{Book, MAIN, Side},
    bystander::Bystander,
    deployment::{Deployment, Kind},
    row::TableRow,
    run::Run,
};
use anyhow::Result;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time::sleep;

const ACCOUNTS: usize = 5;
/// Messages in the room that is read at its far end.
const DEPTH: i64 = 1_500_000;
const QUICK_DEPTH: i64 = 100_000;
/// After an attack, before the next: what is still under way is none of that one's.
const SETTLED: Duration = Duration::from_secs(3);

pub async fn by_five(run: &Run, side: Side, book: &mut Book) -> Result<()> {
    let mut worst: f64 = 0.0;
    for kind in Kind::ALL {
        worst = worst.max(against(run, side, kind, book).await?);
    }
    book.note(TableRow::Attack, side, MAIN, worst);
    Ok(())
}

/// The worst median of the acks.
async fn against(run: &Run, side: Side, kind: Kind, book: &mut Book) -> Result<f64> {
    let deployment = Deployment::start(kind, run.binaries(side)).await?;
    run.on_all_cpus()?;
    // The five, their victim, and the two.
    let mut people = deployment.people(ACCOUNTS + 3).await?;
    let two = people.split_off(ACCOUNTS + 1);
    let victim = people.split_off(ACCOUNTS).remove(0);
    let own = deployment.chat("private", &two[0], &[&two[1]]).await?;
    let deep = deployment.chat("room", &people[0], &[]).await?;
    let square = deployment.chat("room", &people[0], &[]).await?;
    let depth = if run.quick { QUICK_DEPTH } else { DEPTH };
    deployment.fill(deep, people[0].id, depth).await?;

    let tokens = [two[0].token.clone(), two[1].token.clone()];
    let bystander = Bystander::start(deployment.gateway(), tokens, own).await?;
    sleep(SETTLED).await;
    bystander.felt()?;
    sleep(run.duration).await;
    let quiet = bystander.felt()?;
    let mut note = |name: &str, value: f64| {
        book.note(TableRow::Attack, side, format!("{}, {name}", kind.name()), value);
    };
    note("quiet: ack median ms", quiet.ack_median);
    note("quiet: ack worst ms", quiet.ack_worst);

    let mut worst = quiet.ack_median;
    for abuse in Abuse::ALL {
        let done = Arc::new(Answers::default());
        let abusers = Abusers {
            urls: deployment.apis().iter().map(|api| format!("http://{api}")).collect(),
            tokens: people.iter().map(|person| person.token.clone()).collect(),
            deep,
            depth,
            square,
            victim: victim.id,
            done: Arc::clone(&done),
        };
        bystander.felt()?;
        let (before, started) = (deployment.cpu()?, Instant::now());
        let siege = abusers.lay_siege(abuse)?;
        sleep(run.duration).await;
        let (used, seconds) = (deployment.cpu()? - before, started.elapsed().as_secs_f64());
        let felt = bystander.felt()?;
        siege.lift()?;
        // A message that waits until the attack is over is felt, too; those after it are not meant.
        sleep(SETTLED).await;
        let ack_worst = felt.ack_worst.max(bystander.felt()?.ack_worst);
        worst = worst.max(felt.ack_median);
        for (name, value) in [
            ("ack median ms", felt.ack_median),
            ("ack worst ms", ack_worst),
            ("delivery median ms", felt.median),
            ("messages of the two", felt.messages as f64),
            ("servers' CPU, share of one", used / seconds),
            ("done a second", done.done() as f64 / seconds),
            ("refused a second", done.refused() as f64 / seconds),
            ("failed a second", done.failed() as f64 / seconds),
        ] {
            note(&format!("{}: {name}", abuse.name()), value);
        }
    }
    bystander.stop()?;
    deployment.stop().await?;
    Ok(worst)
}
