//! Two people who write to each other while something else goes on: how long a message takes from send
//! to its ack and to its delivery. On a thread of its own, so that the clients that load the gateway do not delay it by
//! more than the CPU that they have together.

use crate::{
    dial::{FrameSocket, native},
    frame::{CountedFrame, classify},
};
use anyhow::{Context, Result, bail};
use hdrhistogram::Histogram;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
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
    acked: Mutex<Times>,
    arrived: Mutex<Times>,
}

/// From send to something.
struct Times {
    micros: Histogram<u64>,
    /// When the message went out that has not come so far.
    open: Option<Instant>,
}

impl Times {
    fn new() -> Result<Mutex<Self>> {
        let micros = Histogram::new_with_bounds(1, 120_000_000, 3)?;
        Ok(Mutex::new(Self { micros, open: None }))
    }

    fn done(&mut self) {
        if let Some(since) = self.open.take() {
            self.micros.saturating_record(micros(since));
        }
    }

    /// Median and worst in ms; a message that has not come counts with its age.
    fn take(&mut self) -> (f64, f64) {
        if let Some(since) = self.open {
            self.micros.saturating_record(micros(since));
        }
        let median = self.micros.value_at_quantile(0.5) as f64 / 1e3;
        let worst = self.micros.max() as f64 / 1e3;
        self.micros.reset();
        (median, worst)
    }
}

/// What a stretch was like, in ms: from send to delivery, and to the ack.
#[derive(Clone, Copy, Debug)]
pub struct Felt {
    pub messages: u64,
    pub median: f64,
    pub worst: f64,
    pub ack_median: f64,
    pub ack_worst: f64,
}

impl Bystander {
    /// Two people who have this chat connect and begin to write.
    pub async fn start(gateway: SocketAddr, tokens: [String; 2], chat: i64) -> Result<Self> {
        let stop = AtomicBool::new(false);
        let shared = Arc::new(Shared { stop, acked: Times::new()?, arrived: Times::new()? });
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

    /// What it was like since the last call.
    pub fn felt(&self) -> Result<Felt> {
        let mut arrived = self.shared.arrived.lock();
        let messages = arrived.micros.len();
        let (median, worst) = arrived.take();
        drop(arrived);
        let (ack_median, ack_worst) = self.shared.acked.lock().take();
        let felt = Felt { messages, median, worst, ack_median, ack_worst };
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
async fn connect(gateway: SocketAddr, token: &str) -> Result<(FrameSocket, String)> {
    let mut socket = FrameSocket::new(native(gateway, token, None, 1).await?);
    let ready: Value = serde_json::from_slice(&socket.text().await?)?;
    let epoch = ready["epoch"].as_str().context("no ready")?.to_owned();
    Ok((socket, epoch))
}

async fn write_on(
    mut sender: FrameSocket,
    mut hearer: FrameSocket,
    chat: i64,
    told: &Shared,
) -> Result<()> {
    let mut key = 0_u64;
    while !told.stop.load(Ordering::Relaxed) {
        key += 1;
        let (id, started) = (format!("bystander-{key}"), Instant::now());
        let text = format!("{:x<128}", id);
        let frame = json!({ "type": "send", "id": id, "chat_id": chat, "text": text });
        for times in [&told.acked, &told.arrived] {
            times.lock().open = Some(started);
        }
        let said = tokio::time::timeout(PATIENCE, async {
            let frame = frame.to_string();
            sender.say(&frame).await?;
            let hearing = async {
                until(&mut hearer, |said| matches!(said, CountedFrame::Message { .. })).await?;
                told.arrived.lock().done();
                anyhow::Ok(())
            };
            // One that is refused for now is sent again under its id, as a client would.
            let sending = async {
                while !until(&mut sender, |said| {
                    matches!(said, CountedFrame::Ack | CountedFrame::Error)
                })
                .await?
                {
                    tokio::time::sleep(AGAIN).await;
                    sender.say(&frame).await?;
                }
                told.acked.lock().done();
                anyhow::Ok(())
            };
            tokio::try_join!(hearing, sending).map(drop)
        });
        said.await.context("a message did not arrive")??;
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

/// Reads up to the first frame that is one of these. Whether it is good news.
async fn until(
    socket: &mut FrameSocket,
    wanted: impl Fn(&CountedFrame<'_>) -> bool,
) -> Result<bool> {
    loop {
        let text = socket.text().await?;
        let said = classify(&text);
        if wanted(&said) {
            return Ok(said != CountedFrame::Error);
        }
    }
}

/// Since then; at least one.
fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX).max(1)
}
