//! The row of history: pages of 50 messages over REST against the SQL of the same page, each in requests
//! per CPU second of all that it takes: api and PostgreSQL for the one, PostgreSQL and the asking client for
//! the other.

use crate::{
    book::{Book, MAIN, Side},
    row::TableRow,
    run::Run,
};
use anyhow::{Context, Result, ensure};
use rand::{RngExt, SeedableRng, rngs::SmallRng};
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

/// Messages in the chat.
const MESSAGES: i64 = 10_000;
const PAGE: i64 = 50;
/// Clients that ask at once.
const CLIENTS: u64 = 4;
const WARM_UP: Duration = Duration::from_secs(1);

pub async fn pages(run: &Run, side: Side, book: &mut Book) -> Result<()> {
    let mut stand = run.stand_on_all_cpus(side).await?;
    stand.people(10).await?;
    let chat = stand.groups(&[(0..10).collect()]).await?[0];
    stand.history(chat, MESSAGES, &"x".repeat(128)).await?;
    let (token, api) = (stand.token(0)?, stand.cluster.apis()[0].address());

    let rest = |duration| {
        let token = token.clone();
        at_once(duration, move |seed, end| ask(api, token.clone(), chat, seed, end))
    };
    rest(WARM_UP).await?;
    let before = stand.used()?;
    let pages = rest(run.duration).await? as f64;
    let used = stand.used()?.since(before);
    let rest_per_second = pages / (used.apis + used.postgres);
    let micros = |cpu: f64| cpu * 1e6 / pages;
    for (name, value) in [
        ("requests per CPU second", rest_per_second),
        ("api CPU µs a page", micros(used.apis)),
        ("PostgreSQL CPU µs a page", micros(used.postgres)),
    ] {
        book.note(TableRow::History, side, name, value);
    }

    let url = stand.cluster.database_url().to_owned();
    let raw = |duration| {
        let url = url.clone();
        at_once(duration, move |seed, end| select(url.clone(), chat, seed, end))
    };
    raw(WARM_UP).await?;
    let before = stand.used()?;
    let pages = raw(run.duration).await? as f64;
    let used = stand.used()?.since(before);
    let raw_per_second = pages / (used.generator + used.postgres);
    for (name, value) in [
        (MAIN, 1.0),
        ("raw pages per CPU second", raw_per_second),
        ("client CPU µs a page", used.generator * 1e6 / pages),
        ("PostgreSQL CPU µs a page", used.postgres * 1e6 / pages),
    ] {
        book.note(TableRow::History, Side::Limit, name, value);
    }
    book.note(TableRow::History, side, MAIN, rest_per_second / raw_per_second);
    stand.stop().await
}

/// Runs a client for each seed until time is up; the sum of what they return.
async fn at_once<F: Future<Output = Result<u64>> + 'static>(
    duration: Duration,
    client: impl Fn(u64, Instant) -> F,
) -> Result<u64> {
    let end = Instant::now() + duration;
    let mut clients = JoinSet::new();
    for seed in 0..CLIENTS {
        clients.spawn_local(client(seed, end));
    }
    let mut sum = 0;
    while let Some(count) = clients.join_next().await {
        sum += count??;
    }
    Ok(sum)
}

/// Asks for pages anywhere in the chat, over one connection; how many came.
async fn ask(api: SocketAddr, token: String, chat: i64, seed: u64, end: Instant) -> Result<u64> {
    let mut stream = TcpStream::connect(api).await?;
    stream.set_nodelay(true)?;
    let mut chance = SmallRng::seed_from_u64(seed);
    let (mut buffer, mut count) = (Vec::new(), 0);
    while Instant::now() < end {
        let before = chance.random_range(PAGE + 1..=MESSAGES);
        let request = format!(
            "GET /chats/{chat}/messages?limit={PAGE}&before={before} HTTP/1.1\r\nHost: {api}\r\n\
             Authorization: Bearer {token}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        buffer.clear();
        let (body, length) = loop {
            ensure!(stream.read_buf(&mut buffer).await? > 0, "closed");
            if let Some(head) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                let text = String::from_utf8_lossy(&buffer[..head]).to_ascii_lowercase();
                ensure!(text.starts_with("http/1.1 200"), "{text}");
                let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
                break (head + 4, length.context("no length")?.parse::<usize>()?);
            }
        };
        while buffer.len() < body + length {
            ensure!(stream.read_buf(&mut buffer).await? > 0, "closed");
        }
        ensure!(buffer.ends_with(b"}]"), "not a list of messages");
        count += 1;
    }
    Ok(count)
}

type Row12 =
    (i64, i64, i64, i64, String, bool, String, String, Option<i64>, i64, Option<i64>, Option<i64>);

/// Selects the same pages; how many.
async fn select(url: String, chat: i64, seed: u64, end: Instant) -> Result<u64> {
    let mut database = PgConnection::connect(&url).await?;
    let mut chance = SmallRng::seed_from_u64(seed);
    let mut count = 0;
    while Instant::now() < end {
        let rows: Vec<Row12> = sqlx::query_as(
            "SELECT m.chat_id, m.id, m.seq, m.sender_id, s.username, s.guest, m.client_message_id, m.text,
                 m.reply_to, m.created_at, m.edited_at, m.deleted_at
             FROM messages m JOIN users s ON s.id = m.sender_id
             WHERE m.chat_id = $1 AND m.id < $2 AND m.deleted_at IS NULL ORDER BY m.id DESC LIMIT $3",
        )
        .bind(chat)
        .bind(chance.random_range(PAGE + 1..=MESSAGES))
        .bind(PAGE)
        .fetch_all(&mut database)
        .await?;
        ensure!(rows.len() as i64 == PAGE, "{} rows", rows.len());
        count += 1;
    }
    database.close().await?;
    Ok(count)
}
