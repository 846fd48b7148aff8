//! The row of durable sends: 64 people who each send the next message when the last one is acknowledged,
//! against inserting the same rows with nothing around it, on the same server and disk in the same run.
//!
//! What is compared with what: the figure is acknowledged messages a second over the rows a second of one
//! connection that inserts 100 rows a commit. Since 64 senders never have 100 rows on their way in one
//! lane, there is also the raw insert in the batches that really came, over as many connections as the
//! gateway has lanes.

use crate::{
    book::{Book, MAIN, Side},
    crowd::Crowd,
    row::TableRow,
    run::Run,
    stand::Stand,
};
use anyhow::{Context, Result, ensure};
use sqlx::{Connection, PgConnection};
use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

const SENDERS: usize = 64;
/// The gateway's lanes for commands: calls to the api at once.
const LANES: usize = 4;
const WARM_UP: Duration = Duration::from_secs(2);

pub async fn sends(run: &Run, side: Side, book: &mut Book) -> Result<()> {
    let mut stand = run.stand_on_all_cpus(side).await?;
    stand.people(SENDERS).await?;
    let pairs: Vec<Vec<usize>> =
        (0..SENDERS / 2).map(|pair| vec![pair * 2, pair * 2 + 1]).collect();
    let chats = stand.groups(&pairs).await?;
    let mut crowd = Crowd::new()?;
    crowd.connect(&stand, 0..SENDERS).await?;
    crowd.quiet().await?;

    let api = stand.cluster.apis()[0].admin();
    let mut sent = closed_loop(&crowd, &chats, WARM_UP).await?;
    let (batches, used, started) = (batches(api).await?, stand.used()?, Instant::now());
    let counted = closed_loop(&crowd, &chats, run.duration).await?;
    let (seconds, used) = (started.elapsed().as_secs_f64(), stand.used()?.since(used));
    let batches = self::batches(api).await?.since(batches);
    sent += counted;
    let stored = stand.stored(&chats).await?;
    ensure!(stored == sent, "{sent} were acknowledged, the database holds {stored}");
    let batch = batches.mean();
    let acked = counted as f64 / seconds;

    let hundred = raw(&mut stand, 1, 100, run.duration).await?;
    let alike = raw(&mut stand, LANES, batch.round().max(1.0) as usize, run.duration).await?;
    let micros = |cpu: f64| cpu * 1e6 / counted as f64;
    for (name, value) in [
        (MAIN, acked / hundred.rows_per_second),
        ("acked per second", acked),
        ("messages a batch, mean", batch),
        ("of the raw insert in batches of that size, 4 connections", acked / alike.rows_per_second),
        ("gateway CPU µs per message", micros(used.gateways)),
        ("api CPU µs per message", micros(used.apis)),
        ("PostgreSQL CPU µs per message", micros(used.postgres)),
        ("Redis CPU µs per message", micros(used.redis)),
        ("generator CPU µs per message", micros(used.generator)),
    ] {
        book.note(TableRow::Durable, side, name, value);
    }
    for (name, raw) in [("raw, 1 × 100", hundred), ("raw, batches as they came × 4", alike)] {
        book.note(
            TableRow::Durable,
            Side::Limit,
            format!("{name}: rows per second"),
            raw.rows_per_second,
        );
        book.note(
            TableRow::Durable,
            Side::Limit,
            format!("{name}: PostgreSQL CPU µs a row"),
            raw.postgres,
        );
    }
    book.note(TableRow::Durable, Side::Limit, MAIN, 1.0);
    drop(crowd);
    stand.stop().await
}

/// Each sends its next message when it has the last one's ack; how many were acknowledged, which is all.
async fn closed_loop(crowd: &Crowd, chats: &[i64], duration: Duration) -> Result<u64> {
    let before = crowd.seen();
    let acked: Vec<u64> = (0..SENDERS).map(|sender| crowd.acked(sender)).collect();
    let (end, mut sent) = (Instant::now() + duration, vec![0; SENDERS]);
    while Instant::now() < end {
        for sender in 0..SENDERS {
            if crowd.acked(sender) - acked[sender] == sent[sender] {
                crowd.send(sender, chats[sender / 2], acked[sender] + sent[sender])?;
                sent[sender] += 1;
            }
        }
        crowd.until(0, crowd.seen().acked + 1).await?;
    }
    let sent: u64 = sent.iter().sum();
    // Both of a chat hear it.
    crowd.until(before.delivered + 2 * sent, before.acked + sent).await?;
    Ok(sent)
}

/// How many commands came in how many calls.
#[derive(Clone, Copy)]
struct Batches {
    commands: f64,
    calls: f64,
}

impl Batches {
    fn since(self, before: Self) -> Self {
        Self { commands: self.commands - before.commands, calls: self.calls - before.calls }
    }

    fn mean(self) -> f64 {
        self.commands / self.calls
    }
}

/// From the api's metrics.
async fn batches(admin: SocketAddr) -> Result<Batches> {
    let mut stream = TcpStream::connect(admin).await?;
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|value| value.trim().parse().ok()).with_context(|| format!("no {name}"))
    };
    Ok(Batches { commands: value("post_batch_size_sum")?, calls: value("post_batch_size_count")? })
}

/// What the raw insert comes to.
#[derive(Clone, Copy)]
struct Raw {
    rows_per_second: f64,
    /// CPU µs a row.
    postgres: f64,
}

/// Inserts into a table like the product's, with its indexes, `batch` rows a commit on each connection.
async fn raw(
    stand: &mut Stand,
    connections: usize,
    batch: usize,
    duration: Duration,
) -> Result<Raw> {
    for statement in ["DROP TABLE IF EXISTS raw", "CREATE TABLE raw (LIKE messages INCLUDING ALL)"]
    {
        sqlx::query(statement).execute(&mut stand.database).await?;
    }
    let end = Instant::now() + duration;
    let (before, started) = (stand.used()?, Instant::now());
    let mut tasks = JoinSet::new();
    for number in 0..connections {
        let url = stand.cluster.database_url().to_owned();
        tasks.spawn_local(async move { insert(&url, number as i64, batch, end).await });
    }
    let mut rows = 0;
    while let Some(inserted) = tasks.join_next().await {
        rows += inserted??;
    }
    let used = stand.used()?.since(before);
    Ok(Raw {
        rows_per_second: rows as f64 / started.elapsed().as_secs_f64(),
        postgres: used.postgres * 1e6 / rows as f64,
    })
}

async fn insert(url: &str, chat: i64, batch: usize, end: Instant) -> Result<usize> {
    let mut database = PgConnection::connect(url).await?;
    let text = "x".repeat(128);
    let mut next = 1;
    while Instant::now() < end {
        let ids: Vec<i64> = (next..next + batch as i64).collect();
        let keys: Vec<String> = ids.iter().map(i64::to_string).collect();
        sqlx::query(
            "INSERT INTO raw
                (chat_id, id, seq, sender_id, client_message_id, text, reply_to, created_at)
             SELECT chat_id, id, id, sender_id, client_id, text, reply_to, 0
             FROM UNNEST($1::BIGINT[], $2::BIGINT[], $3::BIGINT[], $4::TEXT[], $5::TEXT[], $6::BIGINT[])
                 AS r (chat_id, id, sender_id, client_id, text, reply_to)",
        )
        .bind(vec![chat; batch])
        .bind(&ids)
        .bind(vec![1_i64; batch])
        .bind(&keys)
        .bind(vec![text.as_str(); batch])
        .bind(vec![None::<i64>; batch])
        .execute(&mut database)
        .await?;
        next += batch as i64;
    }
    database.close().await?;
    Ok(next as usize - 1)
}
