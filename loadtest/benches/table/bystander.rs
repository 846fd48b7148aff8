//! Two people who write to each other while something else goes on: how long a message takes from send
//! to delivery. On a thread of its own, so that the clients that load the gateway do not delay it by
//! more than the CPU that they have together.

use crate::{
    dial::{Line, native},
    frame::{Said, said},
    stand::Stand,
};
use anyhow::{Context, Result, bail};
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

/// Between a delivery and the next message.
const PAUSE: Duration = Duration::from_millis(20);
/// Before a refused message is sent again.
const AGAIN: Duration = Duration::from_millis(100);
/// A message that takes longer is none that the pair would wait for.
const PATIENCE: Duration = Duration::from_secs(60);

/// The pair, at work until it is dropped or stopped.
pub struct Bystander {
    /// Of the database, as `ready` told it.
    pub epoch: String,
    shared: Arc<Shared>,
    thread: JoinHandle<Result<()>>,
}

struct Shared {
    stop: AtomicBool,
    /// Microseconds from send to delivery.
    times: Mutex<Histogram<u64>>,
    /// When the message went out that has not arrived.
    open: Mutex<Option<Instant>>,
}

/// What a stretch was like, in ms.
#[derive(Clone, Copy, Debug)]
pub struct Felt {
    pub messages: u64,
    pub median: f64,
    pub worst: f64,
}

impl Bystander {
    /// Two people who have this chat connect and begin to write.
    pub async fn start(stand: &Stand, people: [usize; 2], chat: i64) -> Result<Self> {
        let gateway = stand.gateways()[0];
        let tokens = [stand.token(people[0])?, stand.token(people[1])?];
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            times: Mutex::new(Histogram::new_with_bounds(1, 120_000_000, 3)?),
            open: Mutex::default(),
        });
        let (told, (ready, opened)) = (Arc::clone(&shared), oneshot::channel());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let (sender, _) = connect(gateway, &tokens[0]).await?;
                let (hearer, epoch) = connect(gateway, &tokens[1]).await?;
                let _ = ready.send(epoch);
                write_on(sender, hearer, chat, &told).await
            })
        });
        match opened.await {
            Ok(epoch) => Ok(Self { epoch, shared, thread }),
            Err(_) => match thread.join() {
                Ok(Err(error)) => Err(error),
                _ => bail!("the bystanders' thread ended"),
            },
        }
    }

    /// What it was like since the last call; a message that has not arrived counts with its age.
    pub fn felt(&self) -> Result<Felt> {
        let mut times = lock(&self.shared.times);
        let messages = times.len();
        if let Some(since) = *lock(&self.shared.open) {
            times.saturating_record(micros(since));
        }
        let felt = Felt {
            messages,
            median: times.value_at_quantile(0.5) as f64 / 1e3,
            worst: times.max() as f64 / 1e3,
        };
        times.reset();
        if self.thread.is_finished() {
            bail!("the bystanders' conversation ended");
        }
        Ok(felt)
    }

    /// Ends the conversation; an error is what ended it before.
    pub fn stop(self) -> Result<()> {
        self.shared.stop.store(true, Ordering::Relaxed);
        match self.thread.join() {
            Ok(result) => result,
            Err(_) => bail!("the bystanders' thread panicked"),
        }
    }
}

/// A connection that is ready, and the epoch that it was told.
async fn connect(gateway: SocketAddr, token: &str) -> Result<(Line, String)> {
    let mut line = Line::new(native(gateway, token, None, 1).await?);
    let ready: Value = serde_json::from_slice(&line.text().await?)?;
    let epoch = ready["epoch"].as_str().context("no ready")?.to_owned();
    Ok((line, epoch))
}

async fn write_on(mut sender: Line, mut hearer: Line, chat: i64, told: &Shared) -> Result<()> {
    let mut key = 0_u64;
    while !told.stop.load(Ordering::Relaxed) {
        key += 1;
        let (id, started) = (format!("bystander-{key}"), Instant::now());
        let text = format!("{:x<128}", id);
        let frame = json!({ "type": "send", "id": id, "chat_id": chat, "text": text });
        *lock(&told.open) = Some(started);
        let took = tokio::time::timeout(PATIENCE, async {
            let (frame, mut took) = (frame.to_string(), None);
            sender.say(&frame).await?;
            let hearing = async {
                until(&mut hearer, |said| matches!(said, Said::Message { .. })).await?;
                took = Some(micros(started));
                anyhow::Ok(())
            };
            // One that is refused for now is sent again under its id, as a client would.
            let sending = async {
                while !until(&mut sender, |said| matches!(said, Said::Ack | Said::Error)).await? {
                    tokio::time::sleep(AGAIN).await;
                    sender.say(&frame).await?;
                }
                anyhow::Ok(())
            };
            tokio::try_join!(hearing, sending)?;
            took.context("no message")
        });
        let took = took.await.context("a message did not arrive")??;
        *lock(&told.open) = None;
        lock(&told.times).saturating_record(took);
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

/// Reads up to the first frame that is one of these. Whether it is good news.
async fn until(line: &mut Line, wanted: impl Fn(&Said<'_>) -> bool) -> Result<bool> {
    loop {
        let text = line.text().await?;
        let said = said(&text);
        if wanted(&said) {
            return Ok(said != Said::Error);
        }
    }
}

/// Since then; at least one.
fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX).max(1)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
