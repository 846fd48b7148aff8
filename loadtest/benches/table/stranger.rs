//! The row of the hostile stranger: one account with a thousand sockets does its worst, one kind of
//! attack after the other, and two people who have nothing to do with it write to each other.

use crate::{
    attack::{Attack, Done, Stranger},
    book::{Book, MAIN, Side},
    bystander::Bystander,
    crowd::Crowd,
    row::TableRow,
    run::Run,
    stand::Frames,
    usage,
};
use anyhow::Result;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time::sleep;

const SOCKETS: usize = 1_000;
/// Who watch the room that the stranger is in, some devices each.
const WATCHERS: usize = 500;
const PEOPLE: usize = 50;
/// Chats with long messages, and how many each: more than the gateway takes in one answer.
const BIG: usize = 12;
const LONG: i64 = 200;
/// For opening all sockets, before the attack is measured for as long as everything is.
const OPENING: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// After an attack, before the next: what is still under way is none of that one's.
const SETTLED: Duration = Duration::from_secs(3);

pub async fn tries(run: &Run, side: Side, book: &mut Book) -> Result<()> {
    let mut stand = run.stand_with(side, 1, Frames::AsShipped).await?;
    // Number 0 is the stranger, 1 and 2 are the two.
    stand.people(3 + PEOPLE).await?;
    let big = stand.groups(&vec![vec![0]; BIG]).await?;
    for chat in &big {
        stand.history(*chat, LONG, &"😀".repeat(4_000)).await?;
    }
    let own = stand.groups(&[vec![0], vec![1, 2]]).await?;
    let room = (3..3 + PEOPLE).chain([0]).collect();
    let square = stand.room(room).await?;
    let pid = stand.cluster.gateways()[0].process().pid();
    let mib = || usage::pss_kib(pid).map(|kib| kib / 1024.0);

    let mut crowd = Crowd::new()?;
    crowd.connect(&stand, (0..WATCHERS).map(|number| 3 + number % PEOPLE)).await?;
    crowd.quiet().await?;
    let tokens = [stand.token(1)?, stand.token(2)?];
    let bystander = Bystander::start(stand.gateways()[0], tokens, own[1]).await?;
    sleep(SETTLED).await;
    bystander.felt()?;
    sleep(run.duration).await;
    let quiet = bystander.felt()?;
    book.note(TableRow::Stranger, side, "quiet: median ms", quiet.median);
    book.note(TableRow::Stranger, side, "quiet: worst ms", quiet.worst);
    book.note(TableRow::Stranger, side, "PSS MiB before", mib()?);

    let mut worst = quiet.median;
    for attack in Attack::ALL {
        let done = Arc::new(Done::default());
        let stranger = Stranger {
            gateway: stand.gateways()[0],
            token: stand.token(0)?,
            epoch: bystander.epoch.clone(),
            notes: own[0],
            square,
            big: big.clone(),
            done: Arc::clone(&done),
        };
        bystander.felt()?;
        let (before, started) = (stand.used()?, Instant::now());
        let siege = stranger.lay_siege(attack, SOCKETS);
        let open = async {
            while done.tried() < SOCKETS as u64 {
                sleep(LOOK_EVERY).await;
            }
        };
        // Those that never get so far are the attack, too.
        let _ = tokio::time::timeout(OPENING, open).await;
        sleep(run.duration).await;
        let (used, seconds) = (stand.used()?.since(before), started.elapsed().as_secs_f64());
        let pss = mib()?;
        let felt = bystander.felt()?;
        siege.lift()?;
        // A message that waits until the attack is over is felt, too; those after it are not meant.
        sleep(SETTLED).await;
        let slowest = felt.worst.max(bystander.felt()?.worst);
        worst = worst.max(felt.median);
        for (name, value) in [
            ("median ms", felt.median),
            ("worst ms", slowest),
            ("messages of the two", felt.messages as f64),
            ("gateway CPU, share of one", used.gateways / seconds),
            ("api CPU, share of one", used.apis / seconds),
            ("PostgreSQL CPU, share of one", used.postgres / seconds),
            ("PSS MiB", pss),
            ("frames a second", done.frames() as f64 / seconds),
            ("sockets opened", done.opened() as f64),
            ("sockets ended", done.ended() as f64),
        ] {
            book.note(TableRow::Stranger, side, format!("{}: {name}", attack.name()), value);
        }
        let closed = f64::from(u8::from(crowd.check().is_err()));
        book.note(
            TableRow::Stranger,
            side,
            format!("{}: 1 when a watcher was closed", attack.name()),
            closed,
        );
    }
    book.note(TableRow::Stranger, side, MAIN, worst);
    sleep(SETTLED).await;
    book.note(TableRow::Stranger, side, "PSS MiB after", mib()?);
    bystander.stop()?;
    drop(crowd);
    stand.stop().await
}
