//! Reads the servers' CPU time and memory during a run, from their metrics or from `/proc`. A server that
//! does not answer costs one reading and never the run.

use super::{UsageReading, UsageSource, usage};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Uri, body::Bytes};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

/// A page of metrics that takes longer is worth nothing any more: the next one is due.
const TIMEOUT: Duration = Duration::from_millis(900);

/// The largest page of metrics taken; ours have about 30 KiB.
const MAX_BYTES: usize = 4 << 20;

/// A server's readings, each with the seconds since the first phase began.
#[derive(Debug, Default)]
pub(super) struct ScrapedReadings {
    pub(super) taken: Vec<(f64, UsageReading)>,
    /// How many failed, and why the first one did.
    pub(super) failed: Option<(u64, String)>,
}

/// Reads at `start`, then every `interval`, and once more when `done`.
pub(super) async fn readings(
    source: &UsageSource,
    start: Instant,
    interval: Duration,
    done: &CancellationToken,
) -> ScrapedReadings {
    let mut connector = HttpConnector::new();
    connector.set_connect_timeout(Some(TIMEOUT));
    let client = Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_max_idle_per_host(1)
        .build(connector);
    let mut readings = ScrapedReadings::default();
    let mut ticks = tokio::time::interval_at(start, interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        let last = tokio::select! {
            _ = ticks.tick() => false,
            () = done.cancelled() => true,
        };
        match read(&client, source).await {
            Ok(reading) => {
                readings.taken.push((start.elapsed().as_secs_f64(), reading));
            }
            Err(why) => readings.failed.get_or_insert((0, why)).0 += 1,
        }
        if last {
            return readings;
        }
    }
}

type Http = Client<HttpConnector, Empty<Bytes>>;

async fn read(client: &Http, source: &UsageSource) -> Result<UsageReading, String> {
    match source {
        UsageSource::Processes(processes) => usage::of(processes).map_err(|why| why.to_string()),
        UsageSource::Metrics(url) => {
            let page = tokio::time::timeout(TIMEOUT, fetch(client, url)).await;
            let page = page.map_err(|_| format!("no answer in {} ms", TIMEOUT.as_millis()))??;
            parse(&page).ok_or_else(|| "no process_cpu_seconds_total in it".to_owned())
        }
    }
}

async fn fetch(client: &Http, url: &str) -> Result<Bytes, String> {
    let url: Uri = url.parse().map_err(|_| format!("{url} is no URL"))?;
    let answer = client.get(url).await.map_err(|why| why.to_string())?;
    if !answer.status().is_success() {
        return Err(format!("status {}", answer.status()));
    }
    let body = Limited::new(answer.into_body(), MAX_BYTES).collect().await;
    Ok(body.map_err(|why| why.to_string())?.to_bytes())
}

/// The two lines that are of interest. Memory may be missing, as it is outside Linux.
fn parse(page: &[u8]) -> Option<UsageReading> {
    let page = String::from_utf8_lossy(page);
    let value = |name: &str| {
        page.lines().find_map(|line| {
            let rest = line.strip_prefix(name)?;
            // A server that adds labels of its own is understood, too.
            let rest =
                rest.strip_prefix('{').and_then(|rest| rest.split_once('}')).map_or(rest, |r| r.1);
            rest.strip_prefix(' ')?.split(' ').next()?.parse::<f64>().ok()
        })
    };
    Some(UsageReading {
        cpu_seconds: value("process_cpu_seconds_total")?,
        memory_bytes: value("process_resident_memory_bytes").unwrap_or(0.0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_lines_of_a_page_are_found() {
        let page = "# HELP process_cpu_seconds_total x\n# TYPE process_cpu_seconds_total counter\n\
                    process_cpu_seconds_total_other 9\nprocess_cpu_seconds_total 12.5\n\
                    process_resident_memory_bytes{app=\"a b\"} 1.5e7 1700000000\n";
        let found = UsageReading { cpu_seconds: 12.5, memory_bytes: 1.5e7 };
        assert_eq!(parse(page.as_bytes()), Some(found));
        assert_eq!(parse(b"process_cpu_seconds_total 3\n").map(|r| r.memory_bytes), Some(0.0));
        assert_eq!(parse(b"<html>"), None);
    }

    #[tokio::test]
    async fn a_server_is_read_from_the_start_to_the_end_and_failures_are_counted() {
        let done = CancellationToken::new();
        done.cancel();
        let own = UsageSource::Processes(vec![std::process::id()]);
        let start = Instant::now();
        let readings_of = readings(&own, start, Duration::from_secs(1), &done).await;
        assert!(!readings_of.taken.is_empty() && readings_of.failed.is_none());
        let nobody = UsageSource::Metrics("http://127.0.0.1:1/metrics".to_owned());
        let none = readings(&nobody, start, Duration::from_secs(1), &done).await;
        assert!(none.taken.is_empty());
        assert!(none.failed.is_some_and(|(count, _)| count >= 1));
    }
}
